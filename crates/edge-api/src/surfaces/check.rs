//! What a surface may say beyond its structure: ranges, uniqueness, settings that are read.
//!
//! Must not know YAML or positions.

use std::{collections::HashSet, time::Duration};

use shared_models::{
    component::{ExplorePolicy, FilterParams, SourceParams},
    explore::ShelfExplore,
    surface::{Shelf, ShelfFilter, ShelfSource, Surface},
};

/// One value that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) key: String,
    pub(super) given: String,
    pub(super) expected: String,
}

/// Every problem of a surface, in file order.
pub(super) fn check(surface: &Surface) -> Vec<Wrong> {
    let mut wrong = Findings::default();
    wrong.text("owner".to_owned(), &surface.owner, 128);
    let budget = surface.budget;
    wrong.unless(
        (Duration::from_millis(5)..=Duration::from_secs(10)).contains(&budget),
        || "budget".to_owned(),
        || format!("{budget:?}"),
        "5ms to 10s",
    );
    let count = surface.shelves.len();
    wrong.unless((1..=20).contains(&count), || "shelves".to_owned(), || format!("{count} shelves"), "1 to 20 shelves");

    let mut ids = HashSet::new();
    let mut slots = HashSet::new();
    for (index, shelf) in surface.shelves.iter().enumerate() {
        let at = format!("shelves[{index}]");
        wrong.unless(
            ids.insert(&shelf.id),
            || format!("{at}.id"),
            || format!("{} again", shelf.id),
            "a name that no other shelf has",
        );
        if let Some(slot) = shelf.slot {
            let on_page = usize::from(slot) < count && slots.insert(slot);
            wrong.unless(
                on_page,
                || format!("{at}.slot"),
                || format!("slot {slot}"),
                "a slot of the page, from 0, that no other shelf has",
            );
        }
        check_shelf(&mut wrong, &at, shelf);
    }
    wrong.0
}

fn check_shelf(wrong: &mut Findings, at: &str, shelf: &Shelf) {
    wrong.text(format!("{at}.title"), &shelf.title, 200);
    wrong.range(|| format!("{at}.candidates"), shelf.candidates, 1, 2_000);

    let sources = shelf.sources.len();
    wrong.unless(
        (1..=10).contains(&sources),
        || format!("{at}.sources"),
        || format!("{sources} sources"),
        "1 to 10 sources",
    );
    for (index, source) in shelf.sources.iter().enumerate() {
        check_source(wrong, &format!("{at}.sources[{index}]"), source);
    }
    let mut seen = HashSet::new();
    for (index, filter) in shelf.filters.iter().enumerate() {
        let at = format!("{at}.filters[{index}]");
        wrong.unless(
            seen.insert(filter.0.name),
            || at.clone(),
            || format!("{} again", filter.0.name),
            "each filter once",
        );
        check_filter(wrong, &at, filter);
    }

    for (name, weight) in ["play", "complete", "like", "skip"].into_iter().zip(shelf.objective.weights()) {
        let fits = weight.is_finite() && weight.abs() <= 100.0;
        wrong.unless(fits, || format!("{at}.objective.{name}"), || weight.to_string(), "a number from -100 to 100");
    }
    let worthless = shelf.objective.weights().iter().all(|weight| *weight == 0.0);
    wrong.unless(
        !worthless,
        || format!("{at}.objective"),
        || "all weights are 0".to_owned(),
        "at least one weight that is not 0",
    );

    let slate = &shelf.slate;
    wrong.range(|| format!("{at}.slate.size"), u32::from(slate.size), 1, 100);
    wrong.unless(
        (0.0..=1.0).contains(&slate.diversity),
        || format!("{at}.slate.diversity"),
        || slate.diversity.to_string(),
        "a number from 0 to 1",
    );
    check_explore(wrong, &format!("{at}.slate.explore"), slate.explore);
    if let Some(rule) = &slate.new_items {
        let at = format!("{at}.slate.new_items");
        if let Some((key, given, expected)) = rule.out_of_range() {
            wrong.unless(false, || format!("{at}.{key}"), || given, expected);
        }
        let last = u32::from(rule.from) + u32::from(rule.slots);
        wrong.unless(
            last <= u32::from(slate.size),
            || format!("{at}.from"),
            || format!("positions up to {}", last.saturating_sub(1)),
            "positions below `size`",
        );
    }
    let mut positions = HashSet::new();
    for (index, pin) in slate.pins.iter().enumerate() {
        let fits = pin.position < slate.size && positions.insert(pin.position);
        let expected = "a position below `size` that no other pin has";
        wrong.unless(
            fits,
            || format!("{at}.slate.pins[{index}].position"),
            || format!("position {}", pin.position),
            expected,
        );
    }
}

fn check_explore(wrong: &mut Findings, at: &str, explore: ShelfExplore) {
    let policy = explore.0.policy;
    let read = policy.params();
    for name in explore.given().into_iter().filter(|name| !read.contains(name)) {
        wrong.unread(format!("{at}.{name}"), policy.as_str(), name, read);
    }
    wrong.unless(
        policy != ExplorePolicy::Epsilon || explore.0.share.is_some(),
        || at.to_owned(),
        || "epsilon without a share".to_owned(),
        "`share`, a number from 0 to 1",
    );
    if let Some((key, given, expected)) = explore.plan().out_of_range() {
        // A share alone has no key of its own: the position is that of `explore`.
        wrong.unless(false, || format!("{at}.{key}"), || given.to_string(), expected);
    }
}

fn check_source(wrong: &mut Findings, at: &str, source: &ShelfSource) {
    wrong.range(|| format!("{at}.limit"), source.limit, 1, 2_000);
    let SourceParams { seeds, artists, within } = source.params;
    let read = source.name.params();
    let given = [("seeds", seeds.is_some()), ("artists", artists.is_some()), ("within", within.is_some())];
    for (name, _) in given.into_iter().filter(|(name, given)| *given && !read.contains(name)) {
        wrong.unread(format!("{at}.params.{name}"), source.name.as_str(), name, read);
    }
    if let Some(seeds) = seeds {
        wrong.range(|| format!("{at}.params.seeds"), u32::from(seeds), 1, 50);
    }
    if let Some(artists) = artists {
        wrong.range(|| format!("{at}.params.artists"), u32::from(artists), 1, 50);
    }
    wrong.span(|| format!("{at}.params.within"), within);
}

fn check_filter(wrong: &mut Findings, at: &str, filter: &ShelfFilter) {
    let FilterParams { within, max } = filter.0.params;
    let read = filter.0.name.params();
    let name = filter.0.name.as_str();
    for (setting, _) in [("within", within.is_some()), ("max", max.is_some())]
        .into_iter()
        .filter(|(s, given)| *given && !read.contains(s))
    {
        wrong.unread(format!("{at}.{name}.{setting}"), name, setting, read);
    }
    if let Some(max) = max {
        wrong.range(|| format!("{at}.{name}.max"), u32::from(max), 1, 1_000);
    }
    wrong.span(|| format!("{at}.{name}.within"), within);
}

#[derive(Default)]
struct Findings(Vec<Wrong>);

impl Findings {
    fn unless(&mut self, fits: bool, key: impl FnOnce() -> String, given: impl FnOnce() -> String, expected: &str) {
        if !fits {
            self.0.push(Wrong { key: key(), given: given(), expected: format!("give {expected}") });
        }
    }

    fn range(&mut self, key: impl FnOnce() -> String, given: u32, least: u32, most: u32) {
        self.unless((least..=most).contains(&given), key, || given.to_string(), &format!("{least} to {most}"));
    }

    fn text(&mut self, key: String, given: &str, most: usize) {
        let characters = given.chars().count();
        let fits = !given.trim().is_empty() && characters <= most && !given.chars().any(char::is_control);
        self.unless(
            fits,
            || key,
            || format!("a text of {characters} characters"),
            &format!("1 to {most} visible characters"),
        );
    }

    fn span(&mut self, key: impl FnOnce() -> String, given: Option<Duration>) {
        const YEAR: Duration = Duration::from_secs(366 * 86_400);
        if let Some(span) = given {
            self.unless(
                !span.is_zero() && span <= YEAR,
                key,
                || format!("{span:?}"),
                "more than 0 and at most one year, such as `14d`",
            );
        }
    }

    fn unread(&mut self, key: String, owner: &str, setting: &str, read: &[&str]) {
        let expected = match read {
            [] => format!("remove it: {owner} reads no settings"),
            _ => format!("{owner} reads {}", read.join(", ")),
        };
        self.0.push(Wrong { key, given: format!("{owner} does not read {setting:?}"), expected });
    }
}
