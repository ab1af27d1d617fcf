//! What training makes of cards having been seen less the further down they stood, on the generated world, whose truth is
//! known: `scripts/bench/position` runs it; docs/ranker.md says what it is for.
//!
//! Pages of the world are put into an order by a policy, and listeners answer them by the world's probabilities: a card is
//! played when it is looked at, which its place decides, and wanted. Each treatment trains on these pages and orders later
//! ones, which are then valued by the truth: the plays that a page would bring in that order, and NDCG by how much each
//! card is wanted.
//!
//!     position [listeners=1000] [impressions=200000] [seeds=3]

#![expect(clippy::expect_used, reason = "a measurement that cannot be made should stop at once")]

use std::{collections::HashMap, ops::Range};

use candidate_generation::profiles::counted_at;
use learning::{
    evaluate::bootstrap,
    progress::{Progress, Silent, Unit},
    ranker::{
        self, Bias, Rows, Settings,
        facts::Catalogue,
        position::examination,
        replay::{Input, replay},
        trend::Trends,
    },
    train::{self, Config},
    world::{self, Truth, World, generate},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use ranking::{
    features::COLUMNS,
    scorers::{Model, Scorer},
};
use releases::Store;
use shared_models::{Seed, TenantId, Timestamp, UserId, UserKey, component::Action, event::EventKind};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const PLAY: usize = Action::Play as usize;
/// Treatments with their names.
const TREATMENTS: [(&str, Bias); 3] =
    [("ignored", Bias::Ignored), ("fixed place", Bias::Fixed), ("expected", Bias::Expected)];

fn main() {
    let number = |name: &str, default: usize| {
        let given = std::env::args().find_map(|arg| arg.strip_prefix(&format!("{name}=")).map(str::to_owned));
        given.map_or(default, |given| given.parse().expect("a whole number"))
    };
    let (listeners, impressions, seeds) =
        (number("listeners", 1_000), number("impressions", 200_000), number("seeds", 3));
    println!(
        "policy       treatment     seed  plays a page   gain, % [95 %]            NDCG@10  place curve off by  model"
    );
    for seed in 1..=seeds as u64 {
        let made = Made::new(listeners, impressions, Seed(seed));
        for (policy, noise) in [("random", f32::INFINITY), ("ranked", 0.5), ("ranked hard", 0.0)] {
            made.compare(policy, noise, seed);
        }
    }
}

/// Cards of a world with their features and how much they are wanted.
struct Made {
    rows: Rows,
    /// The probability that a card that is looked at is played.
    wanted: Vec<f32>,
    /// The rows of each page, in time order.
    pages: Vec<Range<usize>>,
    seed: Seed,
}

impl Made {
    fn new(listeners: usize, impressions: usize, seed: Seed) -> Self {
        let shape = world::Config {
            tracks: 5_000,
            artists: 600,
            listeners,
            interactions: listeners * 150,
            impressions,
            ..world::Config::demo(seed, NOW)
        };
        let World { items, users, events, truth } = generate(&shape, &Silent).expect("a world");
        let cut = Timestamp(NOW.0 - 50 * 86_400_000);
        let past: Vec<_> = events.iter().filter(|event| event.occurred_at < cut).cloned().collect();
        let folder = std::env::temp_dir().join(format!("setlist-position-{}-{}", std::process::id(), seed.0));
        let (store, tenant) = (Store::open(&folder).expect("a store"), TenantId::new("demo").expect("a tenant"));
        let mut config = Config::new(cut);
        config.scorer.pages = 0;
        let report = train::train(&tenant, &items, &past, &store, &config, &Silent).expect("a release");
        let release = store.load(&tenant, &report.release.expect("a release")).expect("a release");
        let catalogue = Catalogue::of(&items);
        let plays = events.iter().filter(|event| event.kind == EventKind::Play);
        let settings = Settings { rows: usize::MAX, seed, ..Settings::default() };
        let trends = Trends::of(plays.map(|play| (play.item_key(), counted_at(play))), settings.trend_half_life);
        let input = Input {
            tenant: &tenant,
            events: &events,
            trends: &trends,
            catalogue: &catalogue,
            release: &release,
            from: cut,
        };
        let rows = replay(input, &settings, Silent.stage("replay", Unit::Rows, None).as_ref());
        drop(std::fs::remove_dir_all(&folder));
        let user_of: HashMap<UserKey, UserId> =
            users.into_iter().map(|user| (UserKey::of(&user.id), user.id)).collect();
        let of = |place: &ranker::Place| {
            let chances = user_of.get(&place.user).and_then(|user| truth.probabilities(user, place.item, 0));
            chances.map_or(0.0, |chances| chances[PLAY])
        };
        let wanted = rows.places.iter().map(of).collect();
        let mut pages: Vec<Range<usize>> = Vec::new();
        for (row, place) in rows.places.iter().enumerate() {
            match pages.last_mut() {
                Some(last) if rows.places[last.start].page == place.page => last.end = row + 1,
                _ => pages.push(row..row + 1),
            }
        }
        println!("seed {}: {} cards of {} pages", seed.0, rows.len(), pages.len());
        Self { rows, wanted, pages, seed }
    }

    fn part(&self, range: Range<usize>) -> Rows {
        let rows = self.pages[range.start].start..self.pages[range.end - 1].end;
        Rows {
            features: self.rows.features[rows.start * COLUMNS..rows.end * COLUMNS].to_vec(),
            labels: self.rows.labels[rows.clone()].to_vec(),
            places: self.rows.places[rows].to_vec(),
            pages: range.len(),
            ..Rows::none(self.rows.source)
        }
    }

    /// Pages as a policy would have ordered them, and what listeners would have done: a model of earlier pages with noise.
    fn served(&self, range: Range<usize>, policy: &Model, noise: f32) -> Rows {
        let mut random = SmallRng::seed_from_u64(self.seed.0 * 977 + noise.to_bits() as u64);
        let mut rows = self.part(range.clone());
        let first = self.pages[range.start].start;
        for page in &self.pages[range] {
            let told = policy.predict(&self.rows.matrix(page.clone()));
            let mut order: Vec<(f32, usize)> = told
                .iter()
                .zip(page.clone())
                .map(|(told, row)| {
                    let gumbel = -(-random.random_range(1e-9_f32..1.0).ln()).ln();
                    let logit = (told[PLAY] / (1.0 - told[PLAY])).ln();
                    (if noise.is_finite() { logit + noise * gumbel } else { gumbel }, row)
                })
                .collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (position, (_, row)) in (0_u16..).zip(order) {
                let played = random.random::<f32>() < Truth::examination(position) * self.wanted[row];
                rows.places[row - first].position = position;
                rows.labels[row - first] = [played, false, false, false];
            }
        }
        rows
    }

    fn compare(&self, policy: &str, noise: f32, seed: u64) {
        let pages = self.pages.len();
        let (earlier, later) = (pages / 4, pages * 4 / 5);
        let settings = |bias| Settings { bias, seed: self.seed, ..Settings::default() };
        let first = ranker::fit(&self.part(0..earlier), &settings(Bias::Ignored)).expect("a policy").model;
        let served = self.served(earlier..later, &first, noise);
        let mut plain: Vec<f32> = Vec::new();
        for (name, bias) in TREATMENTS {
            let trained = ranker::fit(&served, &settings(bias)).expect("a scorer");
            let (plays, ndcg): (Vec<f32>, Vec<f32>) =
                self.pages[later..].iter().map(|page| self.value(page, &trained.model)).unzip();
            let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
            if plain.is_empty() {
                plain.clone_from(&plays);
            }
            let gains: Vec<f32> = plays.iter().zip(&plain).map(|(plays, plain)| plays - plain).collect();
            let gain = bootstrap(&gains, 1_000, Seed(1));
            let share = |value: f64| value / f64::from(mean(&plain)) * 100.0;
            let scores: Vec<f32> =
                trained.model.predict(&served.matrix(0..served.len())).iter().map(|told| told[PLAY]).collect();
            let played: Vec<bool> = served.labels.iter().map(|labels| labels[PLAY]).collect();
            let curve = examination(&served.places, &scores, &played).by_place;
            let off: f64 =
                (0..).zip(&curve).map(|(at, looked)| (looked - f64::from(Truth::examination(at))).abs()).sum();
            println!(
                "{policy:<12} {name:<12} {seed:>5}  {:>12.4}   {:>+6.2} [{:>+6.2}, {:>+6.2}]  {:>12.4}  {:>18.3}  {}",
                mean(&plays),
                share(gain.mean),
                share(gain.low),
                share(gain.high),
                mean(&ndcg),
                off / curve.len() as f64,
                trained.model.kind(),
            );
        }
    }

    /// The plays that a page would bring in a model's order, and its NDCG by how much cards are wanted.
    fn value(&self, page: &Range<usize>, model: &Model) -> (f32, f32) {
        let told = model.predict(&self.rows.matrix(page.clone()));
        let mut order: Vec<(f32, usize)> = told.iter().map(|told| told[PLAY]).zip(page.clone()).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let wanted: Vec<f32> = order.iter().map(|(_, row)| self.wanted[*row]).collect();
        let mut best = wanted.clone();
        best.sort_by(|a, b| b.total_cmp(a));
        let gain = |wanted: &[f32]| -> f32 {
            wanted.iter().enumerate().map(|(at, wanted)| wanted / (at as f32 + 2.0).log2()).sum()
        };
        let plays = (0_u16..).zip(&wanted).map(|(at, wanted)| Truth::examination(at) * wanted).sum();
        (plays, gain(&wanted) / gain(&best).max(f32::MIN_POSITIVE))
    }
}
