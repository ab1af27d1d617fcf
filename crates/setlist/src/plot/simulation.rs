//! Pictures of a simulation: reward over rounds, new tracks that were found, and how pages follow a change of taste.

use anyhow::Context;
use plotters::prelude::*;

use super::{Axis, PALE, colour, legend, outline, picture, plain, ticks, with_side};
use crate::simulate::report::Report;

/// All pictures of a simulation: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(report: &Report) -> anyhow::Result<Vec<(String, String)>> {
    let of = format!(
        "{} listeners; {} of them change their taste at round {}; seed {}",
        report.listeners, report.changed, report.half_time, report.seed
    );
    let names: Vec<String> = report.arms.iter().map(|arm| arm.arm.clone()).collect();
    let numbered = |values: &[f64]| -> Vec<(f64, f64)> {
        values.iter().enumerate().map(|(round, value)| (round as f64 + 1.0, *value)).collect()
    };
    let rewards: Vec<_> = report.arms.iter().map(|arm| numbered(&smoothed(&arm.by_round))).collect();
    let found: Vec<_> = report
        .arms
        .iter()
        .map(|arm| numbered(&arm.found_by_round.iter().map(|found| *found as f64).collect::<Vec<_>>()))
        .collect();
    let followed: Vec<_> = report
        .arms
        .iter()
        .map(|arm| {
            arm.change.iter().flat_map(|change| &change.by_plays).map(|(n, fit)| (f64::from(*n), *fit)).collect()
        })
        .collect();
    let mark = Some(f64::from(report.half_time) + 1.0);
    let mut pictures = Vec::new();
    let mut add = |name: &str, title: &str, [x, y]: [&str; 2], lines: &[Vec<(f64, f64)>], mark| {
        let svg =
            lines_of(title, &of, [x, y], &names, lines, mark).with_context(|| format!("the picture {name} failed"))?;
        pictures.push((name.to_owned(), svg));
        anyhow::Ok(())
    };
    let reward = ["round", "reward of a page (mean of three rounds)"];
    add("simulation-reward", "Reward over time", reward, &rewards, mark)?;
    if report.planted > 0 {
        let tracks = ["round", "planted tracks that three or more have played"];
        add("simulation-new", "Good new tracks that were found", tracks, &found, None)?;
    }
    if report.arms.iter().any(|arm| arm.change.is_some()) {
        let fit = ["plays since the change", "probability that a card is played when it is looked at"];
        add("simulation-change", "How pages follow a change of taste", fit, &followed, None)?;
    }
    Ok(pictures)
}

/// The mean of each value and its neighbours.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let around = |at: usize| &values[at.saturating_sub(1)..(at + 2).min(values.len())];
    (0..values.len()).map(|at| around(at).iter().sum::<f64>() / around(at).len() as f64).collect()
}

fn lines_of(
    title: &str,
    subtitle: &str,
    [x, y]: [&str; 2],
    names: &[String],
    lines: &[Vec<(f64, f64)>],
    mark: Option<f64>,
) -> anyhow::Result<String> {
    let most = |of: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(of).fold(0.0, f64::max);
    let (x_ticks, y_ticks) = (ticks(most(|at| at.0), 6), ticks(most(|at| at.1), 6));
    let end = |ticks: &[f64]| ticks.last().copied().unwrap_or(1.0);
    let digits = if end(&y_ticks) > 5.0 { 0 } else { 2 };
    picture(title, subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Axis::even([0.0, end(&x_ticks)], x_ticks.clone()),
                Axis::even([0.0, end(&y_ticks)], y_ticks.clone()),
            )?;
        plain(&mut chart.configure_mesh())
            .x_desc(x)
            .y_desc(y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.digits$}"))
            .draw()?;
        if let Some(at) = mark {
            chart.draw_series([PathElement::new([(at, 0.0), (at, end(&y_ticks))], PALE.stroke_width(1))])?;
        }
        for (n, line) in lines.iter().enumerate() {
            chart.draw_series(LineSeries::new(line.iter().copied(), colour(n).stroke_width(2)))?;
            let step = (line.len() / 8).max(1);
            let marked = line.iter().copied().skip(n % step).step_by(step);
            chart
                .draw_series(marked.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        legend(&side, "arm", names)
    })
}
