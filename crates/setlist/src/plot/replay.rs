//! Pictures of many answers made again: how much of each stays, and who gets the exposure.

use anyhow::Context;
use plotters::prelude::*;

use super::{Axis, colour, legend, outline, picture, plain, ticks, with_side};
use crate::replay::many::{Summary, quantile};

/// All pictures of a summary: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(summary: &Summary) -> anyhow::Result<Vec<(String, String)>> {
    Ok(vec![
        ("overlap".to_owned(), overlap(summary).context("the picture of overlaps failed")?),
        ("exposure".to_owned(), exposure(summary).context("the picture of exposure failed")?),
    ])
}

fn overlap(summary: &Summary) -> anyhow::Result<String> {
    let subtitle = format!("{} answers; {} came out the same, bit for bit", summary.answers, summary.same);
    let shares: Vec<f64> = (0..=50).map(|step| f64::from(step) / 50.0).collect();
    picture("How much of an answer stays", &subtitle, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(Axis::even([0.0, 1.0], ticks(1.0, 5)), Axis::even([0.0, 1.0], ticks(1.0, 5)))?;
        plain(&mut chart.configure_mesh())
            .x_desc("share of the answers, the most changed first")
            .y_desc("share of the cards that stay")
            .x_label_formatter(&|x| format!("{:.0} %", x * 100.0))
            .y_label_formatter(&|y| format!("{:.0} %", y * 100.0))
            .draw()?;
        let line = shares.iter().map(|share| (*share, quantile(&summary.overlaps, *share)));
        chart.draw_series(LineSeries::new(line, colour(0).stroke_width(2)))?;
        Ok(())
    })
}

fn exposure(summary: &Summary) -> anyhow::Result<String> {
    let segments: Vec<(&String, &[f64; 2])> = summary.exposure.iter().collect();
    let highest = segments.iter().flat_map(|(_, shares)| **shares).fold(0.0, f64::max);
    let y_ticks = ticks(highest, 6);
    let top = y_ticks.last().copied().unwrap_or(1.0);
    let width = segments.len() as f64;
    let subtitle = format!("{} answers; a card counts 1 / log2(rank + 2)", summary.answers);
    picture("Who gets the exposure", &subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(
                Axis::even([0.0, width], (0..segments.len()).map(|at| at as f64 + 0.5).collect()),
                Axis::even([0.0, top], y_ticks),
            )?;
        let named = |x: &f64| segments.get(*x as usize).map_or_else(String::new, |(name, _)| (*name).clone());
        plain(&mut chart.configure_mesh())
            .x_desc("items")
            .y_desc("share of the exposure")
            .x_label_formatter(&named)
            .y_label_formatter(&|y| format!("{:.0} %", y * 100.0))
            .draw()?;
        for side in 0..2 {
            let shift = if side == 0 { 0.4 } else { 0.6 };
            let marks = segments.iter().enumerate().map(|(at, (_, shares))| {
                EmptyElement::at((at as f64 + shift, shares[side]))
                    + Polygon::new(outline(side, 7), colour(side).filled())
            });
            chart.draw_series(marks)?;
        }
        legend(&side, "page", &["as answered".to_owned(), "made again".to_owned()])
    })
}
