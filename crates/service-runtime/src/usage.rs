//! What the process uses of the machine, under the names that every Prometheus knows.
//!
//! | name | meaning |
//! |---|---|
//! | `process_cpu_seconds_total` | CPU time used, of all threads |
//! | `process_resident_memory_bytes` | memory held |
//! | `process_open_fds`, `process_max_fds` | files and sockets open, and the most there may be |
//! | `process_threads` | threads |
//! | `process_start_time_seconds` | when it started, since the epoch |
//!
//! Read from `/proc` when the page is asked for; where there is no `/proc`, nothing is shown. This file must not know
//! what the process does.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::metrics::Metrics;

/// In what `/proc` counts time: hundredths of a second, on every Linux we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Shows what this process uses on the page of `metrics`.
pub(crate) fn show(metrics: &Metrics) {
    metrics.collect(Usage);
}

#[derive(Debug)]
struct Usage;

impl Collector for Usage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut show = |name: &str, help: &str, metric: &dyn Shown| metric.show(&mut encoder, name, help);
        if let Some(times) = Times::read() {
            show("process_cpu_seconds", "CPU time used, of all threads", &ConstCounter::new(times.cpu_seconds))?;
            show(
                "process_start_time_seconds",
                "When the process started, in seconds since the epoch",
                &ConstGauge::new(times.start_seconds),
            )?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kilobytes) = number_after(&status, "VmRSS:") {
            show("process_resident_memory_bytes", "Memory held", &ConstGauge::new(kilobytes * 1_024.0))?;
        }
        if let Some(threads) = number_after(&status, "Threads:") {
            show("process_threads", "Threads", &ConstGauge::new(threads))?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            show("process_open_fds", "Files and sockets open", &ConstGauge::new(open.count() as f64))?;
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(most) = number_after(&limits, "Max open files") {
            show("process_max_fds", "The most files and sockets that may be open", &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

/// A value under its name.
trait Shown {
    fn show(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Shown for M {
    fn show(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// The first number after `what`.
fn number_after(text: &str, what: &str) -> Option<f64> {
    text.split_once(what)?.1.split_whitespace().next()?.parse().ok()
}

struct Times {
    cpu_seconds: f64,
    start_seconds: f64,
}

impl Times {
    fn read() -> Option<Self> {
        let boot = number_after(&fs::read_to_string("/proc/stat").ok()?, "\nbtime ")?;
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?, boot)
    }

    /// The name of a process may hold spaces and brackets: fields are counted from the last bracket.
    fn parse(stat: &str, boot: f64) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self { cpu_seconds: seconds(11)? + seconds(12)?, start_seconds: boot + seconds(19)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 9 0 1200 1000 200";
        let times = Times::parse(stat, 1_000.0).expect("fields");
        assert!((times.cpu_seconds - 3.0).abs() < 1e-9 && (times.start_seconds - 1_012.0).abs() < 1e-9);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_shows_what_it_uses() {
        let metrics = Metrics::new();
        show(&metrics);
        let page = metrics.encode();
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_threads ",
            "process_start_time_seconds ",
        ] {
            assert!(page.contains(&format!("\n{name}")), "{name} is missing:\n{page}");
        }
    }
}
