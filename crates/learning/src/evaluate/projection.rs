//! Points of many dimensions on a plane, along the two directions in which they differ most (principal component
//! analysis; Jolliffe, "Principal Component Analysis", 2002, chapter 3), found by orthogonal iteration on the
//! covariance (Golub and Van Loan, "Matrix Computations", section 8.2).

use super::scorers::ItemVectors;

/// How often the directions are turned; far more than a picture needs.
const TURNS: usize = 200;

/// Points on a plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projection {
    /// Where each point lies, in the order of the vectors.
    pub points: Vec<(f64, f64)>,
    /// The shares of the variance that the two directions explain, the larger first.
    pub explained: [f64; 2],
}

/// Projects vectors on the plane in which those of `fitted` differ most: all points, by the directions of some, because
/// items that nobody chose lie together and say nothing. `None` where there is nothing to tell apart.
#[must_use]
pub fn project(vectors: &ItemVectors, fitted: &[u32]) -> Option<Projection> {
    let d = vectors.dimensions;
    if d < 2 || fitted.len() < 3 {
        return None;
    }
    let row = |item: u32| vectors.values.get(item as usize * d..(item as usize + 1) * d);
    let rows: Vec<&[f32]> = fitted.iter().filter_map(|item| row(*item)).collect();
    let mut mean = vec![0.0_f64; d];
    for row in &rows {
        for (mean, value) in mean.iter_mut().zip(*row) {
            *mean += f64::from(*value) / rows.len() as f64;
        }
    }
    let mut covariance = vec![0.0_f64; d * d];
    for row in &rows {
        let centred: Vec<f64> = row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect();
        for (at, a) in centred.iter().enumerate() {
            for (sum, b) in covariance[at * d..(at + 1) * d].iter_mut().zip(&centred) {
                *sum += a * b / rows.len() as f64;
            }
        }
    }
    let total: f64 = (0..d).map(|at| covariance[at * d + at]).sum();
    // Means are rounded: what varies by no more than that does not vary.
    let square = dot(&mean, &mean);
    if total <= 1e-12 * square || !total.is_finite() {
        return None;
    }
    // Two starts that no reasonable covariance has at right angles to its main directions.
    let start = |n: usize| (0..d).map(|at| ((at + 1) as f64 * (0.7 + n as f64)).sin()).collect::<Vec<f64>>();
    let (mut first, mut second) = (start(0), start(1));
    let mut explained = [0.0; 2];
    for _ in 0..TURNS {
        first = times(&covariance, &first);
        explained[0] = normalise(&mut first) / total;
        second = times(&covariance, &second);
        let along = dot(&first, &second);
        for (second, first) in second.iter_mut().zip(&first) {
            *second -= along * first;
        }
        explained[1] = normalise(&mut second) / total;
    }
    let points = vectors
        .values
        .chunks_exact(d)
        .map(|row| {
            let centred: Vec<f64> = row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect();
            (dot(&centred, &first), dot(&centred, &second))
        })
        .collect();
    Some(Projection { points, explained })
}

fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Makes a vector one of length 1, and answers what its length was. Nothing stays nothing.
fn normalise(vector: &mut [f64]) -> f64 {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_cloud_keeps_its_shape() {
        // Points on a 3 by 1 ellipse, laid into five dimensions along two directions at right angles.
        let along = [[0.6, 0.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]];
        let values: Vec<f32> = (0..40)
            .flat_map(|n| {
                let turn = f64::from(n) * std::f64::consts::TAU / 40.0;
                (0..5).map(move |at| (3.0 * turn.cos() * along[0][at] + turn.sin() * along[1][at] + 7.0) as f32)
            })
            .collect();
        let vectors = ItemVectors { dimensions: 5, values };
        let everything: Vec<u32> = (0..40).collect();
        let projection = project(&vectors, &everything).unwrap();
        assert!((projection.explained[0] - 0.9).abs() < 1e-5, "{:?}", projection.explained);
        assert!((projection.explained[1] - 0.1).abs() < 1e-5, "{:?}", projection.explained);
        assert!((projection.points[0].0.abs() - 3.0).abs() < 1e-5 && projection.points[0].1.abs() < 1e-5);
        assert!((projection.points[10].1.abs() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn what_does_not_differ_has_no_picture() {
        let same = ItemVectors { dimensions: 2, values: vec![1.0; 20] };
        assert_eq!(project(&same, &(0..10).collect::<Vec<_>>()), None);
        assert_eq!(project(&ItemVectors::default(), &[]), None);
    }
}
