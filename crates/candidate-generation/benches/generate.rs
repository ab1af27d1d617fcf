//! One page over 200,000 items: five shelves, all eight sources, all six filters; and the parts that
//! weigh most. The target is at most a millisecond of processor time for the page.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

mod large;

use std::{hint::black_box, sync::Arc, time::Duration};

use candidate_generation::{
    catalog::Snapshot,
    index::{EmbeddingIndex, Serving, Trending, embedding},
    pipeline::Pipeline,
    profiles::{GenreKey, ItemFactsForFold, Profile, fold_in, memory::ServingProfile},
    query::PageQuery,
    store::encode,
};
use criterion::{Criterion, criterion_group, criterion_main};
use pipeline::StageMetrics;
use releases::Release;
use service_runtime::{Deadline, Metrics};
use shared_models::{
    EventId, ItemKey, Seed, ShelfId, TenantId, Timestamp, UserId,
    component::{FilterName, FilterParams, SourceName, SourceParams},
    event::{Event, EventKind},
    item::{Item, Market},
    listener::ListenerContext,
    plan::{CandidatePlan, CandidateQuery, FilterPlan, RequestContext, ShelfCandidatePlan, SourcePlan, SourceUse},
};

use large::{DAY, ITEMS, NOW, Numbers, item, parts};

fn event(number: usize, kind: EventKind, item: &Item) -> Event {
    let at = Timestamp(NOW.0 - (number as i64 % 60) * DAY);
    Event {
        id: EventId::new(format!("e{number}")).unwrap(),
        user: UserId::new("listener").unwrap(),
        kind,
        item: item.id.clone(),
        occurred_at: at,
        received_at: at,
        ms_played: None,
        recommendation: None,
        shelf: None,
        position: None,
        session: None,
        device: None,
        market: None,
    }
}

fn told(items: &[Item]) -> Vec<(Event, ItemKey, Vec<GenreKey>)> {
    let mut numbers = Numbers(11);
    (0..1_500)
        .map(|n| {
            let item = &items[numbers.below(600) * 331 % ITEMS];
            let kind = match n % 8 {
                0..=3 => EventKind::Impression,
                4 | 5 => EventKind::Play,
                6 => EventKind::Skip,
                _ => EventKind::Like,
            };
            (event(n, kind, item), item.artist_key(), item.genres.iter().map(|genre| GenreKey::of(genre)).collect())
        })
        .collect()
}

fn plan() -> CandidatePlan {
    let limits = [300, 100, 50, 100, 50, 100, 100, 60];
    let sources: Vec<SourcePlan> = SourceName::ALL
        .iter()
        .zip(limits)
        .map(|(name, limit)| SourcePlan {
            name: *name,
            limit,
            params: SourceParams::default(),
            budget: Duration::from_millis(40),
        })
        .collect();
    let filters: Vec<FilterPlan> =
        FilterName::ALL.iter().map(|name| FilterPlan { name: *name, params: FilterParams::default() }).collect();
    let shelf = |name: &str, used: &[u16]| ShelfCandidatePlan {
        shelf: ShelfId::new(name).unwrap(),
        sources: used.iter().map(|source| SourceUse { source: *source, limit: limits[usize::from(*source)] }).collect(),
        filters: filters.clone(),
        limit: 500,
    };
    CandidatePlan {
        sources,
        shelves: vec![
            shelf("made-for-you", &[0, 1, 2]),
            shelf("new", &[3, 7]),
            shelf("again", &[4]),
            shelf("popular", &[5, 2]),
            shelf("artists", &[6, 0]),
        ],
        crowd: false,
    }
}

fn generate(criterion: &mut Criterion) {
    let items: Vec<Item> = (0..ITEMS).map(item).collect();
    let catalogue = Arc::new(Snapshot::of(items.iter().cloned()));
    let release =
        Arc::new(Release::in_memory(TenantId::new("demo").unwrap(), releases::Meta::default(), parts(&items)).unwrap());
    let config = embedding::Config::default();
    let started = std::time::Instant::now();
    let serving = Arc::new(Serving::build(Arc::clone(&release), &catalogue, &config));
    println!("indexes over {ITEMS} items built in {:?}", started.elapsed());
    let trending = Trending::new(Duration::from_secs(86_400));
    let mut numbers = Numbers(3);
    trending.add((0..100_000).map(|_| (items[numbers.below(ITEMS)].key(), 1.0, NOW)));
    trending.refresh();
    let told = told(&items);
    let mut profile = Profile::default();
    for (event, artist, genres) in &told {
        profile.apply(event, &ItemFactsForFold { artist: *artist, genres });
    }
    println!("profile: {} bytes in memory, {} stored", profile.bytes(), encode(&profile).len());
    let listener = Arc::new(ServingProfile::new(1, profile.clone(), None));
    let query = CandidateQuery {
        tenant: TenantId::new("demo").unwrap(),
        user: Some(UserId::new("listener").unwrap()),
        context: RequestContext {
            now: NOW,
            local_hour: 12,
            local_weekday: 0,
            market: Market::parse("SE").unwrap(),
            device: "phone".to_owned(),
            session: None,
            seed: Seed(1),
        },
        seed_items: Vec::new(),
        exclude: Vec::new(),
        plan: Arc::new(plan()),
        whole: false,
        release: None,
    };
    let pipeline = Pipeline::new(StageMetrics::register(&Metrics::new(), "candidates"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = || {
        PageQuery::new(
            query.clone(),
            Arc::clone(&catalogue),
            Some(Arc::clone(&serving)),
            Arc::clone(&listener),
            trending.trends(),
        )
    };
    let run = |page: &PageQuery| {
        let gathered = runtime.block_on(pipeline.run(page, Deadline::within(Duration::from_secs(5)))).unwrap();
        gathered.answer(Arc::new(ListenerContext::default()), Vec::new(), None)
    };
    let answer = run(&page());
    println!(
        "page: {} candidates, {:?}",
        answer.table.len(),
        answer.shelves.iter().map(|shelf| shelf.rows.len()).collect::<Vec<_>>()
    );
    for source in &answer.sources {
        println!("  {}: {} in {:?}", source.name, source.returned, source.elapsed);
    }

    criterion
        .bench_function("page/200k items, 5 shelves, 8 sources", |bencher| bencher.iter(|| black_box(run(&page()))));

    let factors = release.factors.as_ref().unwrap();
    let vector = listener.vector(&release);
    let index = serving.embedding.as_ref().unwrap();
    criterion.bench_function("embedding/300 of 200k", |bencher| {
        bencher.iter(|| black_box(index.search(factors, &vector.values, 300)));
    });
    let whole = EmbeddingIndex::build(factors, &embedding::Config { exact_below: ITEMS, ..config });
    criterion.bench_function("embedding/300 of 200k, scanned whole", |bencher| {
        bencher.iter(|| black_box(whole.search(factors, &vector.values, 300)));
    });
    let truth = whole.search(factors, &vector.values, 300);
    let found = index.search(factors, &vector.values, 300);
    let hits = truth.iter().filter(|row| found.iter().any(|other| other.0 == row.0)).count();
    println!("recall@300 of one listener: {:.3}", hits as f64 / truth.len() as f64);
    criterion
        .bench_function("profile/fold in a vector", |bencher| bencher.iter(|| black_box(fold_in(&profile, &release))));
    criterion.bench_function("profile/one play", |bencher| {
        let (event, artist, genres) = told.iter().find(|(event, _, _)| event.kind == EventKind::Play).unwrap();
        bencher.iter(|| {
            let mut profile = profile.clone();
            profile.apply(event, &ItemFactsForFold { artist: *artist, genres });
            black_box(profile)
        });
    });
    criterion.bench_function("profile/encode", |bencher| bencher.iter(|| black_box(encode(&profile))));
}

criterion_group!(benches, generate);
criterion_main!(benches);
