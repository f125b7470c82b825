//! The `telemetry` section: traces, metrics and logs of the processes.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::declare::{choice, keys};
use crate::key::{Described, Kind};
use crate::notation::{Notation, as_text};

keys! {
    /// The `telemetry` section: traces, metrics and logs of the processes.
    pub struct Telemetry: Default {
        /// Traces that are kept.
        traces: Traces = "all",
        /// Share of the traces that are recorded at all, chosen by the trace id.
        trace_share: f64 [Number(0.0..=1.0)] = 1,
        /// Time between two measurements of the metrics of each process.
        metrics_interval: f64 [Duration(0.1..=3_600.0)] = 5,
        /// Address at which the metrics are served in the text format of Prometheus while the run lasts.
        prometheus: Option<ListenAddress>,
        /// Collector of OpenTelemetry to which spans and metrics are sent on, by OTLP over HTTP. The environment
        /// variable `OTEL_EXPORTER_OTLP_HEADERS` adds headers.
        otlp_endpoint: Option<OtlpEndpoint>,
        /// Format of the logs of the nodes.
        logs: LogFormat = "pretty",
    }
}

/// An address on this machine at which a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenAddress(pub SocketAddr);

impl Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self);
        address.map_err(|_| format!("`{text}` is not an IP address with a port, such as `127.0.0.1:9464`"))
    }
}

as_text!(ListenAddress);

impl Described for ListenAddress {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "an IP address of this machine with a port, such as `127.0.0.1:9464`",
        pattern: r"^[0-9.]+:[0-9]+$|^\[[0-9a-fA-F:.]+\]:[0-9]+$",
        check: |text| text.parse::<Self>().map(drop),
        example: "127.0.0.1:9464",
    });
}

/// The URL of a collector of OpenTelemetry, without the path of a signal and without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OtlpEndpoint(String);

impl OtlpEndpoint {
    /// Returns the URL to which messages are sent, such as `http://127.0.0.1:4318/v1/traces` for `v1/traces`.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

impl Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let is_url = rest.is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if is_url {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "`{text}` is not the URL of a collector: write `http://` or `https://`, the host and the port of OTLP \
                 over HTTP, which is usually 4318"
            ))
        }
    }
}

as_text!(OtlpEndpoint);

impl Described for OtlpEndpoint {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "the URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`",
        pattern: "^https?://[!-~]+$",
        check: |text| text.parse::<Self>().map(drop),
        example: "http://127.0.0.1:4318",
    });
}

choice! {
    /// Traces that are kept.
    pub enum Traces {
        /// All recorded traces.
        All = "all",
        /// Traces with an error, and the slowest hundredth of the others.
        ErrorsAndSlowest = "errors_and_slowest",
        /// None. Nothing is recorded, neither spans nor metrics, and lines of logs have no trace ids.
        Off = "off",
    }
}

choice! {
    /// The format of the lines of a log.
    pub enum LogFormat {
        /// Text to be read by a person.
        Pretty = "pretty",
        /// One JSON object per line.
        Json = "json",
    }
}
