//! Pictures of a comparison of engines: recall by the length of the list, and whom of the catalogue lists show.

use anyhow::Context;
use learning::evaluate::report::{Report, Row};
use plotters::prelude::*;

use super::{Axis, PALE, colour, count, legend, outline, picture, plain, text, ticks, with_side};

/// All pictures of a report that it has the numbers for: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(report: &Report) -> anyhow::Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    if report.rows.iter().any(|row| !row.curve.is_empty()) {
        pictures.push(("recall".to_owned(), recall(report).context("the picture of recall failed")?));
    }
    if report.rows.iter().any(|row| row.exposure.len() > 1) {
        pictures.push(("exposure".to_owned(), exposure(report).context("the picture of exposure failed")?));
    }
    Ok(pictures)
}

/// What the numbers are of, for the line below the title.
fn of(report: &Report) -> String {
    let part = match report.part {
        learning::evaluate::protocol::Part::Test => "test part",
        learning::evaluate::protocol::Part::Validation => "validation part",
    };
    let (users, items) = (count(report.size.measured as f64), count(report.size.items as f64));
    format!("{}, {part}: {users} users, {items} items", report.protocol)
}

fn names(report: &Report) -> Vec<String> {
    report.rows.iter().map(|row| row.engine.clone()).collect()
}

fn recall(report: &Report) -> anyhow::Result<String> {
    let subtitle = format!("{}; bands hold the mean with 95 % confidence (bootstrap over users)", of(report));
    let highest = report.rows.iter().flat_map(|row| &row.curve).map(|point| point.recall.high).fold(0.0, f64::max);
    let y_ticks = ticks(highest, 6);
    let top = y_ticks.last().copied().unwrap_or(1.0);
    let lengths: Vec<f64> = report
        .rows
        .iter()
        .map(|row| &row.curve)
        .max_by_key(|curve| curve.len())
        .map_or_else(Vec::new, |curve| curve.iter().map(|point| point.k as f64).collect());
    let (first, last) = (lengths.first().copied().unwrap_or(1.0), lengths.last().copied().unwrap_or(100.0));
    picture("Recall by length of the list", &subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Axis::logarithmic([first, last * 1.06], vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]),
                Axis::even([0.0, top], y_ticks),
            )?;
        plain(&mut chart.configure_mesh())
            .x_desc("items on the list (logarithmic scale)")
            .y_desc("recall: share of the held-out items that are found")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.2}"))
            .draw()?;
        for (n, row) in report.rows.iter().enumerate() {
            let band: Vec<(f64, f64)> = row
                .curve
                .iter()
                .map(|point| (point.k as f64, point.recall.high))
                .chain(row.curve.iter().rev().map(|point| (point.k as f64, point.recall.low)))
                .collect();
            chart.draw_series([Polygon::new(band, colour(n).mix(0.22))])?;
        }
        for (n, row) in report.rows.iter().enumerate() {
            let line = row.curve.iter().map(|point| (point.k as f64, point.recall.mean));
            chart.draw_series(LineSeries::new(line.clone(), colour(n).stroke_width(2)))?;
            chart.draw_series(line.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        legend(&side, "engine", &names(report))
    })
}

fn exposure(report: &Report) -> anyhow::Result<String> {
    let subtitle = format!("{}; the {} best of every user's list", of(report), report.k);
    picture("Who is shown: exposure by popularity", &subtitle, |area| {
        let (body, side) = with_side(area);
        let tenths: Vec<f64> = (0..=5).map(|n| f64::from(n) * 20.0).collect();
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Axis::logarithmic([0.01, 100.0], vec![0.01, 0.1, 1.0, 10.0, 100.0]),
                Axis::even([0.0, 102.0], tenths),
            )?;
        plain(&mut chart.configure_mesh())
            .x_desc("most popular share of the catalogue, % (logarithmic scale)")
            .y_desc("share of all recommendations, %")
            .x_label_formatter(&|x| format!("{x}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()?;
        // Everything alike: x % of the catalogue has x % of the exposure.
        let alike = (0..=80).map(|n| 10_f64.powf(-2.0 + 4.0 * f64::from(n) / 80.0)).map(|share| (share, share));
        chart.draw_series(DashedLineSeries::new(alike, 5, 5, PALE.stroke_width(1)))?;
        for (n, row) in report.rows.iter().enumerate() {
            let line = curve(row);
            chart.draw_series(LineSeries::new(line.iter().copied(), colour(n).stroke_width(2)))?;
            // Marks a step apart, so that they tell the lines apart and hide none.
            let step = (line.len() / 8).max(1);
            let marked = line.iter().copied().skip(step / 2 + n % step).step_by(step);
            chart
                .draw_series(marked.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        legend(&side, "engine", &names(report))?;
        let y = 60 + 24 * report.rows.len() as i32;
        side.draw(&PathElement::new(vec![(6, y), (12, y)], PALE))?;
        side.draw(&PathElement::new(vec![(17, y), (23, y)], PALE))?;
        side.draw(&Text::new("all items alike", (30, y), text(14, PALE)))?;
        Ok(())
    })
}

/// The curve in per cent, from where the axis begins.
fn curve(row: &Row) -> Vec<(f64, f64)> {
    row.exposure
        .iter()
        .map(|(items, shown)| (items * 100.0, shown * 100.0))
        .filter(|(items, _)| *items >= 0.01)
        .collect()
}

#[cfg(test)]
mod tests {
    use learning::{
        evaluate::{
            engine::engine,
            protocol::{Options, Part, Task, protocol},
            run::{self, Lengths},
            training::{History, Training},
        },
        progress::Silent,
    };

    use super::*;

    #[test]
    fn every_engine_is_in_every_picture() {
        let learn = History::of_sets(30, &(0..20).map(|user| vec![user, (user + 1) % 20]).collect::<Vec<_>>()).unwrap();
        let held_out = History::of_sets(30, &(0..20).map(|user| vec![(user + 2) % 20]).collect::<Vec<_>>()).unwrap();
        let task =
            Task { training: Training { learn, ..Training::default() }, held_out: held_out.seen, ..Task::default() };
        let protocol = protocol("gowalla-lightgcn").unwrap();
        let engines = [engine("popularity").unwrap(), engine("factors").unwrap()];
        let lengths = Lengths::of(protocol, &[5], true);
        let report = run::compare(protocol, &Options::new(Part::Test), &task, &engines, &lengths, &Silent).unwrap();
        let pictures = pictures(&report).unwrap();
        assert_eq!(pictures.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["recall", "exposure"]);
        for (_, svg) in &pictures {
            for part in ["popularity", "factors", "test part: 20 users, 30 items", "logarithmic"] {
                assert!(svg.contains(part), "{part}: {svg}");
            }
        }
    }
}
