//! Kinds that several keys share.

use crate::key::Kind;

/// A chance.
pub(crate) const RATE: Kind = Kind::Number(0.0..=1.0);
/// TAO: no more than will ever be issued.
pub(crate) const TAO: Kind = Kind::Number(0.0..=21_000_000.0);
/// A count of tensors' elements or outputs.
pub(crate) const WIDTH: Kind = Kind::Integer(1..=65_536);
/// How many axons are asked at once.
pub(crate) const TOPK: Kind = Kind::Integer(1..=65_536);
/// A deadline of calls.
pub(crate) const TIMEOUT: Kind = Kind::Duration(0.001..=3_600.0);
/// A delay of a call.
pub(crate) const DELAY: Kind = Kind::Duration(0.0..=3_600.0);
/// Steps of a query.
pub(crate) const STEPS: Kind = Kind::StepCount(1..=1_000_000_000);
/// One text or several.
pub(crate) const TEXTS: Kind = Kind::OneOrMany(&Kind::Text);
/// Why a key of the oldest files has no effect.
pub(crate) const OLDEST_FORM: &str = "it belongs to the oldest form of these files";
