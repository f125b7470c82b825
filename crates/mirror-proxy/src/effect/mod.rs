//! The effects of rules: one file each. [`Effect`] lists them, checks their numbers, and combines them into the plan of
//! a stream.

pub(crate) mod bandwidth;
mod cut;
mod delay;
pub(crate) mod reset;
mod silence;
pub(crate) mod slice;
mod slow_close;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use mirror_proto::mirror::v1::wire_rule::Effect as WireEffect;

use self::slice::Slice;
use crate::plan::{Plan, Stream};
use crate::rules::Rule;

/// Maximum delay or pause of a rule, in seconds.
const MAX_SECONDS: f64 = 3_600.0;

/// Range of a bandwidth in bytes per second.
const BANDWIDTH: (f64, f64) = (1.0, 1e12);

/// The effect of a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    Cut,
    Bandwidth { bytes_per_second: f64 },
    Delay(Duration),
    Stall,
    Slice(Slice),
    Silence,
    Reset { after_bytes: u64 },
    SlowClose(Duration),
}

impl Effect {
    /// Checks an effect from the wire.
    ///
    /// # Errors
    ///
    /// Returns a message that names the number that is out of range.
    pub(crate) fn read(effect: &WireEffect) -> Result<Self, String> {
        Ok(match effect {
            WireEffect::Cut(_) => Self::Cut,
            WireEffect::Bandwidth(bandwidth) => {
                let (least, most) = BANDWIDTH;
                let bytes_per_second = bandwidth.bytes_per_second;
                if !(least..=most).contains(&bytes_per_second) {
                    return Err(format!(
                        "its bandwidth is {bytes_per_second} bytes per second, expected {least} to {most}"
                    ));
                }
                Self::Bandwidth { bytes_per_second }
            }
            WireEffect::Delay(delay) => Self::Delay(duration("delay", delay.seconds)?),
            WireEffect::Stall(_) => Self::Stall,
            WireEffect::Slice(slice) => {
                let bytes = usize::try_from(slice.bytes).unwrap_or(usize::MAX);
                if bytes == 0 {
                    return Err("its slices have 0 bytes, expected 1 or more".to_owned());
                }
                let pause = duration("pause", slice.pause_seconds)?;
                Self::Slice(Slice { bytes, pause })
            }
            WireEffect::Silence(_) => Self::Silence,
            WireEffect::Reset(reset) => Self::Reset {
                after_bytes: reset.after_bytes,
            },
            WireEffect::SlowClose(close) => Self::SlowClose(duration("delay", close.seconds)?),
        })
    }

    /// Adds the effect of `rule` to the plan of a stream, which had the plan `before`.
    pub(crate) fn apply(&self, plan: &mut Plan, before: &Plan, rule: &Arc<Rule>, stream: &Stream) {
        match *self {
            Self::Cut => cut::apply(plan),
            Self::Bandwidth { bytes_per_second } => {
                bandwidth::apply(plan, &stream.link, stream.direction, rule, bytes_per_second);
            }
            Self::Delay(delay) => delay::apply(plan, delay),
            Self::Stall => stall::apply(plan, stream.opened < rule.since),
            Self::Slice(slice) => slice::apply(plan, slice),
            Self::Silence => silence::apply(plan),
            Self::Reset { after_bytes } => reset::apply(plan, before, rule, after_bytes, stream.passed),
            Self::SlowClose(delay) => slow_close::apply(plan, delay),
        }
    }
}

fn duration(name: &str, seconds: f64) -> Result<Duration, String> {
    if (0.0..=MAX_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!(
            "its {name} is {seconds} seconds, expected 0 to {MAX_SECONDS}"
        ))
    }
}
