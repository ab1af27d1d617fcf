//! The space that items lie in, seen from where they differ most.

use learning::evaluate::projection::Projection;
use plotters::prelude::*;

use super::{PALE, colour, count, legend, outline, picture, plain, text, with_side};

/// Names that are told apart; what has none of them is drawn in grey beneath.
const NAMES: usize = 6;
/// The most points that are drawn: more only make the file large.
const POINTS: usize = 4_000;

/// How the most chosen items are parted where they have no names: up to which share of them.
const TIERS: [(&str, f64); 3] = [("most chosen tenth", 0.1), ("next four tenths", 0.5), ("the other half", 1.0)];

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Space<'a> {
    /// What the space is of, for the line below the title.
    pub of: String,
    /// Where items lie.
    pub projection: &'a Projection,
    /// A name by item, such as its genre; empty: none.
    pub names: &'a [String],
    /// How often each item was chosen: the most chosen are drawn.
    pub weights: &'a [u32],
}

/// Draws the space.
///
/// # Errors
/// When it cannot be drawn.
pub fn space(space: &Space<'_>) -> anyhow::Result<String> {
    let mut drawn: Vec<usize> = (0..space.projection.points.len()).filter(|at| weight(space, *at) > 0).collect();
    drawn.sort_by_key(|at| std::cmp::Reverse(weight(space, *at)));
    drawn.truncate(POINTS);
    // Without names, how often an item was chosen tells items apart.
    let (heading, of_items, names) = if space.names.iter().any(|name| !name.is_empty()) {
        ("first genre", space.names.to_vec(), most_frequent(space, &drawn))
    } else {
        let tiers = TIERS.map(|(name, _)| name.to_owned());
        ("of these items", by_tier(space.projection.points.len(), &drawn), tiers.to_vec())
    };
    let subtitle = format!("{}; the {} items chosen most", space.of, count(drawn.len() as f64));
    let points = |at: &usize| space.projection.points[*at];
    let (x_range, y_range) = (span(drawn.iter().map(|at| points(at).0)), span(drawn.iter().map(|at| points(at).1)));
    let [x_share, y_share] = space.projection.explained.map(|share| share * 100.0);
    picture("Items in the space of factors", &subtitle, |area| {
        let (body, side) = with_side(area);
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(x_range, y_range)?;
        plain(&mut chart.configure_mesh())
            .x_labels(7)
            .y_labels(7)
            .x_desc(format!("first principal component ({x_share:.0} % of the variance)"))
            .y_desc(format!("second principal component ({y_share:.0} %)"))
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()?;
        let named = |at: &usize| of_items.get(*at).and_then(|name| names.iter().position(|known| known == name));
        let others = drawn.iter().filter(|at| named(at).is_none()).map(points);
        chart.draw_series(others.map(|at| Circle::new(at, 2, RGBColor(150, 150, 150).mix(0.45).filled())))?;
        // What there is least of is drawn last, so that nothing lies upon it.
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|n| std::cmp::Reverse(drawn.iter().filter(|at| named(at) == Some(*n)).count()));
        for n in order {
            let of = drawn.iter().filter(|at| named(at) == Some(n)).map(points);
            chart.draw_series(
                of.map(|at| EmptyElement::at(at) + Polygon::new(outline(n, 3), colour(n).mix(0.7).filled())),
            )?;
        }
        legend(&side, heading, &names)?;
        if drawn.iter().all(|at| named(at).is_some()) {
            return Ok(());
        }
        let y = 52 + 24 * names.len() as i32;
        side.draw(&Circle::new((16, y), 3, RGBColor(150, 150, 150).filled()))?;
        side.draw(&Text::new("others", (30, y), text(14, PALE)))?;
        Ok(())
    })
}

fn weight(space: &Space<'_>, at: usize) -> u32 {
    space.weights.get(at).copied().unwrap_or(0)
}

/// The tier of every drawn item, which come most chosen first; the others have none.
fn by_tier(items: usize, drawn: &[usize]) -> Vec<String> {
    let mut names = vec![String::new(); items];
    for (rank, at) in drawn.iter().enumerate() {
        let share = (rank + 1) as f64 / drawn.len() as f64;
        if let Some((name, _)) = TIERS.iter().find(|(_, up_to)| share <= *up_to) {
            names[*at] = (*name).to_owned();
        }
    }
    names
}

/// The names that most of the drawn items have, most frequent first.
fn most_frequent(space: &Space<'_>, drawn: &[usize]) -> Vec<String> {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for name in drawn.iter().filter_map(|at| space.names.get(*at)).filter(|name| !name.is_empty()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    names.into_iter().take(NAMES).map(|(name, _)| name.to_owned()).collect()
}

/// From the least to the most, with a little room.
fn span(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        (least, most) = (least.min(value), most.max(value));
    }
    if least >= most {
        return -1.0..1.0;
    }
    let room = (most - least) * 0.04;
    least - room..most + room
}

/// A number of an axis: as many digits as it needs.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genres_are_named_and_what_nobody_chose_is_not_drawn() {
        let projection =
            Projection { points: vec![(0.0, 0.0), (1.0, 1.0), (0.5, 0.2), (9.0, 9.0)], explained: [0.4, 0.25] };
        let names = ["rock", "jazz", "", "jazz"].map(str::to_owned);
        let svg =
            space(&Space { of: "a test".to_owned(), projection: &projection, names: &names, weights: &[5, 2, 1, 0] })
                .unwrap();
        for part in ["rock", "jazz", "40 % of the variance", "the 3 items chosen most"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        let unnamed = Space { of: String::new(), projection: &projection, names: &[], weights: &[5, 2, 1, 0] };
        let svg = super::space(&unnamed).unwrap();
        assert!(svg.contains("the other half") && !svg.contains("others"), "{svg}");
        assert_eq!((short(0.0), short(-1.5), short(0.125)), ("0".into(), "-1.5".into(), "0.125".into()));
    }
}
