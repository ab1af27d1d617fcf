//! Progress of long work: what is done, what remains, at which rate. Work reports through
//! [`Progress`] and never knows who watches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes read or written.
    Bytes,
    /// Rows, events, items: anything counted one by one.
    Rows,
    /// Steps of an iteration.
    Steps,
}

/// Who watches long work.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is known or not.
    fn stage(&self, name: &str, unit: Unit, total: Option<u64>) -> Arc<dyn Stage>;
}

/// One stage of long work. Cheap to call and safe to share between threads.
pub trait Stage: Send + Sync {
    /// `by` more are done.
    fn advance(&self, by: u64);
    /// The stage is over; `summary` is one short line, or empty.
    fn finish(&self, summary: &str);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: Unit, _: Option<u64>) -> Arc<dyn Stage> {
        Arc::new(Self)
    }
}

impl Stage for Silent {
    fn advance(&self, _: u64) {}
    fn finish(&self, _: &str) {}
}

/// Bars on standard error with rate and time left. Where standard error is no terminal, one line at
/// the end of each stage.
pub struct Bars {
    bars: MultiProgress,
}

impl Bars {
    /// Bars on standard error.
    #[must_use]
    pub fn new() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)) }
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

/// Styles are constants of ours; should one not parse, the plain style serves.
fn style(template: &str, plain: fn() -> ProgressStyle) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| plain()).progress_chars("=> ")
}

impl Progress for Bars {
    fn stage(&self, name: &str, unit: Unit, total: Option<u64>) -> Arc<dyn Stage> {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                match unit {
                    Unit::Bytes => {
                        "{prefix:<24} [{bar:30}] {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12}  {eta:>4} left"
                    }
                    Unit::Rows | Unit::Steps => {
                        "{prefix:<24} [{bar:30}] {human_pos:>10}/{human_len:<10} {per_sec:>12}  {eta:>4} left"
                    }
                },
                ProgressStyle::default_bar,
            )),
            None => ProgressBar::new_spinner().with_style(style(
                match unit {
                    Unit::Bytes => "{prefix:<24} {spinner} {bytes:>10} {bytes_per_sec:>12}  {elapsed}",
                    Unit::Rows | Unit::Steps => "{prefix:<24} {spinner} {human_pos:>10} {per_sec:>12}  {elapsed}",
                },
                ProgressStyle::default_spinner,
            )),
        };
        let bar = self.bars.add(bar.with_prefix(name.to_owned()));
        Arc::new(Bar { bar, name: name.to_owned(), started: Instant::now(), to_terminal: !self.bars.is_hidden() })
    }
}

struct Bar {
    bar: ProgressBar,
    name: String,
    started: Instant,
    to_terminal: bool,
}

impl Stage for Bar {
    fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    fn finish(&self, summary: &str) {
        let line = format!("{:<24} {:>8}  {summary}", self.name, seconds(self.started.elapsed()));
        self.bar.finish_and_clear();
        if self.to_terminal {
            self.bar.println(line.trim_end());
        } else {
            eprintln!("{}", line.trim_end());
        }
    }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_outlives_its_watchers_and_counts_past_its_total() {
        let bars = Bars { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()) };
        let stage = bars.stage("rows", Unit::Rows, Some(2));
        drop(bars);
        stage.advance(5);
        stage.finish("5 rows");
        Silent.stage("nothing", Unit::Bytes, None).finish("");
    }
}
