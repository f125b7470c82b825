//! The metrics of the process itself, by OpenTelemetry's conventions for processes. They are read from `/proc` when
//! the metrics are collected. Where it does not exist, they are absent.

use opentelemetry::metrics::Meter;
use procfs::process::{Process, Stat};

/// Registers the metrics.
pub(super) fn observe(meter: &Meter) {
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of the process.")
        .with_callback(|observer| {
            if let Some(pages) = stat().and_then(|stat| i64::try_from(stat.rss).ok()) {
                let page = i64::try_from(procfs::page_size()).unwrap_or_default();
                observer.observe(pages.saturating_mul(page), &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Processor time of the process.")
        .with_callback(|observer| {
            if let Some(stat) = stat() {
                let ticks = stat.utime.saturating_add(stat.stime);
                observer.observe(ticks as f64 / procfs::ticks_per_second() as f64, &[]);
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter("process.thread.count")
        .with_unit("{thread}")
        .with_description("Threads of the process.")
        .with_callback(|observer| {
            if let Some(stat) = stat() {
                observer.observe(stat.num_threads, &[]);
            }
        })
        .build();
}

fn stat() -> Option<Stat> {
    Process::myself().ok()?.stat().ok()
}
