//! The corpus of the filters: each case names the reason that decides it, or that it stays. Every
//! filter decides at least one.

use std::time::Duration;

use candidate_generation::{
    catalog::Handle,
    filters::{InCatalogueFilter, filter},
};
use pipeline::candidates::{Filter as _, Verdict};
use shared_models::{
    ItemKey, Timestamp, UserId,
    component::{DropReason, FilterName, FilterParams},
    event::EventKind,
    item::Market,
    listener::UserAttributes,
    plan::{CandidatePlan, FilterPlan},
};

use crate::world::{World, key, track};

const HOURS: Duration = Duration::from_secs(3_600);

fn world() -> World {
    let se = Market::parse("SE").unwrap();
    let mut only_in_norway = track("norwegian", "a");
    only_in_norway.markets.push(Market::parse("NO").unwrap());
    let mut swedish = track("swedish", "a");
    swedish.markets.extend([se, Market::parse("DK").unwrap()]);
    let mut explicit = track("explicit", "a");
    explicit.explicit = true;
    let items = [
        track("plain", "a"),
        only_in_norway,
        swedish,
        explicit,
        track("hidden", "a"),
        track("by-hidden", "hidden-artist"),
        track("shown", "a"),
    ];
    let mut world = World::of(items);
    world.market = se;
    world.attributes = Some(UserAttributes {
        id: UserId::new("u").unwrap(),
        market: None,
        explicit_allowed: false,
        updated_at: Timestamp(1),
    });
    world.did(EventKind::Hide, "hidden", 1.0).did(EventKind::Hide, "hidden-artist", 1.0).did(
        EventKind::Play,
        "plain",
        3.0,
    );
    for days in [1.0, 2.0, 3.0] {
        world.did(EventKind::Impression, "shown", days);
    }
    world.exclude = vec![key("plain")];
    world
}

fn check(name: FilterName, params: FilterParams, item: &str, expected: Option<DropReason>) {
    let page = world().page(CandidatePlan::default());
    let verdict = filter(&FilterPlan { name, params }).judge(&page, page.catalogue.handle(key(item)));
    assert_eq!(verdict, expected.map_or(Verdict::Keep, Verdict::Drop), "{name} on {item}");
}

#[test]
fn every_filter_decides_by_its_own_reason() {
    let by_default = FilterParams::default();
    let within = |hours: u32| FilterParams { within: Some(HOURS * hours), max: None };
    let cap = |max: u16, hours: u32| FilterParams { within: Some(HOURS * hours), max: Some(max) };
    let cases = [
        (FilterName::AvailableInMarket, by_default, "norwegian", Some(DropReason::NotAvailableInMarket)),
        (FilterName::AvailableInMarket, by_default, "swedish", None),
        (FilterName::AvailableInMarket, by_default, "plain", None),
        (FilterName::NotHidden, by_default, "hidden", Some(DropReason::ItemHidden)),
        (FilterName::NotHidden, by_default, "by-hidden", Some(DropReason::ArtistHidden)),
        (FilterName::NotHidden, by_default, "plain", None),
        (FilterName::NotRecentlyPlayed, by_default, "plain", Some(DropReason::RecentlyPlayed)),
        (FilterName::NotRecentlyPlayed, within(48), "plain", None),
        (FilterName::NotRecentlyPlayed, by_default, "swedish", None),
        (FilterName::ImpressionCap, cap(3, 24 * 7), "shown", Some(DropReason::ShownTooOften)),
        (FilterName::ImpressionCap, cap(3, 60), "shown", None),
        (FilterName::ImpressionCap, by_default, "shown", None),
        (FilterName::ExplicitContent, by_default, "explicit", Some(DropReason::Explicit)),
        (FilterName::ExplicitContent, by_default, "plain", None),
        (FilterName::ExcludedByRequest, by_default, "plain", Some(DropReason::ExcludedByRequest)),
        (FilterName::ExcludedByRequest, by_default, "swedish", None),
    ];
    for (name, params, item, expected) in cases {
        check(name, params, item, expected);
    }
    for name in FilterName::ALL {
        assert!(cases.iter().any(|case| case.0 == *name && case.3.is_some()), "{name} decides no case");
    }
}

#[test]
fn what_the_catalogue_does_not_hold_is_dropped_first() {
    let page = world().page(CandidatePlan::default());
    let gone = Handle { key: ItemKey(5), slot: candidate_generation::catalog::NOWHERE };
    assert_eq!(InCatalogueFilter.judge(&page, gone), Verdict::Drop(DropReason::NotInCatalogue));
    assert_eq!(InCatalogueFilter.judge(&page, page.catalogue.handle(key("plain"))), Verdict::Keep);
}

#[test]
fn explicit_items_stay_where_the_tenant_says_nothing() {
    let mut world = world();
    world.attributes = None;
    let page = world.page(CandidatePlan::default());
    let plan = FilterPlan { name: FilterName::ExplicitContent, params: FilterParams::default() };
    assert_eq!(filter(&plan).judge(&page, page.catalogue.handle(key("explicit"))), Verdict::Keep);
}
