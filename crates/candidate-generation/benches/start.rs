//! A start over 200,000 items: where the time goes from a closed file and a release on disk to serving.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

mod large;

use std::{sync::Arc, time::Instant};

use candidate_generation::{
    App,
    catalog::{Change, Snapshot},
    config::{self, Config},
    index::{EmbeddingIndex, Serving, embedding, trending::StoredTrend},
    store::{self, Store, sqlite::SqliteStore},
};
use event_bus::EventBus;
use service_runtime::Runtime;
use shared_models::{SystemClock, TenantId, item::Item};

use large::{ITEMS, NOW, item, parts};

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    println!("{what}: {:.0} ms", started.elapsed().as_secs_f64() * 1_000.0);
    done
}

fn main() {
    let tenant = TenantId::new("demo").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config: Config = service_runtime::config::load(config::DEFAULTS, None, "CANDIDATES_BENCH", &[]).unwrap();
    config.releases.path = folder.path().join("releases");
    config.store = store::Config::at(format!("sqlite://{}", folder.path().join("c.db").display()));
    config.bus.path = folder.path().join("bus.db");
    let releases = releases::Store::open(&config.releases.path).unwrap();
    let items: Vec<Arc<Item>> = (0..ITEMS).map(|n| Arc::new(item(n))).collect();
    let id = {
        let owned: Vec<Item> = items.iter().map(|item| Item::clone(item)).collect();
        let id = releases.write(&tenant, &parts(&owned), releases::Meta::default()).unwrap();
        releases.promote(&tenant, &id).unwrap();
        id
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sqlite = SqliteStore::open(&config.store).await.unwrap();
        for part in items.chunks(10_000) {
            sqlite.put_items(&tenant, part, NOW).await.unwrap();
        }
        let trends: Vec<StoredTrend> =
            items.iter().map(|item| StoredTrend { key: item.key(), plays: 1.0, at: NOW }).collect();
        sqlite.save_trends(&tenant, &trends, &[]).await.unwrap();
        sqlite.close().await;
    });
    for _ in 0..3 {
        println!();
        let store = runtime.block_on(SqliteStore::open(&config.store)).unwrap();
        timed("read all items in pages of 5,000", || {
            runtime.block_on(async {
                let mut after = None;
                loop {
                    let page = store.items_after(&tenant, after.as_ref(), 5_000).await.unwrap();
                    after = page.last().map(|item| item.id.clone());
                    if page.len() < 5_000 {
                        break;
                    }
                }
            });
        });
        timed("read all trends", || runtime.block_on(store.trends(&tenant)).unwrap());
        let catalogue = timed("make the catalogue", || {
            let catalogue = candidate_generation::catalog::Catalogue::new(Snapshot::default());
            catalogue.apply(items.iter().map(|item| Change::Put(Arc::clone(item))).collect());
            catalogue
        });
        let release = timed("load and verify the release", || releases.load(&tenant, &id).unwrap());
        let factors = release.factors.clone().unwrap();
        let index = timed("index the embeddings", || EmbeddingIndex::build(&factors, &embedding::Config::default()));
        timed("make the rest of serving", || {
            Serving::with_embedding(Arc::new(release), Some(index), &catalogue.snapshot())
        });
        let started = Instant::now();
        runtime.block_on(async {
            let runtime = Runtime::new(Arc::new(SystemClock));
            let bus: Arc<dyn EventBus> = event_bus::open(&config.bus, &runtime).await.unwrap();
            let app = App::build(config.clone(), &runtime, bus).await.unwrap();
            println!("the whole service built: {:.0} ms", started.elapsed().as_secs_f64() * 1_000.0);
            drop(app);
            runtime.drain(std::time::Duration::from_secs(10)).await;
        });
    }
}
