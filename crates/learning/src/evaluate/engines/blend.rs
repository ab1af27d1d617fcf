//! Several engines at once, their scores brought to one scale and added.

use super::{
    super::{
        Scorer,
        engine::{self, Engine, Error, Setting, read},
        training::Training,
    },
    Ease, Sequential,
};
use crate::progress::Progress;

const NAME: &str = "blend";

/// `Σ_e weight_e · scores_e / deviation of scores_e`, user by user: engines score in units of their own, and what
/// counts is how far an item stands out. The weights are to be chosen on a validation part.
pub struct Blend {
    parts: Vec<Part>,
}

struct Part {
    engine: Box<dyn Engine>,
    weight: f32,
}

impl Default for Blend {
    fn default() -> Self {
        let part = |engine: Box<dyn Engine>, weight| Part { engine, weight };
        Self { parts: vec![part(Box::<Sequential>::default(), 1.0), part(Box::<Ease>::default(), 0.4)] }
    }
}

impl Engine for Blend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "several engines, each with a weight; <engine>.<setting> sets one of theirs"
    }

    fn settings(&self) -> Vec<Setting> {
        let parts: Vec<String> =
            self.parts.iter().map(|part| format!("{} {}", part.engine.name(), part.weight)).collect();
        vec![Setting::new("parts", parts.join(" "), "engines and weights: sequential 1 ease 0.4")]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if name == "parts" {
            let words: Vec<&str> = value.split_whitespace().collect();
            let mut parts: Vec<Part> = Vec::new();
            for pair in words.chunks(2) {
                const EXPECTED: &str = "engines and weights in turn, such as sequential 1 ease 0.4";
                let [engine, weight] = pair else {
                    return Err(Error::Value { name: name.to_owned(), given: value.to_owned(), expected: EXPECTED });
                };
                let weight = read(name, weight, EXPECTED)?;
                // One that is there keeps its settings.
                let old = self.parts.iter().position(|part| part.engine.name() == *engine);
                let engine = match old {
                    Some(old) => self.parts.swap_remove(old).engine,
                    None if *engine == NAME => return Err(Error::unknown(self, engine)),
                    None => engine::engine(engine)?,
                };
                parts.push(Part { engine, weight });
            }
            self.parts = parts;
            return Ok(());
        }
        let part = name
            .split_once('.')
            .and_then(|(of, setting)| Some((self.parts.iter_mut().find(|part| part.engine.name() == of)?, setting)));
        match part {
            Some((part, setting)) => part.engine.set(setting, value),
            None => Err(Error::unknown(self, name)),
        }
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let parts = self
            .parts
            .iter()
            .map(|part| Ok((part.engine.train(training, progress)?, part.weight)))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Box::new(Sum { parts, items: training.items() }))
    }
}

struct Sum<'a> {
    parts: Vec<(Box<dyn Scorer + 'a>, f32)>,
    items: usize,
}

impl Scorer for Sum<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        let mut own = vec![0.0_f32; scores.len()];
        for (scorer, weight) in &self.parts {
            scorer.score(users, &mut own);
            let rows = own.chunks_exact(self.items.max(1)).zip(scores.chunks_exact_mut(self.items.max(1)));
            for (own, into) in rows {
                let factor = weight / deviation(own);
                for (into, score) in into.iter_mut().zip(own) {
                    *into += factor * score;
                }
            }
        }
    }
}

/// The standard deviation; 1 where all are the same.
fn deviation(values: &[f32]) -> f32 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n;
    if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evaluate::training::History, progress::Silent};

    #[test]
    fn parts_are_named_weighed_and_set() {
        let mut blend = Blend::default();
        blend.set("ease.regularisation", "7").unwrap();
        blend.set("parts", "popularity 0.5 ease 2").unwrap();
        assert_eq!(blend.settings()[0].value, "popularity 0.5 ease 2");
        let set = blend.parts[1].engine.settings();
        assert!(set.iter().any(|setting| setting.name == "regularisation" && setting.value == "7"));
        for (name, value) in
            [("parts", "ease"), ("parts", "ease x"), ("parts", "magic 1"), ("parts", "blend 1"), ("graph.signals", "1")]
        {
            assert!(blend.set(name, value).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn scores_are_added_in_units_of_their_deviation() {
        let training = Training { learn: History::of_sets(2, &[vec![1], vec![1]]).unwrap(), ..Training::default() };
        let mut blend = Blend::default();
        blend.set("parts", "popularity 3").unwrap();
        let mut scores = [0.0; 2];
        blend.train(&training, &Silent).unwrap().score(&[0], &mut scores);
        // Counts 0 and 2 deviate by 1 from their mean.
        assert_eq!(scores, [0.0, 6.0]);
    }
}
