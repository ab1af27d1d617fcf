//! What writing items does, from what is stored of them already. It must not know a database.

use std::{collections::HashMap, sync::Arc};

use shared_models::{ItemKey, item::Item};

use super::Written;

/// What writing each item in turn does, and the items to write, each as it stands last.
pub(super) fn items(items: &[Arc<Item>], mut known: HashMap<ItemKey, Item>) -> (Vec<Written>, Vec<Arc<Item>>) {
    let mut changed: HashMap<ItemKey, Arc<Item>> = HashMap::new();
    let mut order = Vec::new();
    let mut written = Vec::with_capacity(items.len());
    for item in items {
        let key = item.key();
        let did = match known.get(&key) {
            Some(known) if known.id != item.id => Written::KeyTaken,
            Some(known) if *known == **item => Written::Unchanged,
            Some(_) => Written::Updated,
            None => Written::Created,
        };
        if matches!(did, Written::Created | Written::Updated) {
            known.insert(key, Item::clone(item));
            if changed.insert(key, Arc::clone(item)).is_none() {
                order.push(key);
            }
        }
        written.push(did);
    }
    (written, order.iter().filter_map(|key| changed.remove(key)).collect())
}
