//! What is written is what loads; pointers move whole.

use releases::{
    Refusal, Store,
    promotions::{Act, Move},
};
use shared_models::{ItemKey, ReleaseId, TenantId, Timestamp};

use crate::world::{meta, parts, world};

#[test]
fn what_was_written_loads() {
    let world = world();
    let parts = parts(40, 1);
    let id = world.store.write(&world.tenant, &parts, meta(1)).unwrap();
    let release = world.store.load(&world.tenant, &id).unwrap();
    assert_eq!(release.id(), &id);
    assert_eq!(&*release.items, parts.items.as_slice());
    assert_eq!(release.factors, parts.factors);
    assert_eq!(release.neighbours, parts.neighbours);
    assert_eq!(release.popularity, parts.popularity);
    assert_eq!(release.content, parts.content);
    assert_eq!(release.rates, parts.rates);
    assert_eq!(release.segments, parts.segments);
    assert_eq!(release.scorer, parts.scorer);
    assert_eq!(release.blobs, parts.blobs);
    assert_eq!(release.manifest.metrics["recall@20"], 0.1 + 0.2);
    assert_eq!(release.index_of(parts.items[17]), Some(17));
    assert_eq!(release.index_of(ItemKey(5)), None);
}

#[test]
fn parts_may_be_left_out() {
    let world = world();
    let parts = releases::Parts { items: vec![ItemKey(7)], ..releases::Parts::default() };
    let id = world.store.write(&world.tenant, &parts, meta(1)).unwrap();
    let release = world.store.load(&world.tenant, &id).unwrap();
    assert!(release.factors.is_none() && release.scorer.is_none());
}

#[test]
fn the_same_content_is_the_same_release() {
    let world = world();
    let first = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let second = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let other = world.store.write(&world.tenant, &parts(10, 1), meta(2)).unwrap();
    assert_eq!(first, second);
    assert_ne!(first, other);
    assert_eq!(world.store.list(&world.tenant).unwrap().len(), 2);
}

#[test]
fn in_memory_has_the_id_that_the_disk_would_give() {
    let world = world();
    let id = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let release = releases::Release::in_memory(world.tenant, meta(1), parts(10, 1)).unwrap();
    assert_eq!(release.id(), &id);
}

#[test]
fn an_abandoned_draft_leaves_nothing() {
    let world = world();
    let mut writer = world.store.writer(&world.tenant).unwrap();
    writer.add_file("notes.txt", b"half").unwrap();
    drop(writer);
    let left = std::fs::read_dir(world.folder.path().join("demo")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn the_list_is_newest_first() {
    let world = world();
    let old = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let new = world.store.write(&world.tenant, &parts(10, 1), meta(2)).unwrap();
    let listed: Vec<_> = world.store.list(&world.tenant).unwrap().into_iter().map(|manifest| manifest.id).collect();
    assert_eq!(listed, [new, old]);
    assert!(world.store.list(&TenantId::new("other").unwrap()).unwrap().is_empty());
}

#[test]
fn promotion_and_roll_back_move_the_pointers() {
    let world = world();
    assert_eq!(world.store.live(&world.tenant).unwrap(), None);
    assert_eq!(world.store.roll_back(&world.tenant).unwrap_err().reason(), "no_release");
    let first = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let second = world.store.write(&world.tenant, &parts(10, 2), meta(2)).unwrap();
    world.store.promote(&world.tenant, &first).unwrap();
    world.store.promote(&world.tenant, &second).unwrap();
    assert_eq!(world.store.live(&world.tenant).unwrap(), Some(second.clone()));
    assert_eq!(world.store.roll_back(&world.tenant).unwrap(), first);
    assert_eq!(world.store.live(&world.tenant).unwrap(), Some(first));
    assert_eq!(world.store.previous(&world.tenant).unwrap(), Some(second));
}

#[test]
fn every_move_of_the_pointer_is_in_the_log_with_who_and_why() {
    let world = world();
    let ids = [1, 2].map(|salt| world.store.write(&world.tenant, &parts(10, salt), meta(salt as i64)).unwrap());
    world.store.promote(&world.tenant, &ids[0]).unwrap();
    let second = world.store.load(&world.tenant, &ids[1]).unwrap();
    let act = Act { at: Timestamp(7), by: "ada".to_owned(), why: "more recall".to_owned(), ..Act::default() };
    world.store.promote_loaded(&second, &act).unwrap();
    world.store.promote_loaded(&second, &act).unwrap();
    world.store.roll_back_as(&world.tenant, &Act { why: "less recall".to_owned(), ..act }).unwrap();
    let log = world.store.promotions(&world.tenant).unwrap();
    assert_eq!(log.len(), 3, "what is live already is not promoted again");
    assert_eq!((log[0].what, &log[0].to, &log[0].from), (Move::Promote, &ids[0], &None));
    assert_eq!((log[1].at, log[1].by.as_str(), log[1].why.as_str()), (Timestamp(7), "ada", "more recall"));
    assert_eq!((log[2].what, &log[2].to, log[2].from.as_ref()), (Move::RollBack, &ids[0], Some(&ids[1])));
}

#[test]
fn pruning_keeps_the_newest_the_live_one_and_the_one_before() {
    let world = world();
    let ids: Vec<ReleaseId> =
        (1..=7).map(|n| world.store.write(&world.tenant, &parts(10, n), meta(n as i64)).unwrap()).collect();
    world.store.promote(&world.tenant, &ids[0]).unwrap();
    world.store.promote(&world.tenant, &ids[2]).unwrap();
    let removed = world.store.prune(&world.tenant, 2).unwrap();
    assert_eq!(removed, [ids[4].clone(), ids[3].clone(), ids[1].clone()]);
    let kept: Vec<ReleaseId> = world.store.list(&world.tenant).unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(kept, [ids[6].clone(), ids[5].clone(), ids[2].clone(), ids[0].clone()]);
    assert_eq!(world.store.roll_back(&world.tenant).unwrap(), ids[0]);
    assert!(world.store.prune(&world.tenant, 9).unwrap().is_empty());
}

#[test]
fn ids_never_become_paths() {
    let world = world();
    for text in ["/etc", "a/b", "live", "00000000000000000000000000000000"] {
        let id = ReleaseId::new(text).unwrap();
        assert_eq!(world.store.load(&world.tenant, &id).unwrap_err().reason(), "release_not_found", "{text}");
    }
}

#[test]
fn a_broken_pointer_is_reported_and_can_be_replaced() {
    let world = world();
    let id = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    std::fs::write(world.folder.path().join("demo/LIVE"), "garbage").unwrap();
    assert_eq!(world.store.live(&world.tenant).unwrap_err().reason(), "unreadable");
    world.store.promote(&world.tenant, &id).unwrap();
    assert_eq!(world.store.live(&world.tenant).unwrap(), Some(id));
}

#[test]
fn another_tenants_release_is_refused() {
    let world = world();
    let other = TenantId::new("other").unwrap();
    let id = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let (from, to) = (world.folder.path().join("demo"), world.folder.path().join("other"));
    std::fs::rename(from, to).unwrap();
    let error = Store::open(world.folder.path()).unwrap().load(&other, &id).unwrap_err();
    assert!(matches!(&error, releases::Error::Refused { refusal: Refusal::Check { .. }, .. }), "{error:?}");
}

#[test]
fn what_a_reader_would_refuse_is_never_written() {
    let world = world();
    let mut unsorted = parts(10, 1);
    unsorted.items.swap(0, 1);
    let mut short = parts(10, 1);
    short.items.pop();
    let mut named = parts(10, 1);
    named.blobs.insert("items.bin".to_owned(), Vec::new());
    for (parts, reason) in [(unsorted, "out_of_order"), (short, "wrong_dimension"), (named, "check_failed")] {
        assert_eq!(world.store.write(&world.tenant, &parts, meta(1)).unwrap_err().reason(), reason);
    }
    assert!(world.store.list(&world.tenant).unwrap().is_empty());
}
