//! A release in memory: verified, complete, read-only.

use std::{collections::BTreeMap, fmt, sync::Arc};

use shared_models::{ItemKey, ReleaseId, TenantId};

use crate::{
    Error, Factors, Items, Lists, Manifest, Mapping, Meta, Neighbours, Popularity, Rates, Refusal, Segments,
    array::Content, content, factors, items, lists, manifest, neighbours, popularity, rates, segments,
};

/// The scorer's name in a release: JSON, whose form ranking owns.
pub const SCORER: &str = "scorer.json";

/// What a trainer puts into a release. Rows of every part are rows of `items`.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The items, ascending.
    pub items: Vec<ItemKey>,
    /// The item factors, when trained.
    pub factors: Option<Factors>,
    /// The lists over the factors, when made: a service that loads a release without them makes them itself.
    pub lists: Option<Lists>,
    /// From what items are to factors, when trained: a service that loads a release without it goes by makers and genres.
    pub content: Option<Mapping>,
    /// The item-to-item neighbours, when trained.
    pub neighbours: Option<Neighbours>,
    /// The popularity, when counted.
    pub popularity: Option<Popularity>,
    /// What everybody does with the items, when counted.
    pub rates: Option<Rates>,
    /// What is played most in each segment, when counted.
    pub segments: Option<Segments>,
    /// The scorer as JSON, when trained.
    pub scorer: Option<Vec<u8>>,
    /// Further files by name; this crate verifies their hashes and nothing else.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// A release that has passed every check.
#[derive(Clone)]
pub struct Release {
    /// What it is and where it comes from.
    pub manifest: Manifest,
    /// The items, ascending: a row number of any part is an index into them.
    pub items: Items,
    /// The item factors, when there are some.
    pub factors: Option<Factors>,
    /// The lists over the factors, when there are some.
    pub lists: Option<Arc<Lists>>,
    /// From what items are to factors, when there is such a mapping.
    pub content: Option<Mapping>,
    /// The item-to-item neighbours, when there are some.
    pub neighbours: Option<Neighbours>,
    /// The popularity, when there is one.
    pub popularity: Option<Popularity>,
    /// What everybody does with the items, when it was counted.
    pub rates: Option<Rates>,
    /// What is played most in each segment, when it was counted.
    pub segments: Option<Segments>,
    /// The scorer as JSON, when there is one.
    pub scorer: Option<Vec<u8>>,
    /// Further files by name.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

impl Release {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ReleaseId {
        &self.manifest.id
    }

    /// The row of an item; `None` when it was not there to be trained on.
    #[inline]
    #[must_use]
    pub fn index_of(&self, key: ItemKey) -> Option<u32> {
        self.items.index_of(key)
    }

    /// A release that stands on no disk: for training that goes on with it, and for tests.
    ///
    /// # Errors
    /// When the parts do not fit each other, as [`crate::Store::load`].
    #[expect(clippy::needless_pass_by_value, reason = "a release takes over what it is made of, as a writer does")]
    pub fn in_memory(tenant: TenantId, meta: Meta, parts: Parts) -> Result<Self, Error> {
        let files = encode(&parts)?;
        let entries = files.iter().map(|(name, bytes)| {
            (name.clone(), manifest::FileEntry { blake3: hash(bytes), bytes: bytes.len() as u64 })
        });
        let (_, manifest) = manifest::seal(tenant, meta, entries.collect())?;
        Self::read(manifest, files.into_iter().map(|(name, bytes)| (name, Content::Read(bytes))).collect())
    }

    /// Reads files whose hashes have been checked.
    pub(crate) fn read(manifest: Manifest, mut files: BTreeMap<String, Content>) -> Result<Self, Error> {
        let Some(items) = files.remove(items::FILE) else {
            return Err(Error::refused(items::FILE, Refusal::Missing));
        };
        let items = Items::decode(items.bytes())?;
        let rows = items.len();
        let factors = files.remove(factors::FILE).map(|content| Factors::decode(&content)).transpose()?;
        let lists = files.remove(lists::FILE).map(|content| Lists::decode(&content)).transpose()?;
        let content = files.remove(content::FILE).map(|content| Mapping::decode(content.bytes())).transpose()?;
        let neighbours =
            files.remove(neighbours::FILE).map(|content| Neighbours::decode(content.bytes())).transpose()?;
        let popularity =
            files.remove(popularity::FILE).map(|content| Popularity::decode(content.bytes())).transpose()?;
        let rates = files.remove(rates::FILE).map(|content| Rates::decode(&content)).transpose()?;
        let segments = files.remove(segments::FILE).map(|content| Segments::decode(content.bytes())).transpose()?;
        let scorer = files.remove(SCORER).map(Content::into_bytes);
        if let Some(factors) = &factors {
            factors.verify(rows)?;
        }
        if let Some(lists) = &lists {
            lists.verify(factors.as_ref().ok_or_else(|| alone(lists::FILE))?)?;
        }
        if let Some(content) = &content {
            content.verify(factors.as_ref().ok_or_else(|| alone(content::FILE))?.dimensions)?;
        }
        if let Some(neighbours) = &neighbours {
            neighbours.verify(rows)?;
        }
        if let Some(popularity) = &popularity {
            popularity.verify(rows)?;
        }
        if let Some(rates) = &rates {
            rates.verify(rows)?;
        }
        if let Some(segments) = &segments {
            segments.verify(rows)?;
        }
        if let Some(scorer) = &scorer {
            verify_scorer(scorer)?;
        }
        let blobs = files.into_iter().map(|(name, content)| (name, content.into_bytes())).collect();
        let lists = lists.map(Arc::new);
        Ok(Self { manifest, items, factors, lists, content, neighbours, popularity, rates, segments, scorer, blobs })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("id", self.id())
            .field("items", &self.items.len())
            .field("factors", &self.factors.as_ref().map(|factors| factors.dimensions))
            .field("lists", &self.lists.as_ref().map(|lists| lists.count()))
            .field("content", &self.content.is_some())
            .field("neighbours", &self.neighbours.as_ref().map(|neighbours| neighbours.items.len()))
            .field("popularity", &self.popularity.is_some())
            .field("rates", &self.rates.is_some())
            .field("segments", &self.segments.as_ref().map(Segments::len))
            .field("scorer", &self.scorer.is_some())
            .finish_non_exhaustive()
    }
}

/// The files of some parts. Verifies the parts against each other first: what a reader would refuse
/// is never written.
pub(crate) fn encode(parts: &Parts) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let items = Items::new(parts.items.clone())?;
    if items.is_empty() {
        return Err(Error::refused(items::FILE, Refusal::Empty));
    }
    let mut files = parts.blobs.clone();
    if let Some(name) = files.keys().find(|name| is_ours(name) || !manifest::is_file_name(name)) {
        let detail = format!("{name:?} is no name for a further file");
        return Err(Error::refused(name.clone(), Refusal::Check { detail }));
    }
    if let Some(factors) = &parts.factors {
        factors.verify(items.len())?;
        files.insert(factors::FILE.to_owned(), factors.encode());
    }
    if let Some(lists) = &parts.lists {
        lists.verify(parts.factors.as_ref().ok_or_else(|| alone(lists::FILE))?)?;
        files.insert(lists::FILE.to_owned(), lists.encode());
    }
    if let Some(content) = &parts.content {
        content.verify(parts.factors.as_ref().ok_or_else(|| alone(content::FILE))?.dimensions)?;
        files.insert(content::FILE.to_owned(), content.encode());
    }
    if let Some(neighbours) = &parts.neighbours {
        neighbours.verify(items.len())?;
        files.insert(neighbours::FILE.to_owned(), neighbours.encode());
    }
    if let Some(popularity) = &parts.popularity {
        popularity.verify(items.len())?;
        files.insert(popularity::FILE.to_owned(), popularity.encode());
    }
    if let Some(rates) = &parts.rates {
        rates.verify(items.len())?;
        files.insert(rates::FILE.to_owned(), rates.encode());
    }
    if let Some(segments) = &parts.segments {
        segments.verify(items.len())?;
        files.insert(segments::FILE.to_owned(), segments.encode());
    }
    if let Some(scorer) = &parts.scorer {
        verify_scorer(scorer)?;
        files.insert(SCORER.to_owned(), scorer.clone());
    }
    files.insert(items::FILE.to_owned(), items.encode());
    Ok(files)
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn is_ours(name: &str) -> bool {
    matches!(
        name,
        items::FILE
            | factors::FILE
            | lists::FILE
            | content::FILE
            | neighbours::FILE
            | popularity::FILE
            | rates::FILE
            | segments::FILE
            | SCORER
    )
}

/// Refuses what is over factors where there are none.
fn alone(file: &str) -> Error {
    Error::refused(file, Refusal::Check { detail: "there are no factors that it could be over".to_owned() })
}

/// The scorer must be a JSON object; its numbers are finite, because JSON has no others.
fn verify_scorer(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(Error::refused(SCORER, Refusal::Empty));
    }
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes)
        .map(drop)
        .map_err(|error| Error::refused(SCORER, Refusal::Unreadable { detail: error.to_string() }))
}
