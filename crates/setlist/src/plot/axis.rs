//! An axis with the values that are written beside it, even or logarithmic.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// An axis from a value to another; the values may descend.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    from: f64,
    to: f64,
    marked: Vec<f64>,
    is_logarithmic: bool,
}

impl Axis {
    /// With even steps.
    pub(crate) fn even([from, to]: [f64; 2], marked: Vec<f64>) -> Self {
        Self { from, to, marked, is_logarithmic: false }
    }

    /// With steps of equal ratio; both ends lie above 0.
    pub(crate) fn logarithmic([from, to]: [f64; 2], marked: Vec<f64>) -> Self {
        Self { from, to, marked, is_logarithmic: true }
    }

    fn place(&self, value: f64) -> f64 {
        // A value of 0 or less has no place on a logarithmic axis; it is drawn at the border.
        let scale = |value: f64| if self.is_logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let whole = scale(self.to) - scale(self.from);
        if whole == 0.0 { 0.0 } else { (scale(value) - scale(self.from)) / whole }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let pixels = f64::from(limit.1 - limit.0);
        limit.0 + (self.place(*value).clamp(-1.0, 2.0) * pixels).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let (least, most) = (self.from.min(self.to), self.from.max(self.to));
        self.marked.iter().copied().filter(|value| (least..=most).contains(value)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let even = Axis::even([0.0, 10.0], vec![0.0, 5.0, 20.0]);
        assert_eq!((even.map(&5.0, (0, 100)), even.map(&0.0, (100, 0))), (50, 100));
        assert_eq!(even.key_points(10), [0.0, 5.0]);
        let decades = Axis::logarithmic([1.0, 100.0], vec![10.0]);
        assert_eq!(decades.map(&10.0, (0, 100)), 50);
        assert_eq!(decades.map(&0.0, (0, 100)), -100);
        assert_eq!(Axis::even([5.0, 0.0], vec![1.0]).map(&4.0, (0, 100)), 20);
    }
}
