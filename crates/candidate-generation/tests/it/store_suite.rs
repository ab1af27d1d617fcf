//! What any store must do, as functions over the trait. A store's own test calls [`cases`] with a function that
//! makes a fresh, empty one for each.

use std::sync::Arc;

use candidate_generation::{
    index::trending::StoredTrend,
    profiles::{ItemFactsForFold, Profile},
    store::{Error, EventKey, NextProfile, Position, Store, StoredUser, Written, encode},
};
use shared_models::{
    EventId, FeatureName, ItemKey, TenantId, Timestamp, UserId, UserKey,
    event::EventKind,
    item::{Item, ItemKind, Market},
    listener::UserAttributes,
    numbers::Numbers,
};

use crate::world::{NOW, event, id, key, tenant, track};

/// Every case as a test; `$fresh` gives a store and what must live as long as it.
macro_rules! cases {
    ($fresh:path) => {
        $crate::store_suite::cases!(
            $fresh:
            items_round_trip,
            numbers_of_items_round_trip,
            the_last_of_equals_is_kept,
            tenants_never_meet,
            users_round_trip,
            users_are_walked_page_by_page,
            an_unreadable_profile_is_its_users_affair,
            an_outdated_writer_is_refused,
            claims_hold_once,
            a_dropped_transaction_leaves_nothing,
            old_events_are_forgotten,
            forgetting_much_holds_no_writer_up,
            trends_round_trip
        );
    };
    ($fresh:path: $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (_alive, store) = $fresh().await;
                $crate::store_suite::$case(&store).await;
            }
        )+
    };
}

pub(crate) use cases;

fn other() -> TenantId {
    TenantId::new("other").unwrap()
}

pub(crate) fn user(name: &str) -> UserKey {
    UserKey::of(&UserId::new(name).unwrap())
}

pub(crate) fn event_key(name: &str) -> EventKey {
    EventKey::of(&EventId::new(name).unwrap())
}

fn numbers(features: &[(&str, f32)], embedding: &[f32]) -> Option<Arc<Numbers>> {
    let features = features.iter().map(|(name, value)| (FeatureName::new(name).unwrap(), *value));
    Numbers::new(features, embedding.to_vec()).unwrap()
}

pub(crate) fn full_item() -> Item {
    Item {
        kind: ItemKind::Other("mix".to_owned()),
        genres: vec!["jazz".to_owned(), "\"quoted\" søul".to_owned()],
        released_at: Some(Timestamp(-5)),
        explicit: true,
        markets: ["SE", "NO", "DK", "FI", "IS"].iter().filter_map(|code| Market::parse(code)).collect(),
        numbers: numbers(&[("tempo", 0.61), ("x.1", -3e-9)], &[0.1, -2.0, f32::MIN_POSITIVE]),
        ..track("full", "someone")
    }
}

pub(crate) async fn put(store: &dyn Store, tenant: &TenantId, items: &[Item]) -> Vec<Written> {
    let items: Vec<Arc<Item>> = items.iter().cloned().map(Arc::new).collect();
    store.put_items(tenant, &items, NOW).await.unwrap()
}

/// Items come back as they were written, and a write says what it did.
pub(crate) async fn items_round_trip(store: &dyn Store) {
    let bare = Item { artist_id: None, artist_name: None, duration_ms: None, ..track("bare", "") };
    assert_eq!(put(store, &tenant(), &[full_item(), bare.clone()]).await, [Written::Created; 2]);
    let changed = Item { title: "changed".to_owned(), numbers: numbers(&[], &[1.0]), ..bare };
    assert_eq!(put(store, &tenant(), &[full_item(), changed.clone()]).await, [Written::Unchanged, Written::Updated]);
    assert_eq!(store.items_after(&tenant(), None, 10).await.unwrap(), [changed.clone(), full_item()]);
    assert_eq!(store.items_after(&tenant(), Some(&id("bare")), 10).await.unwrap(), [full_item()]);
    assert_eq!(store.items_after(&tenant(), None, 1).await.unwrap(), [changed]);
    assert!(store.delete_item(&tenant(), &id("bare")).await.unwrap());
    assert!(!store.delete_item(&tenant(), &id("bare")).await.unwrap());
    assert_eq!(store.items_after(&tenant(), None, 10).await.unwrap().len(), 1);
}

/// What was measured of an item alone makes it another, and goes when it is written without.
pub(crate) async fn numbers_of_items_round_trip(store: &dyn Store) {
    let with = |numbers| Item { numbers, ..track("t", "a") };
    let forms = [
        numbers(&[("tempo", 1.0 / 3.0)], &[]),
        numbers(&[("tempo", 0.5)], &[]),
        numbers(&[("tempo", 0.5)], &vec![0.7; 1_024]),
        None,
    ];
    for (number, form) in forms.into_iter().enumerate() {
        let expected = if number == 0 { Written::Created } else { Written::Updated };
        assert_eq!(put(store, &tenant(), &[with(form.clone())]).await, [expected]);
        assert_eq!(put(store, &tenant(), &[with(form.clone())]).await, [Written::Unchanged]);
        assert_eq!(store.items_after(&tenant(), None, 10).await.unwrap(), [with(form)]);
    }
}

/// An id given twice in one call is kept as it stands last.
pub(crate) async fn the_last_of_equals_is_kept(store: &dyn Store) {
    let first = track("t", "a");
    let last = Item { title: "last".to_owned(), ..first.clone() };
    put(store, &tenant(), &[first, last.clone()]).await;
    assert_eq!(store.items_after(&tenant(), None, 10).await.unwrap(), [last]);
}

/// Nothing of a tenant shows in another.
pub(crate) async fn tenants_never_meet(store: &dyn Store) {
    put(store, &tenant(), &[track("t", "a")]).await;
    assert_eq!(store.items_after(&other(), None, 10).await.unwrap(), []);
    assert!(!store.delete_item(&other(), &id("t")).await.unwrap());
    save(store, &tenant(), "u", 1).await.unwrap();
    assert_eq!(store.user(&other(), user("u")).await.unwrap(), StoredUser::default());
    let mut tx = store.begin(None).await.unwrap();
    assert_eq!(tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap(), [true]);
    assert_eq!(tx.claim_events(&other(), &[(user("u"), event_key("e"))], NOW).await.unwrap(), [true]);
    tx.commit().await.unwrap();
    assert_eq!(store.tenants().await.unwrap(), [tenant()]);
}

pub(crate) fn profile(plays: u64) -> Profile {
    let mut profile = Profile::default();
    for number in 0..plays {
        profile.apply(&event(number, "u", EventKind::Play, &format!("t{number}"), NOW), &ItemFactsForFold::default());
    }
    profile
}

pub(crate) async fn save(store: &dyn Store, tenant: &TenantId, name: &str, version: i64) -> Result<(), Error> {
    let mut tx = store.begin(None).await?;
    let next = NextProfile { user: user(name), version, blob: encode(&profile(version as u64)) };
    tx.save(tenant, &[next], NOW).await?;
    tx.commit().await
}

/// What the tenant tells and what was folded are kept apart, and come back together.
pub(crate) async fn users_round_trip(store: &dyn Store) {
    assert_eq!(store.user(&tenant(), user("u")).await.unwrap(), StoredUser::default());
    let told = UserAttributes {
        id: UserId::new("u").unwrap(),
        market: Market::parse("SE"),
        explicit_allowed: false,
        updated_at: NOW,
    };
    store.put_user(&tenant(), &told).await.unwrap();
    save(store, &tenant(), "u", 1).await.unwrap();
    save(store, &tenant(), "v", 1).await.unwrap();
    let told = UserAttributes { market: None, ..told };
    store.put_user(&tenant(), &told).await.unwrap();
    let only_told = UserAttributes { id: UserId::new("w").unwrap(), ..told.clone() };
    store.put_user(&tenant(), &only_told).await.unwrap();
    let expected = StoredUser { version: 1, profile: profile(1), attributes: Some(told) };
    assert_eq!(store.user(&tenant(), user("u")).await.unwrap(), expected);

    let mut tx = store.begin(None).await.unwrap();
    let found = tx.users(&tenant(), &[user("u"), user("v"), user("w"), user("nobody")]).await.unwrap();
    let mut found: Vec<(UserKey, StoredUser)> = found.into_iter().map(|(key, user)| (key, user.unwrap())).collect();
    found.sort_by_key(|(_, user)| (user.version, user.attributes.is_some(), user.attributes.is_none()));
    let expected = [
        (user("w"), StoredUser { attributes: Some(only_told), ..StoredUser::default() }),
        (user("v"), StoredUser { version: 1, profile: profile(1), attributes: None }),
        (user("u"), expected),
    ];
    assert_eq!(found, expected);
}

/// Everybody once, whoever the tenant told of and whoever has a profile, however large the pages are.
pub(crate) async fn users_are_walked_page_by_page(store: &dyn Store) {
    let mut expected = Vec::new();
    for n in 0..40 {
        let name = format!("u{n}");
        if n % 3 != 0 {
            save(store, &tenant(), &name, 1).await.unwrap();
        }
        let told =
            UserAttributes { id: UserId::new(&name).unwrap(), market: None, explicit_allowed: true, updated_at: NOW };
        if n % 3 != 1 {
            store.put_user(&tenant(), &told).await.unwrap();
        }
        expected.push((
            user(&name),
            StoredUser {
                version: i64::from(n % 3 != 0),
                profile: if n % 3 == 0 { Profile::default() } else { profile(1) },
                attributes: (n % 3 != 1).then_some(told),
            },
        ));
    }
    save(store, &other(), "another", 1).await.unwrap();
    expected.sort_by_key(|(key, _)| (key.bucket(), key.0 as i64));
    for limit in [1, 7, 40, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.users_after(&tenant(), after, limit).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            found.extend(page.into_iter().map(|(key, user)| (key, user.unwrap())));
        }
        assert_eq!(found, expected, "{limit} a page");
    }
}

/// A profile that does not read back spoils nobody else's reading, and stays as it is.
pub(crate) async fn an_unreadable_profile_is_its_users_affair(store: &dyn Store) {
    save(store, &tenant(), "u", 1).await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    tx.save(&tenant(), &[NextProfile { user: user("v"), version: 1, blob: b"garbage".to_vec() }], NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(store.user(&tenant(), user("v")).await, Err(Error::Corrupt { what: "profile" })));
    let mut tx = store.begin(None).await.unwrap();
    let mut found = tx.users(&tenant(), &[user("u"), user("v")]).await.unwrap();
    found.sort_by_key(|(key, _)| *key == user("v"));
    let expected = StoredUser { version: 1, profile: profile(1), attributes: None };
    assert!(matches!(&found[0], (key, Ok(found)) if *key == user("u") && *found == expected));
    assert!(matches!(&found[1], (key, Err(Error::Corrupt { .. })) if *key == user("v")));
}

/// A writer who read an older version is refused, and leaves nothing.
pub(crate) async fn an_outdated_writer_is_refused(store: &dyn Store) {
    save(store, &tenant(), "u", 1).await.unwrap();
    save(store, &tenant(), "u", 2).await.unwrap();
    assert!(matches!(save(store, &tenant(), "u", 2).await, Err(Error::Conflict)));
    assert!(matches!(save(store, &tenant(), "u", 9).await, Err(Error::Conflict)));
    assert_eq!(store.user(&tenant(), user("u")).await.unwrap().profile, profile(2));
}

/// Positions and events can be claimed once; a stream made anew begins again.
pub(crate) async fn claims_hold_once(store: &dyn Store) {
    let position = |sequence: u64, envelope: &str| Position {
        stream: "EVENTS",
        partition: 3,
        sequence,
        envelope: envelope.to_owned(),
    };
    let many: Vec<(UserKey, EventKey)> =
        (0..700).map(|n| (user(&format!("u{}", n % 9)), event_key(&format!("e{n}")))).collect();
    let mut tx = store.begin(None).await.unwrap();
    assert_eq!(tx.claim_positions(&tenant(), &[position(1, "a"), position(2, "b")], NOW).await.unwrap(), [true, true]);
    assert!(tx.claim_events(&tenant(), &many[..400], NOW).await.unwrap().iter().all(|fresh| *fresh));
    tx.commit().await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    assert_eq!(
        tx.claim_positions(&tenant(), &[position(2, "b"), position(3, "c"), position(1, "z")], NOW).await.unwrap(),
        [false, true, true]
    );
    let fresh = tx.claim_events(&tenant(), &many, NOW).await.unwrap();
    assert_eq!(fresh.iter().position(|fresh| *fresh), Some(400));
    assert!(fresh[400..].iter().all(|fresh| *fresh));
    assert!(tx.claim_events(&tenant(), &[], NOW).await.unwrap().is_empty());
}

/// What is not committed never was.
pub(crate) async fn a_dropped_transaction_leaves_nothing(store: &dyn Store) {
    let mut tx = store.begin(None).await.unwrap();
    tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap();
    tx.save(&tenant(), &[NextProfile { user: user("u"), version: 1, blob: encode(&profile(1)) }], NOW).await.unwrap();
    drop(tx);
    let mut tx = store.begin(None).await.unwrap();
    assert_eq!(tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap(), [true]);
    drop(tx);
    assert_eq!(store.user(&tenant(), user("u")).await.unwrap(), StoredUser::default());
}

/// Old events are forgotten, new ones are not.
pub(crate) async fn old_events_are_forgotten(store: &dyn Store) {
    let mut tx = store.begin(None).await.unwrap();
    tx.claim_events(&tenant(), &[(user("u"), event_key("old"))], Timestamp(10)).await.unwrap();
    tx.claim_events(&tenant(), &[(user("u"), event_key("new"))], Timestamp(20)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.prune(Timestamp(15)).await.unwrap(), 1);
    let mut tx = store.begin(None).await.unwrap();
    let claims = [(user("u"), event_key("old")), (user("u"), event_key("new"))];
    assert_eq!(tx.claim_events(&tenant(), &claims, NOW).await.unwrap(), [true, false]);
}

/// However much is to be forgotten, a writer gets in between.
pub(crate) async fn forgetting_much_holds_no_writer_up(store: &dyn Store) {
    let old: Vec<(UserKey, EventKey)> = (0..6_500).map(|n| (user("u"), event_key(&format!("e{n}")))).collect();
    let mut tx = store.begin(None).await.unwrap();
    tx.claim_events(&tenant(), &old, Timestamp(10)).await.unwrap();
    tx.commit().await.unwrap();
    let forgotten = std::sync::atomic::AtomicU64::new(0);
    let forget = async {
        let gone = store.prune(Timestamp(15)).await.unwrap();
        forgotten.store(gone, std::sync::atomic::Ordering::Relaxed);
    };
    let write = async {
        let mut tx = store.begin(None).await.unwrap();
        assert_eq!(forgotten.load(std::sync::atomic::Ordering::Relaxed), 0, "the writer waited for all of it");
        tx.claim_events(&tenant(), &[(user("v"), event_key("new"))], NOW).await.unwrap();
        tx.commit().await.unwrap();
    };
    tokio::join!(forget, write);
    assert_eq!(forgotten.into_inner(), 6_500);
}

/// Trends are kept over those of before; those of items that left are forgotten.
pub(crate) async fn trends_round_trip(store: &dyn Store) {
    let trend = |item: &str, plays: f64| StoredTrend { key: key(item), plays, at: NOW };
    store.save_trends(&tenant(), &[trend("a", 1.5), trend("b", 2.0), trend("c", 9.0)], &[]).await.unwrap();
    store.save_trends(&tenant(), &[trend("a", 2.5)], &[key("c"), key("nobody")]).await.unwrap();
    let mut found = store.trends(&tenant()).await.unwrap();
    found.sort_by_key(|trend| trend.plays as i64 * 10 + i64::from(trend.key == ItemKey::NONE));
    assert_eq!(found.len(), 2);
    assert!(found.contains(&trend("a", 2.5)) && found.contains(&trend("b", 2.0)));
    assert!(store.trends(&other()).await.unwrap().is_empty());
}

/// The statements of a migration; none of ours holds a semicolon within.
pub(crate) fn split(sql: &str) -> Vec<String> {
    let lines: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    lines.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}
