//! Where a column is divided: between neighbouring numbers, so that about equally many rows lie between two borders,
//! and numbers that are frequent have a bin of their own.

/// Rows that borders are chosen by; more say nothing more.
const SAMPLE: usize = 200_000;

/// At most `most` borders of a column. Where numbers are missing, the first border divides them from all others.
pub(super) fn choose(numbers: &[f32], most: usize) -> Vec<f32> {
    let step = numbers.len().div_ceil(SAMPLE).max(1);
    let mut keys: Vec<u32> = numbers.iter().step_by(step).filter(|number| !number.is_nan()).map(|n| key(*n)).collect();
    let sampled = numbers.len().div_ceil(step);
    let mut borders = Vec::new();
    keys.sort_unstable();
    let Some(least) = keys.first().map(|key| number(*key)) else { return borders };
    let mut most = most;
    if keys.len() < sampled && least > f32::MIN {
        // The greatest number below all others, unless that is an infinity.
        borders.push(least.next_down().min(f32::MAX));
        most -= 1;
    }
    let mut distinct: Vec<(f32, usize)> = Vec::new();
    for equal in keys.chunk_by(|a, b| a == b) {
        distinct.push((number(equal[0]), equal.len()));
    }
    for (a, b) in divide(&distinct, most) {
        let border = between(a, b);
        if borders.last().is_none_or(|last| border > *last) {
            borders.push(border);
        }
    }
    borders
}

/// A number as one that sorts the same; -0 as 0.
fn key(number: f32) -> u32 {
    let bits = (number + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn number(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The neighbours between which borders belong.
fn divide(distinct: &[(f32, usize)], most: usize) -> Vec<(f32, f32)> {
    let pairs = || distinct.windows(2).map(|pair| (pair[0].0, pair[1].0));
    if distinct.len() <= most + 1 {
        return pairs().collect();
    }
    let mut left: usize = distinct.iter().map(|(_, count)| count).sum();
    let mut bins = most + 1;
    // Numbers more frequent than a bin is wide have their own, and the rest is shared by the other bins.
    let mut wide = left.div_ceil(bins);
    for (_, count) in distinct.iter().filter(|(_, count)| *count >= wide) {
        left -= count;
        bins -= 1;
    }
    wide = if bins > 0 { left.div_ceil(bins).max(1) } else { usize::MAX };
    let own = distinct.iter().map(|(_, count)| *count).sum::<usize>().div_ceil(most + 1);
    let (mut chosen, mut filled) = (Vec::with_capacity(most), 0);
    for (pair, counts) in pairs().zip(distinct.windows(2)) {
        filled += counts[0].1;
        let is_own = counts[0].1 >= own || counts[1].1 >= own;
        if is_own || filled >= wide {
            chosen.push((pair, is_own));
            filled = 0;
        }
    }
    // A frequent number ends a bin early on its left: where that made too many, others are left out, every so many-th.
    let mut owned = chosen.iter().filter(|(_, is_own)| *is_own).count();
    if owned > most {
        chosen.retain(|(_, is_own)| *is_own);
        chosen.iter_mut().for_each(|(_, is_own)| *is_own = false);
        owned = 0;
    }
    let (others, keep) = (chosen.len() - owned, most - owned);
    let mut at = 0;
    chosen.retain(|(_, is_own)| {
        let place = at;
        at += usize::from(!is_own);
        *is_own || keep >= others || place * keep / others != (place + 1) * keep / others
    });
    chosen.into_iter().map(|(pair, _)| pair).collect()
}

/// A finite number that is at least `a` and less than `b`.
fn between(a: f32, b: f32) -> f32 {
    let (a, b) = (a.max(f32::MIN), b.min(f32::MAX));
    let middle = a / 2.0 + b / 2.0;
    if middle >= a && middle < b { middle } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_numbers_are_divided_in_the_middle() {
        assert_eq!(choose(&[3.0, 1.0, 1.0, 2.0], 254), [1.5, 2.5]);
        assert_eq!(choose(&[-0.0, 0.0], 254), [] as [f32; 0]);
        assert_eq!(choose(&[f32::NAN; 3], 254), [] as [f32; 0]);
        assert_eq!(choose(&[f32::NAN, 1.0, 2.0], 254), [1.0_f32.next_down(), 1.5]);
        assert_eq!(choose(&[f32::NEG_INFINITY, 0.0, f32::INFINITY], 254).len(), 2);
    }

    #[test]
    fn many_numbers_fill_bins_alike() {
        let numbers: Vec<f32> = (0..10_000).map(|n| (n * 7_919 % 10_000) as f32).collect();
        let borders = choose(&numbers, 9);
        assert_eq!(borders.len(), 9);
        for (n, border) in borders.iter().enumerate() {
            assert!((border - 1_000.0 * (n + 1) as f32).abs() < 2.0, "{border}");
        }
    }

    #[test]
    fn a_frequent_number_has_a_bin_of_its_own() {
        let mut numbers: Vec<f32> = (0..1_000).map(|n| n as f32).collect();
        numbers.extend([500.25; 5_000]);
        for most in [2, 4, 20, 254] {
            let borders = choose(&numbers, most);
            assert!(borders.len() <= most && borders.is_sorted_by(|a, b| a < b));
            if most > 2 {
                assert!(
                    borders.iter().any(|b| *b > 500.0 && *b < 500.25)
                        && borders.iter().any(|b| *b > 500.25 && *b < 501.0)
                );
            }
        }
    }

    #[test]
    fn borders_divide_odd_neighbours() {
        for (a, b) in
            [(f32::MIN, f32::MAX), (0.0, f32::from_bits(1)), (1.0, 1.0_f32.next_up()), (f32::MAX, f32::INFINITY)]
        {
            let border = between(a, b);
            assert!(border.is_finite() && border >= a && b > border, "{a} {border} {b}");
        }
    }
}
