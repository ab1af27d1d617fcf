//! Profiles that are set aside because what is stored of them does not read back.
//!
//! The rule: one such profile costs nobody else anything. Everybody else's events are folded and committed.
//! The stored bytes stay as they are, for whoever repairs them. A message with events of such a profile then
//! goes to the dead letters, whole, and its position is not taken: published again after the repair, the
//! events that were folded are known by their ids, and those that were not are folded then.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use shared_models::{TenantId, UserKey};

use super::batch::Message;

/// Users that are remembered as reported.
const REPORTED: usize = 10_000;

/// A profile that does not read back.
pub(super) struct Whose {
    pub(super) tenant: TenantId,
    pub(super) user: UserKey,
    pub(super) detail: String,
}

/// The profiles that one fold sets aside, and why.
#[derive(Default)]
pub(super) struct Aside(BTreeMap<(TenantId, UserKey), String>);

impl Aside {
    pub(super) fn extend(&mut self, unreadable: Vec<Whose>) {
        self.0.extend(unreadable.into_iter().map(|whose| ((whose.tenant, whose.user), whose.detail)));
    }

    pub(super) fn holds(&self, tenant: &TenantId, user: UserKey) -> bool {
        !self.0.is_empty() && self.0.contains_key(&(tenant.clone(), user))
    }

    /// How many of a message's events are set aside.
    pub(super) fn events_of(&self, message: &Message) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        message.events.iter().filter(|event| self.holds(&message.tenant, UserKey::of(&event.user))).count()
    }

    /// Why a message goes to the dead letters; `None` when nothing of it is set aside.
    pub(super) fn reason(&self, message: &Message) -> Option<String> {
        let events = self.events_of(message);
        let mut users: Vec<UserKey> = message.events.iter().map(|event| UserKey::of(&event.user)).collect();
        users.retain(|user| self.holds(&message.tenant, *user));
        let first = users.first()?;
        let detail = self.0.get(&(message.tenant.clone(), *first))?;
        let given = message.events.len();
        Some(format!("{events} of {given} events are set aside, the others are folded: user {first}: {detail}"))
    }
}

/// Reports each profile once.
#[derive(Default)]
pub(super) struct Reports(Mutex<std::collections::BTreeSet<(TenantId, UserKey)>>);

impl Reports {
    pub(super) fn report(&self, unreadable: &[Whose]) {
        let mut reported = self.0.lock();
        for Whose { tenant, user, detail } in unreadable {
            if reported.len() >= REPORTED {
                reported.clear();
            }
            if reported.insert((tenant.clone(), *user)) {
                tracing::error!(%tenant, user = %user, error = detail, "profile does not read back; its events are set aside");
            }
        }
    }
}
