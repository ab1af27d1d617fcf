//! Many callers, few messages: items that wait for the same subject go out together, and every caller hears when
//! the message that carries its item is kept.
//!
//! A synced message costs the disk the same whether it holds one item or three hundred. While a message of a
//! subject is on its way the next one fills up, so that messages grow with the load and nobody waits when there is
//! none. This file must not know what the items are.

use std::{
    collections::HashMap,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use service_runtime::{
    Runtime,
    tasks::{OnFailure, TaskGroup},
    trace::{self, TraceParent},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    bus::{Ack, EventBus},
    envelope::Envelope,
    error::Error,
    metrics::GroupMetrics,
    subjects::Subject,
};

/// How items are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the first item of a message waits for company. Zero: not at all, unless a message of the subject
    /// is on its way.
    pub window: Duration,
    /// The most bytes of items in one message.
    pub max_bytes: usize,
    /// How many messages of one subject may be on their way at a time.
    pub in_flight: usize,
    /// The most bytes of items that may wait or be on their way in all; beyond it callers are turned away. An item
    /// counts until its caller has the answer.
    pub waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: Duration::from_millis(3), max_bytes: 64 << 10, in_flight: 2, waiting_bytes: 64 << 20 }
    }
}

/// The caller's side: clone it freely.
pub struct GroupCommit<T> {
    items: mpsc::UnboundedSender<Item<T>>,
    room: Arc<Semaphore>,
}

impl<T> Clone for GroupCommit<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), room: Arc::clone(&self.room) }
    }
}

struct Item<T> {
    subject: Subject,
    item: T,
    bytes: usize,
    caller: TraceParent,
    reply: oneshot::Sender<Result<Ack, Error>>,
    /// What it takes of the room for waiting items; given back when it is dropped.
    room: OwnedSemaphorePermit,
}

/// The message of a subject that is filling up.
struct Open<T> {
    items: Vec<Item<T>>,
    bytes: usize,
    since: Instant,
    in_flight: usize,
}

impl<T> Open<T> {
    fn is_ripe(&self, limits: &Limits, now: Instant) -> bool {
        if self.items.is_empty() || self.in_flight >= limits.in_flight {
            return false;
        }
        if self.bytes >= limits.max_bytes {
            return true;
        }
        self.in_flight == 0 && now >= self.since + limits.window
    }
}

type Encode<T> = Box<dyn Fn(&Subject, Vec<T>) -> Envelope + Send>;
type Flight = Pin<Box<dyn Future<Output = Subject> + Send>>;

impl<T: Send + 'static> GroupCommit<T> {
    /// A group commit onto `bus`. `encode` makes the message of a subject from the items for it, with a new id.
    #[must_use]
    pub fn new(
        bus: Arc<dyn EventBus>,
        runtime: &Runtime,
        limits: Limits,
        encode: impl Fn(&Subject, Vec<T>) -> Envelope + Send + 'static,
    ) -> Self {
        // Bounded by `room`.
        let (items, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(limits.waiting_bytes.clamp(1, Semaphore::MAX_PERMITS)));
        let driver = Driver {
            bus,
            limits,
            encode: Box::new(encode),
            metrics: GroupMetrics::new(&runtime.metrics),
            open: HashMap::new(),
            flights: FuturesUnordered::new(),
        };
        // A group of its own, because it outlives the drain of its callers. It ends when no caller is left.
        TaskGroup::stopping("group-commit", runtime.stop_signal().clone()).spawn(
            "driver",
            OnFailure::Stop,
            driver.run(queue),
        );
        Self { items, room }
    }

    /// Publishes an item of about `bytes` bytes, and returns when the message that carries it is on disk.
    ///
    /// # Errors
    /// [`Error::Full`] when too much waits; otherwise as [`EventBus::publish`], the same for all items of the
    /// message.
    pub async fn publish(&self, subject: &Subject, item: T, bytes: usize) -> Result<Ack, Error> {
        let share = u32::try_from(bytes.max(1)).map_err(|_| Error::Full)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(share).map_err(|_| Error::Full)?;
        let (reply, answer) = oneshot::channel();
        let item = Item { subject: subject.clone(), item, bytes, caller: trace::current(), reply, room };
        self.items.send(item).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

struct Driver<T> {
    bus: Arc<dyn EventBus>,
    limits: Limits,
    encode: Encode<T>,
    metrics: GroupMetrics,
    open: HashMap<Subject, Open<T>>,
    flights: FuturesUnordered<Flight>,
}

impl<T: Send + 'static> Driver<T> {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Item<T>>) -> Result<(), std::convert::Infallible> {
        let mut callers_left = true;
        while callers_left || !self.flights.is_empty() || !self.open.is_empty() {
            let ripe_at = self.ripe_at();
            let ripe = async {
                match ripe_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                item = queue.recv(), if callers_left => match item {
                    Some(item) => {
                        self.add(item);
                        while let Ok(item) = queue.try_recv() {
                            self.add(item);
                        }
                    }
                    None => callers_left = false,
                },
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.land(&landed),
                () = ripe => {}
            }
            self.depart();
        }
        Ok(())
    }

    /// When the next open message is ripe by its window.
    fn ripe_at(&self) -> Option<Instant> {
        let waiting = self.open.values().filter(|open| !open.items.is_empty() && open.in_flight == 0);
        waiting.map(|open| open.since + self.limits.window).min()
    }

    fn add(&mut self, item: Item<T>) {
        let open = self.open.entry(item.subject.clone()).or_insert_with(|| Open {
            items: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            in_flight: 0,
        });
        if open.items.is_empty() {
            open.since = Instant::now();
        }
        open.bytes += item.bytes;
        open.items.push(item);
    }

    fn land(&mut self, subject: &Subject) {
        if let Some(open) = self.open.get_mut(subject) {
            open.in_flight -= 1;
            if open.in_flight == 0 && open.items.is_empty() {
                self.open.remove(subject);
            }
        }
    }

    /// Sends every message that is ripe.
    fn depart(&mut self) {
        let now = Instant::now();
        for (subject, open) in &mut self.open {
            while open.is_ripe(&self.limits, now) {
                let mut bytes = 0;
                let fits = open.items.iter().take_while(|item| {
                    bytes += item.bytes;
                    bytes <= self.limits.max_bytes
                });
                // An item larger than a whole message travels alone.
                let count = fits.count().max(1);
                let mut group: Vec<Item<T>> = open.items.drain(..count).collect();
                open.bytes = open.items.iter().map(|item| item.bytes).sum();
                // Whoever stopped waiting will send again: the work is not done twice.
                group.retain(|item| !item.reply.is_closed());
                if group.is_empty() {
                    continue;
                }
                open.in_flight += 1;
                self.metrics.group(subject.stream(), group.len());
                self.flights.push(fly(Arc::clone(&self.bus), subject.clone(), &self.encode, group));
            }
        }
        self.open.retain(|_, open| open.in_flight > 0 || !open.items.is_empty());
    }
}

fn fly<T: Send + 'static>(bus: Arc<dyn EventBus>, subject: Subject, encode: &Encode<T>, group: Vec<Item<T>>) -> Flight {
    let mut items = Vec::with_capacity(group.len());
    let mut callers: Vec<TraceParent> = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    for item in group {
        items.push(item.item);
        replies.push((item.reply, item.room));
        if !item.caller.is_none() && callers.last() != Some(&item.caller) {
            callers.push(item.caller);
        }
    }
    let envelope = encode(&subject, items);
    Box::pin(async move {
        let outcome = bus.publish_linked(&subject, envelope, &callers).await;
        for (reply, _room) in replies {
            // A caller that has gone does not want the answer.
            let _gone = reply.send(outcome.clone());
        }
        subject
    })
}
