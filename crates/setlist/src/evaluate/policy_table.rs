//! Policies in the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, presets};
use learning::offpolicy::{
    Estimate,
    coverage::{Covered, Settings},
    report::{Comparison, Report},
};

/// The report as text.
pub(super) fn report(report: &Report) -> String {
    let mut text = format!("{} · reward {} · seed {}\n", report.about, report.reward, report.seed);
    for comparison in &report.comparisons {
        let _ = writeln!(text, "\n{}", heading(comparison));
        if !comparison.estimates.is_empty() || comparison.truth.is_some() {
            let _ = writeln!(text, "{}", table(comparison));
        }
        for note in &comparison.notes {
            let _ = writeln!(text, "Note: {note}");
        }
    }
    let has_truth = report.comparisons.iter().any(|comparison| comparison.truth.is_some());
    let _ = writeln!(
        text,
        "\nThe interval holds the value with 95 % confidence. Effective: as many decisions of the policy itself would say as \
         much. Mean weight: 1 in expectation, less where the policy does what the log never did.{}",
        if has_truth { " Apart: the distance to what the policy brought itself, in units of it." } else { "" }
    );
    text.trim_end().to_owned()
}

fn heading(comparison: &Comparison) -> String {
    let Comparison { of, policy, log, rounds, listeners, logged, .. } = comparison;
    let whose = listeners.map_or_else(String::new, |count| format!(" of {count} listeners"));
    let brought = format!("{log} brought {:.5} ({:.5} to {:.5})", logged.value, logged.low, logged.high);
    if policy == log {
        format!("{of}: {brought} by {rounds} answers{whose}")
    } else {
        format!("{of}: {policy}, by the log of {log} ({rounds} decisions{whose}); {brought}")
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn head(table: &mut Table, names: &[&str]) {
    table.set_header(names.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
}

fn table(comparison: &Comparison) -> Table {
    let mut table = plain();
    let mut names = vec!["estimator", "value", "from", "to", "effective", "mean weight", "largest", "clipped"];
    if comparison.truth.is_some() {
        names.extend(["apart", "holds it"]);
    }
    head(&mut table, &names);
    for estimate in &comparison.estimates {
        table.add_row(row(comparison, estimate));
    }
    if let Some(truth) = &comparison.truth {
        let mut cells = vec![Cell::new(format!("[{} itself]", comparison.policy)).fg(Color::DarkGrey)];
        cells.extend(
            [truth.value, truth.low, truth.high].map(|value| number(format!("{value:.5}")).fg(Color::DarkGrey)),
        );
        table.add_row(cells);
    }
    table
}

fn row(comparison: &Comparison, estimate: &Estimate) -> Vec<Cell> {
    let mut cells = vec![Cell::new(estimate.estimator)];
    cells.extend([estimate.value, estimate.low, estimate.high].map(|value| number(format!("{value:.5}"))));
    match estimate.weights {
        Some(weights) => cells.extend([
            number(format!("{:.0}", weights.effective)),
            number(format!("{:.3}", weights.mean)),
            number(format!("{:.1}", weights.largest)),
            number(format!("{:.2} %", weights.clipped * 100.0)),
        ]),
        None => cells.extend((0..4).map(|_| Cell::new(""))),
    }
    if let Some(truth) = &comparison.truth {
        let apart = comparison.relative_error(estimate);
        cells.push(number(apart.map_or_else(String::new, |apart| format!("{:.1} %", apart * 100.0))));
        cells.push(Cell::new(if estimate.holds(truth.value) { "yes" } else { "no" }));
    }
    cells
}

/// How often intervals held the truth.
pub(super) fn coverage(settings: &Settings, covered: &[Covered]) -> String {
    let mut table = plain();
    head(
        &mut table,
        &["decisions", "estimator", "truth", "mean", "rmse", "claimed error", "effective", "95 % interval held it"],
    );
    for row in covered {
        table.add_row([
            Cell::new(row.decisions),
            Cell::new(row.estimator),
            number(format!("{:.5}", row.truth)),
            number(format!("{:.5}", row.mean)),
            number(format!("{:.5}", row.rmse)),
            number(format!("{:.5}", row.claimed)),
            number(row.effective.map_or_else(String::new, |effective| format!("{effective:.0}"))),
            number(format!("{:.1} %", row.coverage * 100.0)),
        ]);
    }
    format!(
        "The generated world · {} logs of {} decisions and of as many lists of 3 · seed {}\n\n{table}\n\
         DM alone need not hold the truth: its interval knows nothing of the model's bias.",
        settings.runs, settings.rounds, settings.seed.0
    )
}

fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use learning::offpolicy::Weights;

    use super::*;

    #[test]
    fn a_report_shows_values_weights_and_the_truth() {
        let of = |estimator, value: f64, weights| Estimate {
            estimator,
            value,
            low: value - 0.01,
            high: value + 0.01,
            error: 0.005,
            weights,
        };
        let weights = Weights { mean: 0.98, largest: 40.2, clipped: 0.015, effective: 812.4 };
        let comparison = Comparison {
            of: "men".to_owned(),
            policy: "bts".to_owned(),
            log: "random".to_owned(),
            rounds: 10_000,
            logged: of("on-policy", 0.03, None),
            truth: Some(of("on-policy", 0.05, None)),
            estimates: vec![of("IPS", 0.055, Some(weights)), of("DM", 0.02, None)],
            notes: vec!["a note".to_owned()],
            ..Comparison::default()
        };
        let text = report(&Report {
            about: "two policies".to_owned(),
            reward: "click".to_owned(),
            seed: 3,
            comparisons: vec![comparison],
        });
        for part in [
            "two policies",
            "men: bts, by the log of random",
            "IPS",
            "0.05500",
            "812",
            "40.2",
            "1.50 %",
            "10.0 %",
            "yes",
            "no",
            "[bts itself]",
            "a note",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
