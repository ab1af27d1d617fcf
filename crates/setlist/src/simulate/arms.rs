//! The surfaces of the arms: one shelf of ten cards each, as a product team would write them.

use std::path::Path;

use anyhow::Context;

use crate::cli::simulate::Arm;

/// Cards of a page.
pub(super) const CARDS: usize = 10;

const FILTERS: &str = r"    filters:
      - available_in_market
      - not_hidden
      - explicit_content
      - not_recently_played: { within: 14d }
      - impression_cap: { max: 5, within: 7d }
    objective: { play: 1.0, complete: 2.0, like: 4.0, skip: -1.5 }
";

const SOURCES: &str = r"      - { name: embedding, limit: 300 }
      - { name: item-to-item, limit: 150, params: { seeds: 10 } }
      - { name: favourite-artists, limit: 60, params: { artists: 10 } }
      - { name: trending, limit: 100 }
      - { name: new-releases, limit: 60, params: { within: 30d } }
";

/// How places are drawn, for the arms that are otherwise one.
fn drawing(arm: Arm) -> Option<&'static str> {
    match arm {
        Arm::Explore => Some("0.1"),
        Arm::Softmax => Some("{ policy: softmax, temperature: 0.1 }"),
        Arm::Thompson => Some("{ policy: thompson }"),
        Arm::Random | Arm::Popular | Arm::Ials | Arm::Ranker => None,
    }
}

/// What stands in the surface file of an arm; `None` for one that asks for no page.
fn surface(arm: Arm) -> Option<String> {
    let (sources, candidates, slate) = match arm {
        Arm::Random => return None,
        // As many candidates as cards: which are shown is the source's choice.
        Arm::Popular => ("      - { name: popular-in-market, limit: 300 }\n".to_owned(), CARDS, String::new()),
        Arm::Ials => ("      - { name: embedding, limit: 300 }\n".to_owned(), CARDS, String::new()),
        Arm::Ranker => (SOURCES.to_owned(), 500, ", max_per_artist: 2".to_owned()),
        Arm::Explore | Arm::Softmax | Arm::Thompson => {
            let slate = format!(", max_per_artist: 2, explore: {}", drawing(arm).unwrap_or("0"));
            (format!("{SOURCES}      - {{ name: exploration, limit: 60 }}\n"), 500, slate)
        }
    };
    let name = name(arm);
    Some(format!(
        "surface: {name}\nowner: simulation\nbudget: 2s\nshelves:\n  - id: for-you\n    title: \"For you\"\n    sources:\n\
         {sources}{FILTERS}    candidates: {candidates}\n    slate: {{ size: {CARDS}{slate} }}\n"
    ))
}

/// The surface that freshness is seen on: the page of an arm, and beside it all that was played of late, so that every
/// play shows. What was played earlier than that may be recommended, and is no sign of a play.
pub(super) const FRESHNESS: &str = "simulated-freshness";

fn freshness() -> String {
    format!(
        "surface: {FRESHNESS}\nowner: simulation\nbudget: 2s\nshelves:\n  - id: for-you\n    title: \"For you\"\n    sources:\n\
         {SOURCES}{FILTERS}    slate: {{ size: {CARDS} }}\n  - id: played\n    title: \"Played\"\n    sources:\n      - {{ \
         name: recently-played, limit: 50, params: {{ within: 14d }} }}\n    objective: {{ play: 1.0 }}\n    slate: {{ size: 50 }}\n"
    )
}

/// The arms that ask for pages.
const PAGES: [Arm; 6] = [Arm::Popular, Arm::Ials, Arm::Ranker, Arm::Explore, Arm::Softmax, Arm::Thompson];

/// The surface of an arm.
pub(super) fn name(arm: Arm) -> String {
    format!("simulated-{}", arm.name())
}

/// Writes the surface files of all arms, and that of freshness, into a folder.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let of_arms = PAGES.into_iter().filter_map(|arm| Some((name(arm), surface(arm)?)));
    for (name, text) in of_arms.chain([(FRESHNESS.to_owned(), freshness())]) {
        let path = folder.join(format!("{name}.yaml"));
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_surface_is_one_the_edge_takes() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let surfaces = edge_api::surfaces::Surfaces::load(Some(folder.path())).unwrap();
        let freshness = surfaces.by_name(FRESHNESS).unwrap();
        assert_eq!(freshness.surface.shelves.len(), 2);
        for arm in PAGES {
            let served = surfaces.by_name(&name(arm)).unwrap();
            assert_eq!(usize::from(served.surface.shelves[0].slate.size), CARDS);
        }
    }
}
