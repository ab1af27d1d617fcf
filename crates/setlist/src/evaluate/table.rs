//! A comparison in the terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, presets};
use learning::evaluate::{
    Interval,
    engine::engines,
    protocol::{Part, protocols},
    report::{Report, Row},
};

/// The report as text.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let size = report.size;
    let part = match report.part {
        Part::Test => "test part",
        Part::Validation => "validation part (the test part was not read)",
    };
    let _ = writeln!(text, "{} · {part} · seed {} · {} threads", report.protocol, report.seed, report.threads);
    let _ = writeln!(text, "{}", report.about);
    let _ = writeln!(
        text,
        "{} users, {} items, {} pairs to learn from, {} held out of {} users",
        size.users, size.items, size.learned, size.held_out, size.measured
    );
    if !report.tuning.is_empty() {
        let _ = writeln!(text, "\nTried on the validation part:\n{}", tuning(report));
    }
    let _ = writeln!(text, "\n{}", comparison(report));
    let _ = writeln!(
        text,
        "Below a mean: the interval that holds it with 95 % confidence. Behind: the first measure less that of the best \
         engine, user by user.\nCoverage, Gini, novelty (bits) and popularity (users who have a recommended item) are \
         those of the first {}. Peak memory includes the data.",
        report.k
    );
    for source in sources(report) {
        let _ = writeln!(text, "Published rows (in brackets): {source}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    text.trim_end().to_owned()
}

fn sources(report: &Report) -> Vec<&'static str> {
    let mut sources: Vec<&'static str> = report.published.iter().map(|row| row.source).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

fn comparison(report: &Report) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic);
    let mut heading = vec!["engine".to_owned()];
    heading.extend(report.measures.iter().map(ToString::to_string));
    heading.extend(
        ["behind", "coverage", "Gini", "novelty", "popularity", "learned in", "lists in", "peak"].map(str::to_owned),
    );
    table.set_header(heading.into_iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    let best: Vec<f64> = (0..report.measures.len())
        .map(|at| report.rows.iter().filter_map(|row| row.values.get(at)).map(|v| v.mean).fold(f64::MIN, f64::max))
        .collect();
    for row in &report.rows {
        table.add_row(cells(row, &best, report.rows.len() > 1));
    }
    for published in &report.published {
        let mut cells = vec![Cell::new(format!("[{}]", published.method)).fg(Color::DarkGrey)];
        cells.extend(published.values.iter().map(|value| {
            let text = value.map_or_else(String::new, |value| format!("{value:.4}"));
            number(text).fg(Color::DarkGrey)
        }));
        table.add_row(cells);
    }
    table
}

fn cells(row: &Row, best: &[f64], is_compared: bool) -> Vec<Cell> {
    let mut cells = vec![Cell::new(&row.engine)];
    for (value, best) in row.values.iter().zip(best) {
        let cell = number(format!("{:.4}\n{:.4}–{:.4}", value.mean, value.low, value.high));
        cells.push(if value.mean >= *best { cell.add_attribute(Attribute::Bold) } else { cell });
    }
    let behind = row.behind.map_or_else(|| if is_compared { "best" } else { "" }.to_owned(), signed);
    cells.push(number(behind));
    cells.push(number(format!("{:.1} %", row.coverage * 100.0)));
    cells.push(number(format!("{:.3}", row.gini)));
    cells.push(number(format!("{:.2}", row.novelty.mean)));
    cells.push(number(format!("{:.0}", row.popularity.mean)));
    cells.push(number(seconds(row.train_seconds)));
    cells.push(number(seconds(row.rank_seconds)));
    cells.push(number(row.peak_bytes.map_or_else(String::new, |bytes| format!("{} MiB", bytes >> 20))));
    cells
}

fn signed(interval: Interval) -> String {
    format!("{:+.4}\n{:+.4} to {:+.4}", interval.mean, interval.low, interval.high)
}

fn tuning(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let decides = report.measures.first().map_or_else(String::new, ToString::to_string);
    table.set_header(["", "engine", "settings", &decides, "learned in"].map(str::to_owned));
    for tried in &report.tuning {
        let settings: Vec<String> = tried.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.add_row([
            Cell::new(if tried.chosen { "  →" } else { "" }),
            Cell::new(&tried.engine),
            Cell::new(settings.join(" ")),
            number(format!("{:.4}", tried.value.mean)),
            number(seconds(tried.train_seconds)),
        ]);
    }
    table
}

fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}

/// The protocols and the engines with their settings.
pub(super) fn listing() -> String {
    let mut text = "Protocols\n".to_owned();
    for protocol in protocols() {
        let measures: Vec<String> = protocol.measures.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "\n  {}\n    {}", protocol.name, protocol.about);
        let _ = writeln!(text, "    reads {}; reports {}", protocol.files, measures.join(", "));
        for row in protocol.published {
            let values: Vec<String> = row
                .values
                .iter()
                .zip(protocol.measures)
                .filter_map(|(value, measure)| Some(format!("{measure} {:.4}", (*value)?)))
                .collect();
            let _ = writeln!(text, "    published: {:<24} {} ({})", row.method, values.join(", "), row.source);
        }
    }
    let _ = writeln!(text, "\nEngines");
    for engine in engines() {
        let _ = writeln!(text, "\n  {}\n    {}", engine.name(), engine.about());
        for setting in engine.settings() {
            let _ = writeln!(text, "    {:<18} {:<10} {}", setting.name, setting.value, setting.about);
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use learning::evaluate::{
        protocol::{Options, protocol},
        report::{PublishedRow, Size},
    };

    use super::*;

    #[test]
    fn a_report_shows_means_intervals_and_published_rows() {
        let protocol = protocol("ml-1m-loo").unwrap();
        let value = |mean| Interval { mean, low: mean - 0.01, high: mean + 0.01 };
        let row = |engine: &str, mean: f64, behind| Row {
            engine: engine.to_owned(),
            values: vec![value(mean), value(mean / 2.0)],
            behind,
            peak_bytes: Some(3 << 20),
            ..Row::default()
        };
        let text = report(&Report {
            protocol: protocol.name,
            about: protocol.about,
            part: Options::new(Part::Test).part,
            seed: 1,
            size: Size::default(),
            measures: protocol.measures[..2].to_vec(),
            k: 10,
            rows: vec![row("popularity", 0.1, Some(value(-0.2))), row("factors", 0.3, None)],
            published: vec![PublishedRow { method: "SASRec", values: vec![Some(0.25), None], source: "a README" }],
            tuning: Vec::new(),
            notes: vec!["a note".to_owned()],
            threads: 2,
            version: "0",
        });
        for part in
            ["HR@10", "0.3000", "0.2900–0.3100", "-0.2000", "best", "[SASRec]", "0.2500", "3 MiB", "a README", "a note"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_listing_names_everything() {
        let text = listing();
        for part in ["gowalla-lightgcn", "ml-1m-infae", "published: BERT4Rec", "factors", "dimensions"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
