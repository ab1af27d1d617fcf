//! The same list for everybody of a segment: what was chosen most there, and of late.

use std::time::Duration;

use releases::{rates::quarter_of, segments::Segment};
use rustc_hash::FxHashMap;
use shared_models::item::Market;

use super::super::{
    Scorer,
    engine::{Engine, Error, Setting, read},
    split::Timed,
    training::Training,
};
use crate::{
    progress::Progress,
    segments::{Counts, Played, Settings, counted},
};

const NAME: &str = "segments";

/// How finely listeners are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    All,
    #[default]
    Market,
    Quarter,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Market => "market",
            Self::Quarter => "quarter",
        }
    }

    fn read(value: &str) -> Option<Self> {
        [Self::All, Self::Market, Self::Quarter].into_iter().find(|by| by.name() == value)
    }
}

/// Popularity by segment with time decay ([`crate::segments`]).
#[derive(Clone, Debug, Default)]
pub struct Segments {
    settings: Settings,
    by: By,
}

impl Engine for Segments {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "what was chosen most in a user's market, what is recent more than what is old"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        let days = s.half_life.as_secs_f64() / 86_400.0;
        vec![
            Setting::new(
                "by",
                self.by.name(),
                "all, market, or quarter: the market at the time of day a user comes most",
            ),
            Setting::new("half_life", days, "days after which a choice counts half; 0 is never"),
            Setting::new("market_prior", s.market_prior, "pretended choices that draw a market to everybody"),
            Setting::new("quarter_prior", s.quarter_prior, "pretended choices that draw a quarter to its market"),
            Setting::new("repeats", s.repeats, "whether each choice counts; else a user's last of each item"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number, 0 or more";
        let wrong = |expected| Error::Value { name: name.to_owned(), given: value.to_owned(), expected };
        let number = || {
            read::<f64>(name, value, NUMBER).and_then(|given| if given >= 0.0 { Ok(given) } else { Err(wrong(NUMBER)) })
        };
        let s = &mut self.settings;
        match name {
            "by" => self.by = By::read(value).ok_or_else(|| wrong("all, market or quarter"))?,
            "half_life" => {
                s.half_life = Duration::try_from_secs_f64(number()? * 86_400.0).map_err(|_| wrong("fewer days"))?;
            }
            "market_prior" => s.market_prior = number()?,
            "quarter_prior" => s.quarter_prior = number()?,
            "repeats" => s.repeats = read(name, value, "true or false")?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, _: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let Some(choices) = &training.choices else {
            return Err(Error::Needs { engine: NAME, needs: "the moments of choices" });
        };
        let now = choices.last().map(|choice| choice.at).unwrap_or_default();
        let mut by_user: Vec<Vec<Played>> = vec![Vec::new(); training.users()];
        for Timed { user, item, weight, at, market } in choices.iter().copied() {
            if let Some(plays) = by_user.get_mut(user as usize) {
                plays.push(Played { item, at, market, weight });
            }
        }
        let plays = by_user.into_iter().flat_map(|plays| counted(plays, &self.settings));
        let counts = Counts::of(training.items(), plays, now, &self.settings);
        let mut quarters: Vec<([u32; 4], Market)> = vec![([0; 4], Market::UNKNOWN); training.users()];
        for choice in choices {
            if let Some((quarters, market)) = quarters.get_mut(choice.user as usize) {
                quarters[quarter_of(choice.at)] += 1;
                *market = choice.market;
            }
        }
        let segment = |(quarters, market): &([u32; 4], Market)| match self.by {
            By::All => Segment::All,
            _ if *market == Market::UNKNOWN => Segment::All,
            By::Market => Segment::Market(*market),
            By::Quarter => {
                let most = (0..4_u8).max_by_key(|quarter| quarters[usize::from(*quarter)]).unwrap_or(0);
                Segment::Quarter(*market, most)
            }
        };
        let of_users: Vec<Segment> = quarters.iter().map(segment).collect();
        let items = training.items() as u32;
        let mut shares: FxHashMap<Segment, Vec<f32>> = FxHashMap::default();
        for segment in &of_users {
            let of_segment = || (0..items).map(|item| counts.share(*segment, item) as f32).collect();
            shares.entry(*segment).or_insert_with(of_segment);
        }
        Ok(Box::new(Shares { of_users, shares }))
    }
}

struct Shares {
    of_users: Vec<Segment>,
    shares: FxHashMap<Segment, Vec<f32>>,
}

impl Scorer for Shares {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let each = scores.len() / users.len().max(1);
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(each.max(1))) {
            if let Some(shares) = self.of_users.get(*user as usize).and_then(|segment| self.shares.get(segment)) {
                row.copy_from_slice(shares);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_models::Timestamp;

    use super::*;
    use crate::{evaluate::training::History, progress::Silent};

    #[test]
    fn a_user_is_shown_what_is_chosen_at_home_and_of_late() {
        const DAY: i64 = 86_400_000;
        let of = |user: u32, item: u32, day: i64, code: &str| Timed {
            user,
            item,
            weight: 1.0,
            at: Timestamp(day * DAY),
            market: Market::parse(code).unwrap(),
        };
        let choices =
            vec![of(0, 0, 0, "SE"), of(0, 1, 90, "SE"), of(1, 2, 0, "NO"), of(1, 2, 90, "NO"), of(1, 3, 91, "NO")];
        let learn = History::of_sets(4, &[vec![0, 1], vec![2, 3]]).unwrap();
        let training = Training { learn, choices: Some(choices), ..Training::default() };
        let best = |settings: &[(&str, &str)]| {
            let mut engine = Segments::default();
            settings.iter().for_each(|(name, value)| engine.set(name, value).unwrap());
            let mut scores = [0.0_f32; 8];
            engine.train(&training, &Silent).unwrap().score(&[0, 1], &mut scores);
            [0, 4].map(|at| (0..4).max_by(|a, b| scores[at + a].total_cmp(&scores[at + b])).unwrap())
        };
        assert_eq!(best(&[("by", "all"), ("half_life", "0"), ("repeats", "true")]), [2, 2]);
        assert_eq!(best(&[("market_prior", "1"), ("half_life", "10")])[0], 1);
        assert_eq!(best(&[("market_prior", "0.1"), ("half_life", "0.5")]), [1, 3]);
        let timeless = Training { choices: None, ..training.clone() };
        assert!(matches!(Segments::default().train(&timeless, &Silent), Err(Error::Needs { .. })));
        assert!(Segments::default().set("by", "moon").is_err() && Segments::default().set("half_life", "-1").is_err());
    }
}
