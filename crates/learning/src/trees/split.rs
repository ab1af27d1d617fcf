//! The best question of a level: the one that lowers the loss the most over all leaves together, by its second-order
//! approximation. Friedman, "Greedy function approximation: a gradient boosting machine" (2001); with second
//! derivatives and a penalty: Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System" (2016).

use super::{
    bins::TOGETHER,
    histogram::{Bars, Histograms},
    packed::{Packed, Scale, high, low},
    settings::Direction,
};

/// A question, and how much it lowers twice the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) feature: usize,
    pub(super) border: u8,
    pub(super) gain: f64,
}

impl Split {
    /// The better of two; of equal ones the first.
    pub(super) fn better(self, other: Self) -> Self {
        let wins = other.gain > self.gain
            || (other.gain == self.gain && (other.feature, other.border) < (self.feature, self.border));
        if wins { other } else { self }
    }
}

/// What a search for questions needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) scale: Scale,
    pub(super) l2: f64,
    pub(super) min_weight: f64,
}

/// A feature that may be asked: where it is, how many borders it has, and which way it may move the score.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) feature: usize,
    pub(super) borders: usize,
    pub(super) direction: Option<Direction>,
}

/// The best question to these leaves about these of eight features.
pub(super) fn best(histograms: &Histograms, slots: &[usize], asked: &[Asked], terms: &Terms) -> Option<Split> {
    let leaves: Vec<&Bars> = slots.iter().map(|slot| histograms.bars(*slot)).collect();
    let mut best: Option<Split> = None;
    for asked in asked {
        let at = asked.feature % TOGETHER;
        let mut gains = [0.0_f64; 256];
        let gains = &mut gains[..asked.borders];
        for bars in &leaves {
            add_gains(&bars[at][..=asked.borders], asked.direction, terms, gains);
        }
        for (border, gain) in gains.iter().enumerate() {
            let split = Split { feature: asked.feature, border: border as u8, gain: *gain };
            best = Some(best.map_or(split, |best| best.better(split)));
        }
    }
    best.filter(|split| split.gain > 1e-12)
}

/// Adds what each border would gain in one leaf.
fn add_gains(bars: &[Packed], direction: Option<Direction>, terms: &Terms, gains: &mut [f64]) {
    let mut sum = 0_u64;
    let (mut firsts, mut seconds) = ([0.0_f64; 256], [0.0_f64; 256]);
    for ((bar, first), second) in bars.iter().zip(&mut firsts).zip(&mut seconds) {
        sum = sum.wrapping_add(*bar);
        *first = f64::from(high(sum));
        *second = f64::from(low(sum));
    }
    if low(sum) == 0 {
        return;
    }
    let (scale, l2, least) = (terms.scale, terms.l2 + 1e-16, terms.min_weight);
    let (g, h) = scale.unpack(sum);
    let whole = g * g / (h + l2);
    let sign = match direction {
        None => 0.0,
        Some(Direction::Rising) => 1.0,
        Some(Direction::Falling) => -1.0,
    };
    for ((gain, first), second) in gains.iter_mut().zip(&firsts).zip(&seconds) {
        let (left_g, left_h) = (first * scale.first, second * scale.second);
        let (right_g, right_h) = (g - left_g, h - left_h);
        let (a, b) = (left_h + l2, right_h + l2);
        // Both quotients by one division.
        let parts = (left_g * left_g * b + right_g * right_g * a) / (a * b);
        // A leaf is the negative quotient: the right one must not be on the wrong side of the left.
        let is_wrong = sign * (left_g * b - right_g * a) < 0.0;
        let counts = left_h >= least && right_h >= least && !is_wrong;
        *gain += if counts { parts - whole } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { scale: Scale { first: 1.0, second: 1.0 }, l2: 1.0, min_weight: 1.0 };

    fn bar(first: i32, second: u32) -> Packed {
        (u64::from(first as u32) << 32).wrapping_add(u64::from(second))
    }

    fn gains(bars: &[Packed], direction: Option<Direction>) -> Vec<f64> {
        let mut gains = vec![0.0; bars.len() - 1];
        add_gains(bars, direction, &TERMS, &mut gains);
        gains
    }

    #[test]
    fn gains_are_what_the_formula_says() {
        let bars = [bar(-4, 3), bar(1, 1), bar(6, 4)];
        let whole = 9.0 / 9.0;
        let expected = [16.0 / 4.0 + 49.0 / 6.0 - whole, 9.0 / 5.0 + 36.0 / 5.0 - whole];
        for (gain, expected) in gains(&bars, None).iter().zip(expected) {
            assert!((gain - expected).abs() < 1e-9, "{gain} is not {expected}");
        }
    }

    #[test]
    fn what_may_only_rise_gains_nothing_by_falling() {
        // The left gradient is negative, so that its leaf is positive and the score falls to the right.
        let bars = [bar(-4, 3), bar(1, 1), bar(6, 4)];
        assert_eq!(gains(&bars, Some(Direction::Rising)), [0.0, 0.0]);
        assert_eq!(gains(&bars, Some(Direction::Falling)), gains(&bars, None));
    }

    #[test]
    fn light_sides_gain_nothing() {
        assert_eq!(gains(&[bar(-4, 0), bar(5, 9)], None), [0.0]);
    }

    #[test]
    fn of_equal_questions_the_first_wins() {
        let split = |feature, border, gain| Split { feature, border, gain };
        assert_eq!(split(3, 1, 2.0).better(split(1, 9, 2.0)), split(1, 9, 2.0));
        assert_eq!(split(3, 1, 2.0).better(split(1, 9, 1.0)), split(3, 1, 2.0));
    }
}
