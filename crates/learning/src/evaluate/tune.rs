//! Choosing settings on the validation part. The test part is not read.

use std::path::Path;

use super::{
    engine::{Engine, engine},
    protocol::{Options, Part, Protocol},
    report::Tuning,
    run::{self, Error, Lengths},
};
use crate::progress::{Progress, Silent, Unit};

/// The most combinations that are tried.
const MOST: usize = 1_000;

/// Values to try of some settings, all with all.
pub type Grid = [(String, Vec<String>)];

/// What is to be tuned.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// Its data.
    pub folder: &'a Path,
    /// As they are; the part is set to validation here.
    pub options: &'a Options,
    /// The engine's name.
    pub engine: &'a str,
    /// What is set beside the grid.
    pub fixed: &'a [(String, String)],
    /// What is tried.
    pub grid: &'a Grid,
    /// What is measured; the first measure decides.
    pub lengths: &'a Lengths,
}

/// Trains every combination on the validation part, and gives the engine as the best of them sets it, with all that was
/// tried. Of equals the first tried is chosen.
///
/// # Errors
/// When the data cannot be read, a setting is wrong, or there are too many combinations.
pub fn tune(plan: Plan<'_>, progress: &dyn Progress) -> Result<(Box<dyn Engine>, Vec<Tuning>), Error> {
    let combinations = combinations(plan.grid)?;
    let made = |chosen: &[(String, String)]| -> Result<Box<dyn Engine>, Error> {
        let mut engine = engine(plan.engine)?;
        for (name, value) in plan.fixed.iter().chain(chosen) {
            engine.set(name, value)?;
        }
        Ok(engine)
    };
    // Before anything is trained, so that a wrong value is found at once.
    let engines = combinations.iter().map(|chosen| made(chosen)).collect::<Result<Vec<_>, _>>()?;
    let options = Options { part: Part::Validation, ..plan.options.clone() };
    let task = run::read(plan.protocol, plan.folder, &options, progress)?;
    let stage = progress.stage(&format!("{}, tuning", plan.engine), Unit::Steps, Some(engines.len() as u64));
    let lengths = Lengths { measures: plan.lengths.measures.iter().copied().take(1).collect(), curve: false };
    let mut tried = Vec::with_capacity(engines.len());
    for (engine, chosen) in engines.iter().zip(&combinations) {
        let row = run::measure(&**engine, &task, &lengths, &Silent)?;
        tried.push(Tuning {
            engine: plan.engine.to_owned(),
            settings: chosen.iter().cloned().collect(),
            value: row.values.first().copied().unwrap_or_default(),
            train_seconds: row.train_seconds,
            chosen: false,
        });
        stage.advance(1);
    }
    let better = |best: usize, at: usize| if tried[at].value.mean > tried[best].value.mean { at } else { best };
    let best = (1..tried.len()).fold(0, better);
    if let Some(best) = tried.get_mut(best) {
        best.chosen = true;
        stage.finish(&format!("best {:.4} with {:?}", best.value.mean, best.settings));
    }
    let engine = engines.into_iter().nth(best).map_or_else(|| made(&[]), Ok)?;
    Ok((engine, tried))
}

fn combinations(grid: &Grid) -> Result<Vec<Vec<(String, String)>>, Error> {
    let given = grid.iter().fold(1_usize, |product, (_, values)| product.saturating_mul(values.len()));
    if given > MOST {
        return Err(Error::Grid { given, most: MOST });
    }
    let mut all = vec![Vec::new()];
    for (name, values) in grid {
        all = all
            .iter()
            .flat_map(|before: &Vec<(String, String)>| {
                values.iter().map(move |value| {
                    let mut next = before.clone();
                    next.push((name.clone(), value.clone()));
                    next
                })
            })
            .collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::protocol::protocol;

    fn grid(of: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        of.iter().map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect())).collect()
    }

    #[test]
    fn every_combination_is_tried_in_order() {
        let all = combinations(&grid(&[("a", &["1", "2"]), ("b", &["x", "y"])])).unwrap();
        let shown: Vec<String> = all.iter().map(|c| c.iter().map(|(_, value)| value.as_str()).collect()).collect();
        assert_eq!(shown, ["1x", "1y", "2x", "2y"]);
        let many: Vec<&str> = vec!["0"; 40];
        assert!(matches!(combinations(&grid(&[("a", &many), ("b", &many)])), Err(Error::Grid { given: 1_600, .. })));
    }

    #[test]
    fn the_best_on_validation_is_chosen_without_a_test_part() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..40)
            .map(|user| {
                let items: Vec<String> =
                    (0..10).map(|n| (user % 2 * 10 + (user * 3 + n * 7) % 10).to_string()).collect();
                format!("{user} {}\n", items.join(" "))
            })
            .collect();
        // There is no test.txt: reading it would fail.
        std::fs::write(folder.path().join("train.txt"), lines).unwrap();
        let protocol = protocol("gowalla-lightgcn").unwrap();
        let (options, lengths) = (Options::new(Part::Test), Lengths::of(protocol, &[1], false));
        let fixed = [("alpha".to_owned(), "4".to_owned())];
        let plan = |grid| Plan {
            protocol,
            folder: folder.path(),
            options: &options,
            engine: "factors",
            fixed: &fixed,
            grid,
            lengths: &lengths,
        };
        let dimensions = grid(&[("dimensions", &["1", "8"])]);
        let (engine, tried) = tune(plan(&dimensions), &Silent).unwrap();
        assert_eq!(tried.len(), 2);
        let chosen = tried.iter().find(|tried| tried.chosen).unwrap();
        assert!(tried.iter().all(|tried| tried.value.mean <= chosen.value.mean));
        let setting = |name: &str| engine.settings().into_iter().find(|setting| setting.name == name).unwrap().value;
        assert_eq!(setting("dimensions"), chosen.settings["dimensions"]);
        assert_eq!(setting("alpha"), "4");
        let wrong = grid(&[("dimensions", &["x"])]);
        assert!(tune(plan(&wrong), &Silent).is_err());
    }
}
