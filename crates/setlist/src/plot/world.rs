//! Pictures of a world: how popularity, activity, hours and genres are distributed.

use anyhow::Context;
use learning::world::Counts;
use plotters::prelude::*;

use super::{Axis, INK, colour, count, decades, legend, outline, picture, plain, text, ticks, with_side};

/// All pictures of a world: a name and an SVG.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn pictures(of: &str, counts: &Counts) -> anyhow::Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    let mut add = |name: &str, svg: anyhow::Result<String>| {
        let svg = svg.with_context(|| format!("the picture {name} failed"))?;
        pictures.push((name.to_owned(), svg));
        anyhow::Ok(())
    };
    add("popularity", popularity(of, counts))?;
    add("listeners", listeners(of, counts))?;
    add("hours", hours(of, counts))?;
    add("genres", genres(of, counts))?;
    Ok(pictures)
}

fn popularity(of: &str, counts: &Counts) -> anyhow::Result<String> {
    let series = [("tracks", &counts.tracks), ("artists", &counts.artists)];
    let most = series.iter().filter_map(|(_, counts)| counts.first()).copied().max().unwrap_or(1) as f64;
    let items = series.iter().map(|(_, counts)| counts.len()).max().unwrap_or(1) as f64;
    let (x, y) = (decades(items), decades(most));
    picture("Popularity: plays by rank", of, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(84)
            .build_cartesian_2d(Axis::logarithmic([1.0, items * 1.1], x), Axis::logarithmic([0.8, last(&y)], y))?;
        plain(&mut chart.configure_mesh())
            .x_desc("rank, most played first (logarithmic scale)")
            .y_desc("plays (logarithmic scale)")
            .x_label_formatter(&|x| count(*x))
            .y_label_formatter(&|y| count(*y))
            .draw()?;
        for (n, (_, counts)) in series.iter().enumerate() {
            let line = by_rank(counts);
            chart.draw_series(LineSeries::new(line.iter().copied(), colour(n).stroke_width(2)))?;
            let step = (line.len() / 9).max(1);
            let marked = line.iter().copied().step_by(step);
            chart
                .draw_series(marked.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 4), colour(n).filled())))?;
        }
        legend(&side, "plays of", &series.map(|(name, _)| name.to_owned()))
    })
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(10.0)
}

/// Counts by rank, thinned evenly on a logarithmic scale: a picture shows no more.
fn by_rank(descending: &[u64]) -> Vec<(f64, f64)> {
    let mut ranks: Vec<usize> =
        (0..=240).map(|n| (descending.len() as f64).powf(f64::from(n) / 240.0).round() as usize).collect();
    ranks.dedup();
    let of = |rank: usize| Some((rank as f64, *descending.get(rank.checked_sub(1)?)? as f64));
    ranks.into_iter().filter_map(of).collect()
}

fn listeners(of: &str, counts: &Counts) -> anyhow::Result<String> {
    let bins = by_size(&counts.listeners);
    let most = bins.iter().map(|(_, _, listeners)| *listeners).max().unwrap_or(1) as f64;
    let busiest = bins.last().map_or(10.0, |(_, to, _)| *to);
    let (x, y) = (decades(busiest), ticks(most, 5));
    let half = counts.listeners.len() / 2;
    let subtitle = format!(
        "{of}; half of the {} listeners have {} or more",
        count(counts.listeners.len() as f64),
        count(counts.listeners.get(half.saturating_sub(1)).copied().unwrap_or(0) as f64)
    );
    picture("Activity: interactions of a listener", &subtitle, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(84)
            .build_cartesian_2d(Axis::logarithmic([1.0, busiest], x), Axis::even([0.0, last(&y)], y))?;
        plain(&mut chart.configure_mesh())
            .disable_x_mesh()
            .x_desc("interactions of a listener, impressions not counted (logarithmic scale)")
            .y_desc("listeners")
            .x_label_formatter(&|x| count(*x))
            .y_label_formatter(&|y| count(*y))
            .draw()?;
        chart.draw_series(bins.iter().map(|(from, to, listeners)| {
            let mut bar = Rectangle::new([(*from, 0.0), (*to, *listeners as f64)], colour(0).filled());
            bar.set_margin(0, 0, 1, 1);
            bar
        }))?;
        Ok(())
    })
}

/// How many counts lie in each of five bins a decade: from, to, how many.
fn by_size(counts: &[u64]) -> Vec<(f64, f64, u64)> {
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let bins = (most.log10() * 5.0).floor() as usize + 1;
    let edge = |n: usize| 10_f64.powf(n as f64 / 5.0);
    let mut all: Vec<(f64, f64, u64)> = (0..bins).map(|n| (edge(n), edge(n + 1), 0)).collect();
    for value in counts.iter().filter(|value| **value > 0) {
        let at = ((*value as f64).log10() * 5.0 + 1e-9).floor() as usize;
        if let Some(bin) = all.get_mut(at) {
            bin.2 += 1;
        }
    }
    all
}

fn hours(of: &str, counts: &Counts) -> anyhow::Result<String> {
    let total = counts.hours.iter().sum::<u64>().max(1) as f64;
    let shares = counts.hours.map(|plays| plays as f64 / total * 100.0);
    let y = ticks(shares.iter().copied().fold(0.0, f64::max), 5);
    let x: Vec<f64> = (0..=8).map(|n| f64::from(n) * 3.0).collect();
    let subtitle = format!("{of}; hours in UTC, over listeners of ten markets");
    picture("Hours: when people play", &subtitle, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(84)
            .build_cartesian_2d(Axis::even([0.0, 24.0], x), Axis::even([0.0, last(&y)], y))?;
        plain(&mut chart.configure_mesh())
            .disable_x_mesh()
            .x_desc("hour of the day, UTC")
            .y_desc("share of plays, %")
            .x_label_formatter(&|x| format!("{x:02.0}:00"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()?;
        chart.draw_series(shares.iter().enumerate().map(|(hour, share)| {
            let mut bar = Rectangle::new([(hour as f64, 0.0), (hour as f64 + 1.0, *share)], colour(0).filled());
            bar.set_margin(0, 0, 2, 2);
            bar
        }))?;
        Ok(())
    })
}

fn genres(of: &str, counts: &Counts) -> anyhow::Result<String> {
    let shown = &counts.genres[..counts.genres.len().min(20)];
    let share = |of: u64, all: u64| of as f64 / all.max(1) as f64 * 100.0;
    let plays: u64 = counts.genres.iter().map(|genre| genre.plays).sum();
    let tracks: u64 = counts.genres.iter().map(|genre| genre.tracks).sum();
    let highest =
        shown.iter().map(|genre| share(genre.plays, plays).max(share(genre.tracks, tracks))).fold(0.0, f64::max);
    let x = ticks(highest, 6);
    let rows = shown.len() as f64;
    picture("Genres: what is played and what there is", of, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(130)
            // The most played stands on top.
            .build_cartesian_2d(Axis::even([0.0, last(&x)], x), Axis::even([rows, 0.0], Vec::new()))?;
        plain(&mut chart.configure_mesh())
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc("share, %")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .draw()?;
        for (row, genre) in shown.iter().enumerate() {
            let top = row as f64;
            let bars = [share(genre.plays, plays), share(genre.tracks, tracks)];
            chart.draw_series(bars.into_iter().enumerate().map(|(n, share)| {
                let from = top + 0.12 + 0.38 * n as f64;
                Rectangle::new([(0.0, from), (share, from + 0.38)], colour(n).filled())
            }))?;
            let (_, y) = chart.backend_coord(&(0.0, top + 0.5));
            let right = text(13, INK).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Right,
                plotters::style::text_anchor::VPos::Center,
            ));
            let (_, offset) = body.get_pixel_range();
            body.draw(&Text::new(genre.name.clone(), (136, y - offset.start), right))?;
        }
        legend(&side, "share of", &["plays".to_owned(), "tracks".to_owned()])
    })
}

#[cfg(test)]
mod tests {
    use learning::{
        progress::Silent,
        world::{Config, counts as count_all, generate},
    };
    use shared_models::{Seed, Timestamp};

    use super::*;

    #[test]
    fn a_world_has_four_pictures() {
        let world = generate(&Config::small(Seed(5), Timestamp(1_750_000_000_000)), &Silent).unwrap();
        let counts = count_all(&world.items, &world.events);
        let pictures = pictures("a small world", &counts).unwrap();
        let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["popularity", "listeners", "hours", "genres"]);
        assert!(pictures.iter().all(|(_, svg)| svg.contains("a small world") && svg.ends_with("</svg>\n")));
        assert!(pictures[3].1.contains(&counts.genres[0].name));
    }

    #[test]
    fn bins_hold_every_count_once() {
        let bins = by_size(&[1, 1, 2, 10, 99, 100]);
        assert_eq!(bins.iter().map(|bin| bin.2).sum::<u64>(), 6);
        assert_eq!((bins[0].2, bins[5].2, bins[10].2), (2, 1, 1));
        assert_eq!(by_rank(&[9, 4, 1]), [(1.0, 9.0), (2.0, 4.0), (3.0, 1.0)]);
    }
}
