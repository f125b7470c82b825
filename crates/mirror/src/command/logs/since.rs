//! The time from which lines are printed.

use std::str::FromStr;

use mirror_spec::notation;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, Time};

use super::line::time_of;

/// A time of day in UTC.
const TIME_OF_DAY: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");

/// The time from which lines are printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Since {
    /// This long before the end.
    Before(Duration),
    /// At this time.
    At(OffsetDateTime),
    /// At the last such time of day before the end.
    TimeOfDay(Time),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(time) = time_of(text) {
            return Ok(Self::At(time));
        }
        if let Ok(time) = Time::parse(text, TIME_OF_DAY) {
            return Ok(Self::TimeOfDay(time));
        }
        let seconds = notation::seconds(text).filter(|seconds| *seconds >= 0.0);
        let duration = seconds.and_then(Duration::checked_seconds_f64);
        duration.map(Self::Before).ok_or_else(|| {
            "expected a duration (`30s`, `5m`, `2h`), a time of day in UTC (`17:41:24`), or a time \
             (`2026-11-28T17:41:24Z`)"
                .to_owned()
        })
    }
}

impl Since {
    /// Returns the time, for lines until `end`: the end of the run, or now.
    pub(super) fn until(self, end: OffsetDateTime) -> OffsetDateTime {
        match self {
            // A duration that reaches beyond the first representable time selects everything.
            Self::Before(duration) => end.checked_sub(duration).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            Self::At(time) => time,
            Self::TimeOfDay(time) => {
                let on_that_day = end.replace_time(time);
                if on_that_day > end {
                    on_that_day.saturating_sub(Duration::DAY)
                } else {
                    on_that_day
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn durations_times_of_day_and_times_are_read() {
        let end = datetime!(2026-11-28 17:41:24 UTC);
        for (text, expected) in [
            ("30s", datetime!(2026-11-28 17:40:54 UTC)),
            ("1500ms", datetime!(2026-11-28 17:41:22.5 UTC)),
            ("5m", datetime!(2026-11-28 17:36:24 UTC)),
            ("24h", datetime!(2026-11-27 17:41:24 UTC)),
            ("17:41:24", datetime!(2026-11-28 17:41:24 UTC)),
            ("17:41:25", datetime!(2026-11-27 17:41:25 UTC)),
            ("2026-11-28T12:00:00.25Z", datetime!(2026-11-28 12:00:00.25 UTC)),
            ("2026-11-28T12:00:00+02:00", datetime!(2026-11-28 10:00:00 UTC)),
        ] {
            let since: Since = text.parse().expect(text);
            assert_eq!(since.until(end), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "yesterday",
            "-5s",
            "5d",
            "25:00:00",
            "2026-11-28",
            "nan",
            "1e300h",
        ] {
            let error = text.parse::<Since>().expect_err(text);
            assert!(error.starts_with("expected a duration"), "{error}");
        }
    }

    #[test]
    fn the_longest_duration_selects_everything() {
        let since: Since = "1000000000000000s".parse().expect("a duration");
        assert_eq!(
            since.until(datetime!(2026-11-28 0:00 UTC)),
            OffsetDateTime::UNIX_EPOCH
        );
    }
}
