//! The laws of the ranking runner.

use proptest::prelude::*;

use super::*;
use crate::spans::Caught;

struct Query {
    groups: Vec<Vec<u32>>,
    rows: usize,
    size: usize,
}

struct NoFeatures;

impl Features<Query, ()> for NoFeatures {
    fn name(&self) -> &'static str {
        "none"
    }
    fn compute(&self, _: &Query) -> StageResult<()> {
        Ok(())
    }
}

/// Gives each row its own number modulo 7; every eleventh cannot be scored.
struct ByRow;

#[async_trait]
impl Predictor<Query, (), f32> for ByRow {
    fn name(&self) -> &'static str {
        "by-row"
    }
    async fn predict(&self, query: &Query, (): &()) -> StageResult<Vec<f32>> {
        Ok((0..query.rows).map(|row| if row % 11 == 10 { f32::NAN } else { (row % 7) as f32 }).collect())
    }
}

struct Wrong(usize);

#[async_trait]
impl Predictor<Query, (), f32> for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }
    async fn predict(&self, _: &Query, (): &()) -> StageResult<Vec<f32>> {
        Ok(vec![1.0; self.0])
    }
}

struct Top;

struct Shelf {
    chosen: Vec<u32>,
    reserve: usize,
    unscored: u32,
}

impl Arrange<Query, f32> for Top {
    type Slate = Shelf;
    fn groups(&self, query: &Query) -> usize {
        query.groups.len()
    }
    fn rows<'q>(&self, query: &'q Query, group: usize) -> &'q [u32] {
        &query.groups[group]
    }
    fn key(&self, _: &Query, row: u32) -> u64 {
        u64::from(row)
    }
    fn blend(&self, _: &Query, _: usize, prediction: &f32) -> Option<Score> {
        Score::new(*prediction)
    }
    fn order(&self, query: &Query, _: &[Vec<Scored>]) -> Vec<usize> {
        (0..query.groups.len()).rev().collect()
    }
    fn select(&self, query: &Query, _: usize, ranked: &[Scored], _: &[f32], unscored: u32) -> Shelf {
        let chosen: Vec<u32> = ranked.iter().take(query.size).map(|scored| scored.row).collect();
        Shelf { reserve: ranked.len() - chosen.len(), chosen, unscored }
    }
    fn chosen(&self, slate: &Shelf) -> Vec<u32> {
        slate.chosen.clone()
    }
}

fn pipeline(predictor: Box<dyn Predictor<Query, (), f32>>) -> RankingPipeline<Query, (), f32, Top> {
    RankingPipeline {
        features: Box::new(NoFeatures),
        predictor: Step::best_effort(Duration::from_millis(10), predictor),
        fallback: Box::new(ByRow),
        arrange: Top,
        metrics: StageMetrics::register(&service_runtime::metrics::Metrics::new(), "test"),
    }
}

#[tokio::test]
async fn wrong_length_answer_degrades_to_the_fallback() {
    let query = Query { groups: vec![vec![0, 1, 2]], rows: 3, size: 2 };
    let ranked = pipeline(Box::new(Wrong(2))).run(&query, 3, Deadline::within(Duration::from_secs(1))).await.unwrap();
    assert_eq!(ranked.slates[0].1.chosen, [2, 1]);
    assert_eq!(ranked.degraded, [DegradedStage::new("scorer.wrong", DegradedCause::Failed)]);
}

#[tokio::test]
async fn every_stage_says_how_many_went_in_and_came_out() {
    let said = |of: (&str, &str, &str)| (of.0.to_owned(), of.1.to_owned(), of.2.to_owned());
    let query = Query { groups: vec![vec![0, 1, 2], vec![2, 3]], rows: 4, size: 2 };
    for (predictor, outcome) in [(Box::new(ByRow) as Box<dyn Predictor<_, _, _>>, "ok"), (Box::new(Wrong(2)), "failed")]
    {
        let caught = Caught::start();
        pipeline(predictor).run(&query, 4, Deadline::within(Duration::from_secs(1))).await.unwrap();
        assert_eq!(caught.stage("pipeline.features"), said(("4", "4", "ok")));
        assert_eq!(caught.stage("pipeline.predict"), said(("4", "4", outcome)), "the fallback's answer is one");
        assert_eq!(caught.stage("pipeline.select"), said(("4", "4", "ok")));
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_twice(groups in prop::collection::vec(prop::collection::btree_set(0_u32..60, 0..40), 1..6), size in 0_usize..12) {
        let groups: Vec<Vec<u32>> = groups.into_iter().map(|rows| rows.into_iter().collect()).collect();
        let query = Query { groups: groups.clone(), rows: 60, size };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ranked = runtime.block_on(pipeline(Box::new(ByRow)).run(&query, 60, Deadline::within(Duration::from_secs(1)))).unwrap();
        prop_assert_eq!(ranked.slates.len(), groups.len());
        let mut shown = std::collections::BTreeSet::new();
        for (group, slate) in &ranked.slates {
            let taken_before = groups[*group].iter().filter(|row| shown.contains(*row) && **row % 11 != 10).count();
            prop_assert_eq!(groups[*group].len(), slate.chosen.len() + slate.reserve + slate.unscored as usize + taken_before);
            for row in &slate.chosen {
                prop_assert!(shown.insert(*row), "row {} is twice on the page", row);
            }
        }
    }
}
