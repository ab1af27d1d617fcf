//! Pictures of a training of trees: its curve, the columns that matter, and how far its probabilities can be trusted.

use learning::{
    ranker::Trained,
    trees::{Bin, Report, Share},
};
use plotters::prelude::*;

use super::{Axis, INK, PALE, colour, count, legend, outline, picture, plain, text, ticks, with_side};

/// Columns that a picture has room for.
const COLUMNS: usize = 18;

/// All pictures of a training that it has the numbers for: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(report: &Report) -> anyhow::Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    if report.curve.len() > 1 {
        pictures.push(("learning".to_owned(), learning(report)?));
    }
    if !report.gains.is_empty() {
        let subtitle = format!("{}; share of what all questions gained in training", of(report));
        pictures.push(("gains".to_owned(), bars("What trees ask", &subtitle, "share, %", &report.gains, 100.0)?));
    }
    if report.permutation.iter().any(|share| share.value > 0.0) {
        let subtitle = format!("{}; how much worse {} gets on held-out rows", of(report), report.metric);
        let title = "What is lost when a column's numbers change places";
        pictures.push(("permutation".to_owned(), bars(title, &subtitle, &report.metric, &report.permutation, 1.0)?));
    }
    if !report.reliability.is_empty() {
        pictures.push(("reliability".to_owned(), reliability(report)?));
    }
    Ok(pictures)
}

fn of(report: &Report) -> String {
    let (rows, depth) = (count(report.rows as f64), report.settings.depth);
    format!("{} trees of up to {depth} levels, {rows} rows", report.trees)
}

fn learning(report: &Report) -> anyhow::Result<String> {
    let better = if report.more_is_better { "more is better" } else { "less is better" };
    let subtitle = format!("{}; {better}", of(report));
    let values = report.curve.iter().flat_map(|point| [Some(point.training), point.validation]).flatten();
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let room = ((high - low) * 0.06).max(1e-9);
    let (low, high) = (low - room, high + room);
    let marked: Vec<f64> = (0..=6).map(|n| low + (high - low) * f64::from(n) / 6.0).collect();
    let last = report.curve.len() as f64;
    picture("Learning", &subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(84)
            .build_cartesian_2d(Axis::even([0.0, last], ticks(last, 6)), Axis::even([low, high], marked))?;
        plain(&mut chart.configure_mesh())
            .x_desc("trees")
            .y_desc(report.metric.as_str())
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.4}"))
            .draw()?;
        let training: Vec<(f64, f64)> = report.curve.iter().map(|point| (point.trees as f64, point.training)).collect();
        let validation: Vec<(f64, f64)> =
            report.curve.iter().filter_map(|point| Some((point.trees as f64, point.validation?))).collect();
        for (n, line) in [training, validation].into_iter().enumerate() {
            chart.draw_series(LineSeries::new(line.iter().copied(), colour(n).stroke_width(2)))?;
            let step = (line.len() / 8).max(1);
            let marks = line.into_iter().skip(step / 2).step_by(step);
            chart
                .draw_series(marks.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        chart.draw_series(DashedLineSeries::new(
            [low, high].map(|y| (report.trees as f64, y)),
            5,
            5,
            PALE.stroke_width(1),
        ))?;
        let names = ["training", "validation"].map(str::to_owned);
        legend(&side, "part", &names[..if report.curve.iter().any(|p| p.validation.is_some()) { 2 } else { 1 }])?;
        side.draw(&Text::new("dashed: trees kept", (8, 112), text(13, PALE)))?;
        Ok(())
    })
}

fn bars(title: &str, subtitle: &str, what: &str, shares: &[Share], factor: f64) -> anyhow::Result<String> {
    let shown: Vec<&Share> = shares.iter().filter(|share| share.value > 0.0).take(COLUMNS).collect();
    let highest = shown.iter().map(|share| share.value * factor).fold(0.0, f64::max);
    let x = ticks(highest, 6);
    let last = x.last().copied().unwrap_or(1.0);
    let rows = shown.len() as f64;
    picture(title, subtitle, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_left(220)
            .margin_right(28)
            .x_label_area_size(52)
            .build_cartesian_2d(Axis::even([0.0, last], x), Axis::even([rows, 0.0], Vec::new()))?;
        plain(&mut chart.configure_mesh())
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(what)
            .x_label_formatter(&|x| format!("{}", (x * 1e6).round() / 1e6))
            .draw()?;
        for (row, share) in shown.iter().enumerate() {
            let top = row as f64;
            let to = (share.value * factor, top + 0.85);
            chart.draw_series([Rectangle::new([(0.0, top + 0.15), to], colour(0).filled())])?;
            let (_, y) = chart.backend_coord(&(0.0, top + 0.5));
            let (_, offset) = area.get_pixel_range();
            let name: String = share.name.chars().take(28).collect();
            area.draw(&Text::new(name, (24, y - offset.start), text(13, INK)))?;
        }
        Ok(())
    })
}

fn reliability(report: &Report) -> anyhow::Result<String> {
    let subtitle = format!("{}; each mark has equally many held-out rows", of(report));
    reliabilities(&subtitle, &[(String::new(), &report.reliability)])
}

/// How often what was predicted came true, for several predictions.
fn reliabilities(subtitle: &str, series: &[(String, &[Bin])]) -> anyhow::Result<String> {
    let bins = series.iter().flat_map(|(_, bins)| bins.iter());
    let most = bins.flat_map(|bin| [bin.predicted, bin.happened]).fold(0.0, f64::max);
    let x = ticks(most, 6);
    let last = x.last().copied().unwrap_or(1.0);
    picture("How often what was predicted came true", subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(Axis::even([0.0, last], x.clone()), Axis::even([0.0, last], x))?;
        plain(&mut chart.configure_mesh())
            .x_desc("mean probability that was predicted")
            .y_desc("share that came true")
            .x_label_formatter(&|x| format!("{x:.2}"))
            .y_label_formatter(&|y| format!("{y:.2}"))
            .draw()?;
        chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (last, last)], 5, 5, PALE.stroke_width(1)))?;
        for (n, (_, bins)) in series.iter().enumerate() {
            let line = bins.iter().map(|bin| (bin.predicted, bin.happened));
            chart.draw_series(LineSeries::new(line.clone(), colour(n).stroke_width(2)))?;
            chart.draw_series(line.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        let names: Vec<String> = series.iter().map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { Ok(()) } else { legend(&side, "action", &names) }
    })
}

/// All pictures of a ranker: how far its calibrated probabilities can be trusted, how likely cards are looked at by their
/// place, and for each action whose trees were reported their curve and the columns that matter.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn of_ranker(trained: &Trained, examination: &[(f64, usize)]) -> anyhow::Result<Vec<(String, String)>> {
    let tested = count(trained.rows[2] as f64);
    let calibrated: Vec<(String, &[Bin])> = trained
        .actions
        .iter()
        .map(|action| (format!("{}, {}", action.action, action.calibration), action.reliability.as_slice()))
        .collect();
    let subtitle = format!("calibrated; each mark has equally many of {tested} held-out rows");
    let mut all = vec![("reliability".to_owned(), reliabilities(&subtitle, &calibrated)?)];
    if examination.len() > 1 {
        all.push(("examination".to_owned(), examined(examination)?));
    }
    for (action, report) in &trained.reports {
        let raw = Report { reliability: Vec::new(), ..report.clone() };
        all.extend(pictures(&raw)?.into_iter().map(|(name, svg)| (format!("{action}-{name}"), svg)));
    }
    Ok(all)
}

fn examined(by_place: &[(f64, usize)]) -> anyhow::Result<String> {
    let cards = count(by_place.iter().map(|(_, cards)| *cards as f64).sum());
    let subtitle =
        format!("as a share of the first place; {cards} cards that were seen, by regression and expectation");
    let places = by_place.len() as f64;
    let highest = by_place.iter().map(|(looked, _)| *looked).fold(1.0, f64::max);
    let y = ticks(highest, 5);
    picture("How likely a card is looked at by its place", &subtitle, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Axis::even([0.5, places + 0.5], ticks(places, 10)),
                Axis::even([0.0, y.last().copied().unwrap_or(1.0)], y),
            )?;
        plain(&mut chart.configure_mesh())
            .x_desc("place on the shelf, the first is 1")
            .y_desc("share of the first place")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.1}"))
            .draw()?;
        let line = (1..).zip(by_place).map(|(place, (looked, _))| (f64::from(place), *looked));
        chart.draw_series(LineSeries::new(line.clone(), colour(0).stroke_width(2)))?;
        chart.draw_series(line.map(|at| EmptyElement::at(at) + Polygon::new(outline(0, 4), colour(0).filled())))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use learning::{
        progress::Silent,
        trees::{Settings, Table, train},
    };

    use super::*;

    #[test]
    fn a_training_has_four_pictures() {
        let column: Vec<f32> = (0..400).map(|n| (n * 37 % 400) as f32).collect();
        let labels: Vec<f32> = column.iter().map(|x| f32::from(u8::from(x % 100.0 > 30.0 && *x > 90.0))).collect();
        let table = Table { columns: vec![&column], labels: &labels, ..Table::default() };
        let settings = Settings { trees: 5, depth: 2, ..Settings::default() };
        let trained = train(&table, Some(&table), &settings, &Silent).unwrap();
        let report = Report::of(&trained, &settings, 400, &["tempo & key".to_owned()], &table);
        let pictures = pictures(&report).unwrap();
        let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["learning", "gains", "permutation", "reliability"]);
        for (_, svg) in &pictures {
            assert!(svg.contains("5 trees of up to 2 levels, 400 rows") && svg.ends_with("</svg>\n"), "{svg}");
        }
        assert!(pictures[1].1.contains("tempo"));
    }
}
