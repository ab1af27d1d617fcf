//! The cold model: what is believed before anything was trained. Fixed weights over popularity,
//! affinity and the sources' own word; every answer that uses it says so in `degraded`.

use std::sync::LazyLock;

use shared_models::component::Action;

use super::{
    LinearModel,
    calibration::Calibration,
    linear::{ActionModel, FORM},
};
use crate::features::{COLUMNS, Column, SCHEMA, schema_hash};

/// The logits of a card that nobody knows anything of: about 14 %, 10 %, 1.5 % and 20 %.
const BIAS: [f32; 4] = [-1.8, -2.2, -4.2, -1.4];

/// What each feature adds to the logits of play, complete, like and skip, by its value in the matrix.
const WEIGHTS: &[(Column, [f32; 4])] = &[
    // The sources' own word: rank counts, agreement counts a little more.
    (Column::BestRank, [0.6, 0.5, 0.4, -0.2]),
    (Column::SourceCount, [0.4, 0.3, 0.3, -0.1]),
    (Column::BestScore, [0.3, 0.3, 0.2, -0.1]),
    (Column::RankEmbedding, [0.4, 0.4, 0.4, -0.1]),
    (Column::RankItemToItem, [0.3, 0.3, 0.3, -0.1]),
    (Column::RankRecentlyPlayed, [0.5, 0.5, 0.1, -0.2]),
    // Taste, where a release has factors and no scorer.
    (Column::UserCosine, [1.0, 1.0, 1.0, -0.6]),
    (Column::RecentMax, [0.6, 0.6, 0.5, -0.3]),
    (Column::SeedMean, [0.8, 0.7, 0.5, -0.3]),
    // What everybody does.
    (Column::Popularity, [0.08, 0.06, 0.04, -0.02]),
    (Column::MarketPopularity, [0.06, 0.05, 0.03, -0.02]),
    (Column::Trend, [0.06, 0.04, 0.03, 0.0]),
    (Column::PopularityGap, [-0.04, -0.04, -0.02, 0.02]),
    (Column::Newness, [0.15, 0.05, 0.1, 0.05]),
    // What this listener did.
    (Column::ItemPlays, [0.3, 0.4, 0.2, -0.3]),
    (Column::ItemSkips, [-0.5, -0.6, -0.4, 0.8]),
    (Column::ItemLiked, [0.8, 0.9, 0.0, -0.6]),
    (Column::ItemRecency, [0.2, 0.1, 0.0, 0.1]),
    (Column::Impressions, [-0.3, -0.2, -0.2, 0.1]),
    (Column::ImpressionRecency, [-0.2, -0.1, -0.1, 0.0]),
    (Column::ArtistAffinity, [2.0, 2.0, 1.5, -1.0]),
    (Column::ArtistFollowed, [0.5, 0.4, 0.6, -0.2]),
    (Column::GenreAffinity, [0.8, 0.8, 0.5, -0.5]),
    (Column::ListenerSkipRate, [-0.3, -1.0, -0.2, 1.5]),
    (Column::ListenerCompleteRate, [0.3, 1.2, 0.2, -0.6]),
];

/// The cold model: a linear model like a trained one.
#[must_use]
pub fn model() -> &'static LinearModel {
    static MODEL: LazyLock<LinearModel> = LazyLock::new(|| LinearModel {
        form: FORM,
        feature_schema: format!("{:016x}", schema_hash()),
        features: SCHEMA.iter().map(|feature| feature.name.to_owned()).collect(),
        means: vec![0.0; COLUMNS],
        scales: vec![1.0; COLUMNS],
        actions: Action::ALL
            .iter()
            .enumerate()
            .map(|(index, action)| {
                let mut weights = vec![0.0; COLUMNS];
                for (column, by_action) in WEIGHTS {
                    weights[*column as usize] = by_action[index];
                }
                ActionModel { action: *action, bias: BIAS[index], weights, calibration: Calibration::default() }
            })
            .collect(),
    });
    &MODEL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{features::Matrix, scorers::Scorer};

    #[test]
    fn the_cold_model_is_a_sound_model() {
        assert_eq!(LinearModel::from_json(&model().to_json().unwrap()).unwrap(), *model());
    }

    #[test]
    fn each_weight_moves_its_prediction() {
        let before = model().predict(&Matrix::of_defaults(1))[0];
        for (column, weights) in WEIGHTS {
            let mut values: Vec<f32> = SCHEMA.iter().map(|feature| feature.default).collect();
            values[*column as usize] += 1.0;
            let after = model().predict(&Matrix::from_rows(&values).unwrap())[0];
            for (action, weight) in weights.iter().enumerate() {
                assert_eq!(
                    (after[action] - before[action]).total_cmp(&0.0),
                    weight.total_cmp(&0.0),
                    "{column:?} {action}"
                );
            }
        }
    }
}
