//! The table of docs/faults.md: what is promised, how often it was tried, how often it failed. This file must not know
//! how a fault is made.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use shared_models::{Clock, SystemClock};

/// How the table's lines begin; all other lines of the document are kept as they are.
const HEAD: &str = "| promise | what | tried | failed | p99 before, during, after | seen | seed | date |";
const RULE: &str = "|---|---|---|---|---|---|---|---|";

/// What became of one promise.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number, such as `R7`.
    pub promise: &'static str,
    /// What was done.
    pub what: String,
    /// How often it was tried: pages, events, restarts.
    pub tried: u64,
    /// What went against the promise, one text each; more of the same are told as a number.
    pub failures: Vec<String>,
    /// The 99th percentile of pages before, during and after.
    pub p99: [Option<Duration>; 3],
    /// What else was seen.
    pub seen: String,
    /// The seed of the run.
    pub seed: u64,
}

impl Row {
    /// A row of a promise.
    #[must_use]
    pub fn new(promise: &'static str, what: impl Into<String>, seed: u64) -> Self {
        Self { promise, what: what.into(), tried: 0, failures: Vec::new(), p99: [None; 3], seen: String::new(), seed }
    }

    /// Notes a failure, unless it holds.
    pub fn expect(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(failure());
        }
    }

    fn line(&self, date: &str) -> String {
        let time = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), milliseconds);
        let [before, during, after] = self.p99.map(time);
        let p99 = if self.p99.iter().all(Option::is_none) {
            "–".to_owned()
        } else {
            format!("{before}, {during}, {after}")
        };
        let failed = match self.failures.first() {
            None => "0".to_owned(),
            Some(first) => format!("**{}**: {}", self.failures.len(), first.replace(['|', '\n'], " ")),
        };
        format!(
            "| {} | {} | {} | {failed} | {p99} | {} | {} | {date} |",
            self.promise, self.what, self.tried, self.seen, self.seed
        )
    }

    /// What makes a row the same as one of an earlier run.
    fn identity(line: &str) -> Option<(String, String)> {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failures.is_empty() { "holds" } else { "FAILS" };
        write!(
            f,
            "{:<4} {verdict}  {}: {} tried, {} failed",
            self.promise,
            self.what,
            self.tried,
            self.failures.len()
        )?;
        if self.p99.iter().any(Option::is_some) {
            let time = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), milliseconds);
            let [before, during, after] = self.p99.map(time);
            write!(f, "; p99 {before} before, {during} during, {after} after")?;
        }
        if !self.seen.is_empty() {
            write!(f, "; {}", self.seen)?;
        }
        for failure in &self.failures {
            write!(f, "\n       {failure}")?;
        }
        Ok(())
    }
}

/// A time to read.
#[must_use]
pub fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

/// Puts rows into the document: each takes the place of the same of an earlier run.
///
/// # Errors
/// When the document cannot be read or written, or has no table.
pub fn write(rows: &[Row], document: &Path) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| format!("{} is not there", document.display()))?;
    let date = SystemClock.now().to_string();
    let date = date.get(..10).unwrap_or(&date);
    let text = merge(&text, &rows.iter().map(|row| row.line(date)).collect::<Vec<_>>())
        .with_context(|| format!("{} has no table that begins with {HEAD:?}", document.display()))?;
    fs::write(document, text).with_context(|| format!("{} is not written", document.display()))
}

fn merge(text: &str, rows: &[String]) -> Option<String> {
    let (before, rest) = text.split_once(HEAD)?;
    let rest = rest.trim_start().strip_prefix(RULE)?;
    let rest = rest.strip_prefix('\n').unwrap_or(rest);
    let old: Vec<&str> = rest.lines().take_while(|line| line.starts_with('|')).collect();
    let after: String = rest.lines().skip(old.len()).map(|line| format!("{line}\n")).collect();
    let mut lines: Vec<&str> = rows.iter().map(String::as_str).collect();
    lines.extend(old.into_iter().filter(|line| rows.iter().all(|row| Row::identity(row) != Row::identity(line))));
    // R1, R2, …, R10: by number, not by letter.
    let number = |line: &str| {
        let promise = Row::identity(line)?.0;
        promise.strip_prefix('R')?.parse::<u32>().ok()
    };
    lines.sort_by_key(|line| (number(line), Row::identity(line)));
    let table: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Some(format!("{before}{HEAD}\n{RULE}\n{table}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_row_takes_the_place_of_the_old_one_and_the_words_stay() {
        let row = |promise, what: &str, tried| {
            let mut row = Row::new(promise, what, 7);
            row.tried = tried;
            row.line("2026-11-26")
        };
        let text = format!("# Faults\n\n{HEAD}\n{RULE}\n\nWhat is not promised.\n");
        let text = merge(&text, &[row("R10", "database down", 5), row("R7", "ranking killed", 1)]).unwrap();
        let text = merge(&text, &[row("R7", "ranking killed", 2)]).unwrap();
        let expected = [
            "# Faults",
            "",
            HEAD,
            RULE,
            "| R7 | ranking killed | 2 | 0 | – |  | 7 | 2026-11-26 |",
            "| R10 | database down | 5 | 0 | – |  | 7 | 2026-11-26 |",
            "",
            "What is not promised.",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
