//! Whether the process should get traffic, and what each part says about itself.
//!
//! Readiness depends on the components; liveness depends on nothing but the process. This file must not know any
//! component.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;

/// The readiness of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    components: BTreeMap<String, ComponentState>,
}

/// What a component says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComponentState {
    /// Whether it can do its work.
    pub ready: bool,
    /// Why not, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an operator wants to know: a release id, a row count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The state of the whole process, as `/readyz` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process should get traffic.
    pub ready: bool,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Each component's own word.
    pub components: BTreeMap<String, ComponentState>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// A process without components: ready.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), ready: watch::Sender::new(true) }))
    }

    /// Adds a component; until it says otherwise it is not ready.
    #[must_use]
    pub fn component(&self, name: impl Into<String>) -> Component {
        let component = Component { name: name.into(), health: self.clone() };
        component.not_ready("starting");
        component
    }

    /// Whether the process should get traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Says that the process is on its way out: it is not ready from now on, whatever its components say.
    pub fn drain(&self) {
        self.change(|state| state.draining = true);
    }

    /// The state of the whole process.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.lock();
        Report { ready: state.is_ready(), draining: state.draining, components: state.components.clone() }
    }

    /// Follows [`Health::is_ready`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let ready = state.is_ready();
        self.0.ready.send_if_modified(|known| std::mem::replace(known, ready) != ready);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ready(&self) -> bool {
        !self.draining && self.components.values().all(|component| component.ready)
    }
}

/// A part of the process that says whether it can do its work. Clones speak for the same part.
#[derive(Clone, Debug)]
pub struct Component {
    name: String,
    health: Health,
}

impl Component {
    /// It can do its work.
    pub fn ready(&self) {
        self.change(|state| {
            state.ready = true;
            state.reason = None;
        });
    }

    /// It cannot do its work, because `reason`.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.change(|state| {
            state.ready = false;
            state.reason = Some(reason.into());
        });
    }

    /// What an operator wants to know of it.
    pub fn detail(&self, text: impl Into<String>) {
        self.change(|state| state.detail = Some(text.into()));
    }

    fn change(&self, change: impl FnOnce(&mut ComponentState)) {
        self.health.change(|state| change(state.components.entry(self.name.clone()).or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_component_is() {
        let health = Health::new();
        assert!(health.is_ready());
        let store = health.component("store");
        let index = health.component("index");
        assert!(!health.is_ready());
        store.ready();
        assert!(!health.is_ready());
        index.ready();
        assert!(health.is_ready());
        index.not_ready("rebuilding");
        assert_eq!(health.report().components["index"].reason.as_deref(), Some("rebuilding"));
        assert!(!health.is_ready());
    }

    #[test]
    fn a_draining_process_never_becomes_ready_again() {
        let health = Health::new();
        let store = health.component("store");
        store.ready();
        health.drain();
        store.ready();
        assert!(!health.is_ready());
        assert!(health.report().draining);
    }

    #[tokio::test]
    async fn readiness_can_be_followed() {
        let health = Health::new();
        let mut seen = health.watch();
        health.drain();
        seen.changed().await.expect("the sender lives");
        assert!(!*seen.borrow_and_update());
    }
}
