//! A watch swaps to what is sound and to nothing else.

use std::{sync::Arc, time::Duration};

use releases::{
    Watch,
    watch::{Checked, Requirements},
};
use shared_models::{Timestamp, clock::ManualClock};

use crate::world::{SCHEMA, World, meta, parts, world};

fn watch(world: &World, requirements: Requirements) -> (Watch, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    (Watch::new(world.store.clone(), world.tenant.clone(), requirements, clock.clone()), clock)
}

#[test]
fn a_promoted_release_serves_after_the_next_check() {
    let world = world();
    let (watch, clock) = watch(&world, Requirements { feature_schema: Some(SCHEMA), check: None });
    assert_eq!(watch.check_now().unwrap(), Checked::NoneYet);
    assert!(watch.current().is_none());
    let first = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    assert_eq!(watch.check_now().unwrap(), Checked::NoneYet, "written is not promoted");
    world.store.promote(&world.tenant, &first).unwrap();
    assert_eq!(watch.check_now().unwrap(), Checked::Swapped { from: None, to: first.clone() });
    assert_eq!(watch.check_now().unwrap(), Checked::Unchanged);

    clock.advance(Duration::from_secs(1));
    let kept_by_a_request = watch.current().unwrap();
    let second = world.store.write(&world.tenant, &parts(10, 2), meta(2)).unwrap();
    world.store.promote(&world.tenant, &second).unwrap();
    watch.check_now().unwrap();
    let status = watch.status();
    assert_eq!((status.live, status.previous), (Some(second), Some(first.clone())));
    assert_eq!(status.since, Some(Timestamp(2_000)));
    assert_eq!(kept_by_a_request.id(), &first);
}

#[test]
fn another_feature_schema_is_refused_while_the_old_release_serves() {
    let world = world();
    let (watch, _) = watch(&world, Requirements { feature_schema: Some(SCHEMA), check: None });
    let good = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    watch.activate(&good).unwrap();
    let other = releases::Meta { feature_schema: SCHEMA + 1, ..meta(2) };
    let bad = world.store.write(&world.tenant, &parts(10, 2), other).unwrap();
    world.store.promote(&world.tenant, &bad).unwrap();
    let error = watch.check_now().unwrap_err();
    assert_eq!(error.reason(), "wrong_feature_schema");
    assert_eq!(watch.current().unwrap().id(), &good);
    assert_eq!(watch.check_now().unwrap(), Checked::StillRefused { id: bad.clone() });
    let refused = &watch.status().refused[&bad];
    assert_eq!(refused.reason, "wrong_feature_schema");
    assert!(refused.detail.contains("feed00000000bef0"), "{}", refused.detail);
}

#[test]
fn a_failed_golden_request_keeps_the_old_release() {
    let world = world();
    let check = |release: &releases::Release| {
        if release.items.len() >= 10 { Ok(()) } else { Err(format!("only {} items", release.items.len())) }
    };
    let (watch, _) = watch(&world, Requirements { feature_schema: None, check: Some(Box::new(check)) });
    let good = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let small = world.store.write(&world.tenant, &parts(9, 1), meta(1)).unwrap();
    watch.activate(&good).unwrap();
    assert_eq!(watch.activate(&small).unwrap_err().reason(), "check_failed");
    assert_eq!(world.store.live(&world.tenant).unwrap(), Some(good.clone()), "the pointer stays with what serves");
    assert_eq!(watch.current().unwrap().id(), &good);
}

#[test]
fn going_back_needs_no_files() {
    let world = world();
    let (watch, _) = watch(&world, Requirements::default());
    let first = world.store.write(&world.tenant, &parts(10, 1), meta(1)).unwrap();
    let second = world.store.write(&world.tenant, &parts(10, 2), meta(2)).unwrap();
    watch.activate(&first).unwrap();
    watch.activate(&second).unwrap();
    std::fs::remove_file(world.folder.path().join("demo").join(first.as_str()).join("factors.bin")).unwrap();
    watch.activate(&first).unwrap();
    assert_eq!(watch.current().unwrap().id(), &first);
    assert_eq!(world.store.live(&world.tenant).unwrap(), Some(first));
}

#[test]
fn readers_see_one_whole_release_through_many_swaps() {
    let world = world();
    let (watch, _) = watch(&world, Requirements::default());
    let ids: Vec<_> =
        (1..4).map(|n| world.store.write(&world.tenant, &parts(20 + n, n as u64), meta(1)).unwrap()).collect();
    watch.activate(&ids[0]).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let release = watch.current().unwrap();
                        assert_eq!(release.items.len(), release.factors.as_ref().unwrap().rows);
                    }
                })
            })
            .collect();
        for round in 0..30 {
            watch.activate(&ids[round % 3]).unwrap();
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
