//! The clock of a node: the clock of the machine plus an offset, with which a test of faults lets it be wrong.
//!
//! Everything that a node reads as the time of day comes from here, also the timestamps of its log. Durations do not:
//! they come from the monotonic clock, which has no offset.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Maximum offset in either direction, in seconds: a hundred years.
pub const MAX_SKEW: f64 = 100.0 * 365.25 * 24.0 * 3_600.0;

/// The offset of this process in nanoseconds.
static SKEW: AtomicI64 = AtomicI64::new(0);

/// The offset of a clock is out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a clock cannot be {0} seconds off: expected at most {MAX_SKEW} seconds in either direction")]
pub struct SkewError(f64);

/// The timestamps of the log, in UTC with microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogTime;

/// Returns the time of day of this node.
pub fn now() -> SystemTime {
    shifted(SystemTime::now(), SKEW.load(Ordering::Relaxed))
}

/// Checks an offset in seconds. Returns it in nanoseconds.
fn checked(seconds: f64) -> Result<i64, SkewError> {
    if seconds.abs() <= MAX_SKEW {
        Ok((seconds * 1e9) as i64)
    } else {
        Err(SkewError(seconds))
    }
}

/// Checks an offset in seconds without setting it.
///
/// # Errors
/// Returns an error if the offset is not a number or above [`MAX_SKEW`] in either direction.
pub fn check_skew(seconds: f64) -> Result<(), SkewError> {
    checked(seconds).map(|_| ())
}

/// Sets the offset of this process in seconds. It replaces the previous one.
///
/// # Errors
/// Returns an error if the offset is not a number or above [`MAX_SKEW`] in either direction.
pub fn set_skew(seconds: f64) -> Result<(), SkewError> {
    SKEW.store(checked(seconds)?, Ordering::Relaxed);
    Ok(())
}

/// Returns `time` plus an offset in nanoseconds. A sum that the clock cannot represent is `time`.
fn shifted(time: SystemTime, skew: i64) -> SystemTime {
    let offset = Duration::from_nanos(skew.unsigned_abs());
    let sum = if skew < 0 {
        time.checked_sub(offset)
    } else {
        time.checked_add(offset)
    };
    sum.unwrap_or(time)
}

impl FormatTime for LogTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        format(writer, now())
    }
}

fn format(writer: &mut impl fmt::Write, time: SystemTime) -> fmt::Result {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = match since {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds) else {
        return writer.write_str("(no date)");
    };
    write!(
        writer,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(time: SystemTime) -> String {
        let mut text = String::new();
        format(&mut text, time).expect("a string can be written");
        text
    }

    /// The first example of RFC 3339, section 5.8. `date --date` gives its seconds since 1970.
    #[test]
    fn timestamps_are_those_of_rfc_3339() {
        assert_eq!(formatted(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
        let example = SystemTime::UNIX_EPOCH + Duration::from_millis(482_196_050_520);
        assert_eq!(formatted(example), "1985-04-12T23:20:50.520000Z");
        let before = shifted(SystemTime::UNIX_EPOCH, -1_000_000_000);
        assert_eq!(formatted(before), "1969-12-31T23:59:59.000000Z");
    }

    #[test]
    fn an_offset_is_added_to_the_time() {
        let day = 86_400 * 1_000_000_000;
        assert_eq!(
            formatted(shifted(SystemTime::UNIX_EPOCH, day)),
            "1970-01-02T00:00:00.000000Z"
        );
        let now = SystemTime::now();
        assert_eq!(shifted(shifted(now, day), -day), now);
    }

    #[test]
    fn the_longest_offsets_are_representable() {
        for skew in [MAX_SKEW, -MAX_SKEW] {
            let nanoseconds = checked(skew).expect("it is in range");
            assert_eq!(nanoseconds as f64 / 1e9, skew);
            let year: i64 = formatted(shifted(SystemTime::now(), nanoseconds))[..4]
                .parse()
                .expect("a year");
            let this_year: i64 = formatted(SystemTime::now())[..4].parse().expect("a year");
            assert!((99..=101).contains(&(year - this_year).abs()), "{year}");
        }
    }

    #[test]
    fn an_offset_out_of_range_is_refused() {
        for skew in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            MAX_SKEW * 1.001,
            -MAX_SKEW * 1.001,
        ] {
            let error = set_skew(skew).expect_err("it is out of range");
            assert!(error.to_string().contains("in either direction"), "{error}");
        }
    }
}
