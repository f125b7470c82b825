//! The types of an experiment file and of the launch configs of nodes. Each key of the file is declared once, together
//! with its type, its range, its default and its description. Checks, editors and the reference of the file use the
//! tables that the declarations generate.
//!
//! Of this crate and `mirror-config`, nodes depend only on this one. `mirror-config` parses YAML, checks it and reports
//! problems.

mod analysis;
pub mod at;
mod axon;
mod behaviour;
mod data;
mod declare;
mod experiment;
mod fault;
mod gating;
pub mod key;
mod latency;
pub mod launch;
mod model;
mod network;
pub mod notation;
mod query;
mod ranges;
mod reward;
mod telemetry;
mod validator_behaviour;
mod value;
mod value_error;

pub use analysis::*;
pub use axon::*;
pub use behaviour::*;
pub use data::*;
pub use experiment::*;
pub use fault::*;
pub use gating::*;
pub use latency::*;
pub use model::*;
pub use network::*;
pub use notation::{Device, Uids};
pub use query::*;
pub use reward::*;
pub use telemetry::*;
pub use validator_behaviour::*;
pub use value::*;
pub use value_error::ValueError;

use key::Family;

/// All families of components, in the order of their listing.
pub const FAMILIES: &[&Family] = &[
    DendritePool::FAMILY,
    GatingModel::FAMILY,
    RewardModel::FAMILY,
    SubtensorSpec::FAMILY,
    MetagraphSpec::FAMILY,
    BehaviourSpec::FAMILY,
    ValidatorBehaviour::FAMILY,
    Method::FAMILY,
    Value::FAMILY,
    Estimator::FAMILY,
];
