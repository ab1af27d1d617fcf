//! A simulation in the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::report::{ArmReport, Report};

/// The report as text.
pub(super) fn text(report: &Report) -> String {
    let Report { listeners, rounds, half_time, changed, planted, seed, .. } = report;
    let mut text = format!(
        "{listeners} listeners, {rounds} rounds · {changed} changed their taste at round {half_time} · {planted} good tracks \
         came new · seed {seed}\n\n"
    );
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic);
    let heading = [
        "arm",
        "reward a page",
        "over popular",
        "margin",
        "plays a page",
        "new found",
        "new played",
        "new shown",
        "plays to half",
        "to 80 %",
        "requests",
    ];
    table.set_header(heading.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for arm in &report.arms {
        table.add_row(row(arm, *planted));
    }
    let _ = writeln!(text, "{table}");
    let _ = writeln!(
        text,
        "Reward: play 1, complete 2, like 4, skip -1.5, summed over a page's ten cards. Below a mean: its 95 % interval, by \
         bootstrap over listeners; over popular: listener by listener.\nNew found: planted tracks that three listeners or \
         more have played from a page. Plays to half, to 80 %: plays since a change of taste until pages fit as much better \
         again."
    );
    if let Some([p50, p95, p99]) = report.freshness_ms {
        let _ = writeln!(
            text,
            "From a play to a page that knows of it: p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms."
        );
    }
    text.trim_end().to_owned()
}

fn row(arm: &ArmReport, planted: usize) -> Vec<Cell> {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let signed = arm
        .over_popular
        .map_or_else(String::new, |over| format!("{:+.3}\n{:+.3} to {:+.3}", over.mean, over.low, over.high));
    let plays = |reached: fn(&super::report::Change) -> Option<u32>| match &arm.change {
        Some(change) if change.hurt() => {
            reached(change).map_or_else(|| "not yet".to_owned(), |plays| plays.to_string())
        }
        Some(_) => "nothing lost".to_owned(),
        None => String::new(),
    };
    let reward = arm.reward;
    vec![
        Cell::new(&arm.arm),
        right(format!("{:.3}\n{:.3}–{:.3}", reward.mean, reward.low, reward.high)),
        right(signed),
        right(arm.margin.map_or_else(String::new, |margin| format!("{:+.0} %", margin * 100.0))),
        right(format!("{:.2}", arm.plays)),
        right(format!("{} of {planted}", arm.found_by_round.last().copied().unwrap_or(0))),
        right(arm.played_new.to_string()),
        right(format!("{:.1} %", arm.shown_new * 100.0)),
        right(plays(|change| change.half)),
        right(plays(|change| change.most)),
        right(arm.requests.to_string()),
    ]
}
