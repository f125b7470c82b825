//! Kinds that several keys use.

use crate::key::Kind;

/// A probability.
pub(crate) const RATE: Kind = Kind::Number(0.0..=1.0);
/// An amount in TAO, at most the maximum supply.
pub(crate) const TAO: Kind = Kind::Number(0.0..=21_000_000.0);
/// A number of elements or outputs of a tensor.
pub(crate) const WIDTH: Kind = Kind::Integer(1..=65_536);
/// A number of axons that are queried together.
pub(crate) const TOPK: Kind = Kind::Integer(1..=65_536);
/// A timeout of calls.
pub(crate) const TIMEOUT: Kind = Kind::Duration(0.001..=3_600.0);
/// A delay of a call.
pub(crate) const DELAY: Kind = Kind::Duration(0.0..=3_600.0);
/// A number of steps of a query.
pub(crate) const STEPS: Kind = Kind::StepCount(1..=1_000_000_000);
/// One text or several.
pub(crate) const TEXTS: Kind = Kind::OneOrMany(&Kind::Text);
/// The reason why a key of the oldest form of the files has no effect.
pub(crate) const OLDEST_FORM: &str = "it belongs to the oldest form of these files";
