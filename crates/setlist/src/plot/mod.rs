//! Pictures for reports, as SVG: what they look like, and nothing of what they show.
//!
//! Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any colour vision tell
//! apart; every series has a mark of its own as well.

mod axis;

pub mod comparison;
pub mod policy;
pub mod replay;
pub mod simulation;
pub mod space;
pub mod training;
pub mod world;

use std::path::Path;

use anyhow::Context;
pub(crate) use axis::Axis;
use plotters::{
    chart::MeshStyle,
    coord::{
        Shift,
        ranged1d::{Ranged, ValueFormatter},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// What pictures are drawn on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (900, 560);
/// Above the drawing: the title and a line below it.
const HEAD: u32 = 78;
/// Beside the drawing: the legend.
const SIDE: u32 = 190;

const FONT: &str = "Helvetica, Arial, sans-serif";
/// Text and axes.
const INK: RGBColor = RGBColor(38, 38, 38);
/// What explains.
const PALE: RGBColor = RGBColor(104, 104, 104);
/// Lines of the grid.
const GRID: RGBColor = RGBColor(228, 228, 228);

/// Okabe and Ito's colours without their yellow, which is too light for lines on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(64, 64, 64),
];

/// The colour of the n-th series.
pub(crate) fn colour(n: usize) -> RGBColor {
    COLOURS[n % COLOURS.len()]
}

/// The outline of the n-th series' mark, around its point.
pub(crate) fn outline(n: usize, radius: i32) -> Vec<(i32, i32)> {
    let r = radius;
    match n % 5 {
        0 => {
            let turn = |step: i32| f64::from(step) * std::f64::consts::TAU / 16.0;
            let at = |part: f64| (f64::from(r) * part).round() as i32;
            (0..16).map(|step| (at(turn(step).cos()), at(turn(step).sin()))).collect()
        }
        1 => vec![(-r, -r), (r, -r), (r, r), (-r, r)],
        2 => vec![(0, -r - 1), (r + 1, r), (-r - 1, r)],
        3 => vec![(0, -r - 2), (r + 2, 0), (0, r + 2), (-r - 2, 0)],
        _ => vec![(0, r + 1), (r + 1, -r), (-r - 1, -r)],
    }
}

/// Text of a size.
pub(crate) fn text(size: i32, colour: RGBColor) -> TextStyle<'static> {
    // Not by `.color`, which would borrow the colour.
    let style: TextStyle<'static> = TextStyle::from((FONT, size).into_font());
    TextStyle { color: Color::to_backend_color(&colour), ..style }.pos(Pos::new(HPos::Left, VPos::Center))
}

/// A picture: a title, what it says in a line, and what `draw` draws below. The text of the title is there for who
/// cannot see the picture, too.
pub(crate) fn picture(
    title: &str,
    subtitle: &str,
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(HEAD);
        head.draw(&Text::new(title.to_owned(), (24, 30), text(22, INK)))?;
        head.draw(&Text::new(subtitle.to_owned(), (24, 58), text(14, PALE)))?;
        draw(&body)?;
        root.present()?;
    }
    let described = format!("<title>{}. {}</title>\n", escape(title), escape(subtitle));
    if let Some(end) = svg.find('>') {
        svg.insert_str(end + 1, &format!("\n{described}"));
    }
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Parts the drawing from the place of its legend.
pub(crate) fn with_side<'a>(area: &Area<'a>) -> (Area<'a>, Area<'a>) {
    area.split_horizontally(SIZE.0 - SIDE)
}

/// Names beside their colours and marks, below a heading.
pub(crate) fn legend(side: &Area<'_>, heading: &str, names: &[String]) -> anyhow::Result<()> {
    side.draw(&Text::new(heading.to_owned(), (8, 26), text(13, PALE)))?;
    for (n, name) in names.iter().enumerate() {
        let y = 52 + 24 * n as i32;
        side.draw(&(EmptyElement::at((16, y)) + Polygon::new(outline(n, 5), colour(n).filled())))?;
        side.draw(&Text::new(shortened(name), (30, y), text(14, INK)))?;
    }
    Ok(())
}

/// No longer than the legend is wide.
fn shortened(name: &str) -> String {
    if name.chars().count() <= 20 { name.to_owned() } else { name.chars().take(19).chain(['…']).collect() }
}

/// The mesh of every chart: a pale grid on white, labels and descriptions in ink.
pub(crate) fn plain<'m, 'a, 'b, X, Y>(
    mesh: &'m mut MeshStyle<'a, 'b, X, Y, SVGBackend<'a>>,
) -> &'m mut MeshStyle<'a, 'b, X, Y, SVGBackend<'a>>
where
    X: Ranged + ValueFormatter<X::ValueType>,
    Y: Ranged + ValueFormatter<Y::ValueType>,
{
    mesh.bold_line_style(GRID)
        .light_line_style(WHITE)
        .axis_style(PALE)
        .label_style(text(13, INK))
        .axis_desc_style(text(14, INK))
}

/// The values of an axis: 0 and up, in steps of 1, 2 or 5 times a power of ten, about `count` of them.
pub(crate) fn ticks(highest: f64, count: usize) -> Vec<f64> {
    if highest <= 0.0 || !highest.is_finite() {
        return vec![0.0, 1.0];
    }
    let rough = highest / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough).unwrap_or(10.0) * power;
    let steps = (highest / step).ceil() as usize;
    (0..=steps).map(|n| n as f64 * step).collect()
}

/// Powers of ten around the values of an axis with a logarithmic scale.
pub(crate) fn decades(highest: f64) -> Vec<f64> {
    let last = highest.max(1.0).log10().ceil() as i32;
    (0..=last.max(1)).map(|power| 10_f64.powi(power)).collect()
}

/// Thousands parted.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes pictures into a folder, which is made when it is not there, and answers their paths.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(folder: &Path, pictures: &[(String, String)]) -> anyhow::Result<Vec<String>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made; give another folder with --plot", folder.display()))?;
    let mut paths = Vec::with_capacity(pictures.len());
    for (name, svg) in pictures {
        let path = folder.join(format!("{name}.svg"));
        std::fs::write(&path, svg).with_context(|| format!("{} cannot be written", path.display()))?;
        paths.push(path.display().to_string());
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_values() {
        assert_eq!(ticks(0.37, 5), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]);
        assert_eq!(ticks(21.0, 4), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(0.0, 4), [0.0, 1.0]);
        assert_eq!(decades(250.0), [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!((count(1_234_567.0), count(12.0), count(0.0)), ("1,234,567".into(), "12".into(), "0".into()));
    }

    #[test]
    fn a_picture_says_in_words_what_it_is() {
        let svg = picture("Recall & more", "of <all>", |_| Ok(())).unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        assert!(svg.contains("<title>Recall &amp; more. of &lt;all&gt;</title>"), "{svg}");
    }
}
