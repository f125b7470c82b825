//! The log of a process, written to standard error.
//!
//! Every line names the trace and the span in which it was written, if there is one, by the names that OpenTelemetry
//! gives them in logs: `trace_id` and `span_id`.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use mirror_spec::LogFormat;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Registry};

use crate::TraceContext;
use crate::clock::LogTime;
use crate::spans::{Recorder, current};

/// The log of a process could not be initialised.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not have the syntax of tracing.
    #[error(
        "`{filter}` is not a log filter: expected a level (`info`) or directives (`mirror_validator=debug,warn`)"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// The parse error.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The log of this process is already initialised.
    #[error("the log of this process is already initialised")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Initialises the log and the recording of spans. Events that pass `filter` are written to standard error, one line
/// each in `format`, with the time of the node ([`crate::clock`]). A line that cannot be written, for example because
/// the disk is full, is lost. Spans are recorded by `spans`, or not at all if it is `None`.
pub fn init(filter: &str, format: LogFormat, spans: Option<Arc<Recorder>>) -> Result<(), LogError> {
    let directives = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let is_terminal = std::io::stderr().is_terminal();
    let lines = lines(format, std::io::stderr, is_terminal);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(directives));
    tracing::subscriber::set_global_default(subscriber)?;
    if let Some(spans) = spans {
        spans.set_global();
    }
    Ok(())
}

/// Returns the layer that writes each event as a line.
fn lines(
    format: LogFormat,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    ansi: bool,
) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        // The report of a failed write would itself be written to standard error, and panic when that fails.
        .log_internal_errors(false);
    let full = format::format().with_timer(LogTime);
    match format {
        LogFormat::Pretty => layer.event_format(Pretty(full)).boxed(),
        LogFormat::Json => {
            let json = full.json().flatten_event(true).with_current_span(false);
            layer
                .fmt_fields(JsonFields::new())
                .event_format(InJson(json.with_span_list(false)))
                .boxed()
        }
    }
}

/// Text, followed by the trace and the span as further fields.
struct Pretty(Format<Full, LogTime>);

impl<S, N> FormatEvent<S, N> for Pretty
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(TraceContext { trace, span, .. }) = current() else {
            return self.0.format_event(context, writer, event);
        };
        let line = formatted(&self.0, context, event)?;
        let line = line.trim_end_matches('\n');
        writeln!(writer, "{line} trace_id={trace} span_id={span}")
    }
}

/// An object, in which the trace and the span are the last members.
struct InJson(Format<Json, LogTime>);

impl<S, N> FormatEvent<S, N> for InJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(TraceContext { trace, span, .. }) = current() else {
            return self.0.format_event(context, writer, event);
        };
        let line = formatted(&self.0, context, event)?;
        let object = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        writeln!(writer, r#"{object},"trace_id":"{trace}","span_id":"{span}"}}"#)
    }
}

/// Returns the line of an event, with its end.
fn formatted<S, N>(
    format: &impl FormatEvent<S, N>,
    context: &FmtContext<'_, S, N>,
    event: &Event<'_>,
) -> Result<String, fmt::Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut line = String::new();
    format.format_event(context, Writer::new(&mut line), event)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::spans::{Buffer, Sampler};

    /// Returns what two events add to the log, the second of them within a span.
    fn logged(format: LogFormat) -> String {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let lines = lines(format, Mutex::new(writer), false);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(uid = 3, "first");
            let span = Recorder::new(Arc::new(Buffer::default()), Sampler::ALL, 1)
                .root("step")
                .in_trace(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0)
                .id(0xb7ad_6b71_6920_3331)
                .start();
            span.in_scope(|| tracing::warn!(uid = 4, "{} \"quoted\"", "second"));
        });
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).expect("text");
        text
    }

    #[test]
    fn lines_of_text_end_with_the_trace_and_the_span() {
        let text = logged(LogFormat::Pretty);
        let lines: Vec<&str> = text
            .lines()
            .map(|line| &line["2026-11-28T17:41:24.497585Z ".len()..])
            .collect();
        assert_eq!(
            lines,
            [
                " INFO mirror_telemetry::log::tests: first uid=3",
                " WARN mirror_telemetry::log::tests: second \"quoted\" uid=4 \
                 trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331",
            ]
        );
    }

    #[test]
    fn lines_of_json_have_the_fields_the_trace_and_the_span_as_members() {
        let text = logged(LogFormat::Json);
        let mut lines = text.lines().map(|line| {
            let mut object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(line).expect("JSON");
            object.remove("timestamp").expect("a time");
            serde_json::Value::Object(object)
        });
        let target = "mirror_telemetry::log::tests";
        assert_eq!(
            lines.next(),
            Some(serde_json::json!({"level": "INFO", "message": "first", "uid": 3, "target": target}))
        );
        assert_eq!(
            lines.next(),
            Some(serde_json::json!({
                "level": "WARN", "message": "second \"quoted\"", "uid": 4, "target": target,
                "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
            }))
        );
        assert_eq!(lines.next(), None);
    }
}
