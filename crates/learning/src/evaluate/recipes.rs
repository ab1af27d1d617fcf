//! The settings that engines are measured with by protocol, each chosen on the validation part alone. Where there is
//! none, an engine runs with its defaults.

/// Settings of an engine, as `--set` takes them.
pub type Settings = &'static [(&'static str, &'static str)];

/// Protocol, engine, settings. The comment of a line says what was tried on validation.
const RECIPES: &[(&str, &str, Settings)] = &[];

/// What an engine is set to for a protocol; empty where its defaults serve.
#[must_use]
pub fn recipe(protocol: &str, engine: &str) -> Settings {
    RECIPES.iter().find(|(of, name, _)| *of == protocol && *name == engine).map_or(&[], |(_, _, settings)| settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{engine::engine, protocol::protocol};

    #[test]
    fn every_recipe_is_for_a_protocol_and_an_engine_that_takes_it() {
        for (of, name, settings) in RECIPES {
            protocol(of).unwrap();
            let mut engine = engine(name).unwrap();
            for (setting, value) in *settings {
                engine.set(setting, value).unwrap();
            }
            assert_eq!(recipe(of, name), *settings, "{of} {name} stands once");
        }
    }
}
