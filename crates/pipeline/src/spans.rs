//! Catches spans and what they say, for the tests of the runners.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

/// What one span says, by field; its name stands under `name`.
type Said = BTreeMap<String, String>;

#[derive(Clone, Default)]
struct Ear {
    heard: Arc<Mutex<BTreeMap<u64, Said>>>,
    last: Arc<AtomicU64>,
}

struct Writer<'a>(&'a mut Said);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut said = Said::from([("name".to_owned(), span.metadata().name().to_owned())]);
        span.record(&mut Writer(&mut said));
        self.heard.lock().unwrap().insert(id, said);
        Id::from_u64(id)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(said) = self.heard.lock().unwrap().get_mut(&span.into_u64()) {
            values.record(&mut Writer(said));
        }
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The spans of this thread, for as long as it lives.
pub(crate) struct Caught {
    ear: Ear,
    _guard: DefaultGuard,
}

impl Caught {
    pub(crate) fn start() -> Self {
        // Without a subscriber of the whole process, a thread that listens to nothing and is the first to come by a span
        // switches it off for all: `tracing` then asks only the thread at hand.
        let _ = tracing::subscriber::set_global_default(Ear::default());
        let ear = Ear::default();
        Self { _guard: tracing::subscriber::set_default(ear.clone()), ear }
    }

    /// What the one span of this name says of its `in`, `out` and `outcome`.
    pub(crate) fn stage(&self, name: &str) -> (String, String, String) {
        (self.field(name, "stage.in"), self.field(name, "stage.out"), self.field(name, "stage.outcome"))
    }

    /// What the one span of this name says in a field; empty where it says nothing.
    pub(crate) fn field(&self, name: &str, field: &str) -> String {
        let heard = self.ear.heard.lock().unwrap();
        let mut named = heard.values().filter(|said| said.get("name").is_some_and(|given| given == name));
        let (Some(said), None) = (named.next(), named.next()) else { panic!("not one span {name}: {heard:?}") };
        said.get(field).cloned().unwrap_or_default()
    }
}
