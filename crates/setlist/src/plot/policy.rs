//! Pictures of policies: estimates with their intervals beside what is true, and how often intervals hold it.

use anyhow::Context;
use learning::offpolicy::{
    coverage::{Covered, Settings},
    report::{Comparison, Report},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{Axis, INK, PALE, colour, count, outline, picture, plain, text};

/// A picture of every comparison that has estimates: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(report: &Report) -> anyhow::Result<Vec<(String, String)>> {
    let drawn = report.comparisons.iter().filter(|comparison| !comparison.estimates.is_empty()).map(|comparison| {
        let name = format!("policy-{}-{}-by-{}", comparison.of, comparison.policy, comparison.log);
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        let svg = values(report, comparison).with_context(|| format!("the picture {name} failed"))?;
        Ok((name, svg))
    });
    drawn.collect()
}

/// A row of a picture: a name, and a value with its interval.
struct Row {
    name: String,
    value: f64,
    low: f64,
    high: f64,
}

fn values(report: &Report, comparison: &Comparison) -> anyhow::Result<String> {
    let row = |name: &str, of: &learning::offpolicy::Estimate| Row {
        name: name.to_owned(),
        value: of.value,
        low: of.low,
        high: of.high,
    };
    let mut rows: Vec<Row> = comparison.estimates.iter().map(|of| row(of.estimator, of)).collect();
    rows.push(row(&format!("the log ({})", comparison.log), &comparison.logged));
    let Comparison { of, policy, log, rounds, .. } = comparison;
    let title = format!("{of}: {policy}, by the log of {log}");
    let band = comparison.truth.as_ref().map(|truth| (truth.value, truth.low, truth.high));
    let what = if band.is_some() { format!("; the band is what {policy} brought itself") } else { String::new() };
    let subtitle = format!("{} decisions, reward {}, intervals of 95 %{what}", count(*rounds as f64), report.reward);
    picture(&title, &subtitle, |area| forest(area, &rows, band, "value of a decision"))
}

/// How often intervals held the truth, as a picture.
///
/// # Errors
/// When it cannot be drawn.
pub fn coverage(settings: &Settings, covered: &[Covered]) -> anyhow::Result<(String, String)> {
    let runs = settings.runs as f64;
    let rows: Vec<Row> = covered
        .iter()
        .map(|row| {
            // Wilson's interval for a share of the runs.
            let (p, z) = (row.coverage, 1.96_f64);
            let (middle, below) = (p + z * z / (2.0 * runs), 1.0 + z * z / runs);
            let half = z * (p * (1.0 - p) / runs + z * z / (4.0 * runs * runs)).sqrt();
            let [low, high] = [middle - half, middle + half].map(|end| end / below);
            Row { name: format!("{} {}", row.decisions, row.estimator), value: p, low, high }
        })
        .collect();
    let subtitle = format!(
        "{} logs of {} decisions each, seed {}; the line is 95 %",
        count(runs),
        count(settings.rounds as f64),
        settings.seed.0
    );
    let svg = picture("How often a 95 % interval holds the truth", &subtitle, |area| {
        forest(area, &rows, Some((0.95, 0.95, 0.95)), "share of logs")
    })?;
    Ok(("policy-coverage".to_owned(), svg))
}

/// Values one below another, each with its interval, before a band.
fn forest(area: &super::Area<'_>, rows: &[Row], band: Option<(f64, f64, f64)>, of: &str) -> anyhow::Result<()> {
    let ends =
        rows.iter().flat_map(|row| [row.low, row.high]).chain(band.iter().flat_map(|(_, low, high)| [*low, *high]));
    let (least, most) = ends.fold((f64::MAX, f64::MIN), |(least, most), end| (least.min(end), most.max(end)));
    let room = ((most - least) * 0.06).max(1e-9);
    let (from, to) = (least - room, most + room);
    let lines = rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .margin_right(28)
        .x_label_area_size(52)
        .y_label_area_size(170)
        .build_cartesian_2d(Axis::even([from, to], steps(from, to)), Axis::even([lines, 0.0], Vec::new()))?;
    let digits = usize::try_from(-(to - from).log10().floor() as i64).unwrap_or(0) + 1;
    plain(&mut chart.configure_mesh()).x_desc(of).x_label_formatter(&|x| format!("{x:.digits$}")).draw()?;
    if let Some((value, low, high)) = band {
        chart.draw_series([Rectangle::new([(low, 0.0), (high, lines)], PALE.mix(0.14).filled())])?;
        chart.draw_series([PathElement::new([(value, 0.0), (value, lines)], PALE.stroke_width(1))])?;
    }
    let named = text(14, INK).pos(Pos::new(HPos::Right, VPos::Center));
    for (n, row) in rows.iter().enumerate() {
        let y = n as f64 + 0.5;
        chart.draw_series([PathElement::new([(row.low, y), (row.high, y)], colour(n).stroke_width(3))])?;
        let mark = EmptyElement::at((row.value, y)) + Polygon::new(outline(n, 5), colour(n).filled());
        chart.draw_series([mark])?;
        chart.draw_series([EmptyElement::at((from, y)) + Text::new(row.name.clone(), (-10, 0), named.clone())])?;
    }
    Ok(())
}

/// Round values within a span, about six.
fn steps(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough).unwrap_or(10.0) * power;
    let first = (from / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|value| *value <= to).collect()
}

#[cfg(test)]
mod tests {
    use learning::offpolicy::Estimate;

    use super::*;

    #[test]
    fn every_estimator_is_in_the_picture() {
        let of = |estimator, value: f64| Estimate {
            estimator,
            value,
            low: value - 0.01,
            high: value + 0.02,
            ..Estimate::default()
        };
        let comparison = Comparison {
            of: "home/made for you".to_owned(),
            policy: "bts".to_owned(),
            log: "random".to_owned(),
            rounds: 12_000,
            logged: of("on-policy", 0.03),
            truth: Some(of("on-policy", 0.05)),
            estimates: vec![of("IPS", 0.055), of("SNDR", -0.01)],
            ..Comparison::default()
        };
        let report = Report { reward: "click".to_owned(), comparisons: vec![comparison], ..Report::default() };
        let pictures = pictures(&report).unwrap();
        assert_eq!(pictures[0].0, "policy-home-made-for-you-bts-by-random");
        for part in ["IPS", "SNDR", "the log (random)", "12,000 decisions", "brought itself", "0.04"] {
            assert!(pictures[0].1.contains(part), "{part}: {}", pictures[0].1);
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(steps(-0.9, 4.2), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }
}
