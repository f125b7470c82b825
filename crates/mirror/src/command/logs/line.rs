//! The time, the trace and the uid of a line of a log, in both formats of logs.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The parts of a line by which it is selected.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    /// Its timestamp. A line without one belongs to the line before it.
    pub(super) time: Option<OffsetDateTime>,
    /// Its trace, 32 hexadecimal digits.
    pub(super) trace: Option<String>,
    /// The uids that its fields name.
    pub(super) uids: Vec<u32>,
}

/// The members of a line in JSON by which it is selected.
#[derive(Deserialize)]
struct Object {
    timestamp: Option<String>,
    trace_id: Option<String>,
    uid: Option<serde_json::Value>,
}

impl Line {
    /// Reads a line, without its end.
    pub(super) fn read(text: &str) -> Self {
        if text.starts_with('{') {
            Self::json(text)
        } else {
            Self::pretty(text)
        }
    }

    fn json(text: &str) -> Self {
        let Ok(object) = serde_json::from_str::<Object>(text) else {
            return Self::default();
        };
        let uid = object.uid.and_then(|uid| match uid {
            serde_json::Value::String(text) => text.parse().ok(),
            uid => u32::try_from(uid.as_u64()?).ok(),
        });
        Self {
            time: object.timestamp.and_then(|text| time_of(&text)),
            trace: object.trace_id,
            uids: uid.into_iter().collect(),
        }
    }

    fn pretty(text: &str) -> Self {
        let time = text.split(' ').next().and_then(time_of);
        if time.is_none() {
            return Self::default();
        }
        Self {
            time,
            trace: trace_of(text),
            uids: uids_of(text),
        }
    }
}

/// Reads a time in the notation of RFC 3339.
pub(super) fn time_of(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// Returns the trace of a line of text, which the last two fields of the line are about.
fn trace_of(text: &str) -> Option<String> {
    let (before, span) = text.rsplit_once(" span_id=")?;
    let (_, trace) = before.rsplit_once(" trace_id=")?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (span.len() == 16 && trace.len() == 32 && are_digits(span) && are_digits(trace)).then(|| trace.to_owned())
}

/// Returns the values of the fields `uid` of a line of text and of the spans in it.
fn uids_of(text: &str) -> Vec<u32> {
    let fields = text.match_indices("uid=");
    let named = fields.filter(|(at, _)| text[..*at].ends_with([' ', '{']));
    let values = named.map(|(at, name)| {
        let value = &text[at + name.len()..];
        value.split([' ', '}']).next().unwrap_or(value)
    });
    values.filter_map(|value| value.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn both_formats_have_the_same_parts() {
        let expected = Line {
            time: Some(datetime!(2026-11-28 17:41:24.497585 UTC)),
            trace: Some(TRACE.to_owned()),
            uids: vec![4],
        };
        let text = format!(
            "2026-11-28T17:41:24.497585Z  WARN mirror_miner::refusals: the axon refused a call uid=4 cause=Busy \
             trace_id={TRACE} span_id=b7ad6b7169203331"
        );
        assert_eq!(Line::read(&text), expected);
        let text = format!(
            r#"{{"timestamp":"2026-11-28T17:41:24.497585Z","level":"WARN","message":"the axon refused a call","uid":4,
            "cause":"Busy","target":"mirror_miner::refusals","trace_id":"{TRACE}","span_id":"b7ad6b7169203331"}}"#
        );
        assert_eq!(Line::read(&text), expected);
    }

    #[test]
    fn a_uid_is_a_whole_field() {
        let uids =
            |fields: &str| Line::read(&format!("2026-11-28T17:41:24.497585Z  INFO a: b {fields}")).uids;
        assert_eq!(uids("uid=12 x=1"), [12]);
        assert_eq!(uids("x=1 uid=12"), [12]);
        assert_eq!(uids("xuid=12 uid=12.5 uid=a uid= uid=4294967296 uids=3"), [0; 0]);
        let line = "2026-11-28T17:41:24.497585Z DEBUG dendrite{uid=3 x=1}:call{uid=4}: a: b uid=5";
        assert_eq!(Line::read(line).uids, [3, 4, 5]);
    }

    #[test]
    fn other_lines_have_no_parts() {
        for text in [
            "",
            "note: run with `RUST_BACKTRACE=1` uid=3",
            "{",
            "[]",
            r#"{"timestamp": 3}"#,
            r#"{"message": "no time"}"#,
        ] {
            assert_eq!(Line::read(text), Line::default(), "{text}");
        }
    }

    #[test]
    fn a_trace_in_a_message_is_none() {
        for end in [
            format!("trace_id={TRACE} and more"),
            format!("trace_id={TRACE}"),
            format!("trace_id={TRACE} span_id=b7ad6b7169203331x"),
            "trace_id=0af7 span_id=b7ad6b7169203331".to_owned(),
        ] {
            let line = format!("2026-11-28T17:41:24.497585Z  INFO a: b {end}");
            assert_eq!(Line::read(&line).trace, None, "{line}");
        }
    }
}
