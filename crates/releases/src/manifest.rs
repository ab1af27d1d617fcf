//! The manifest of a release: what is in it, where it comes from, how good it is.
//!
//! Its bytes are the release: the id is their hash, so any change of any field is another release.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_models::{ReleaseId, TenantId, Timestamp};

use crate::{Error, Refusal};

/// The version of the manifest and of the artefact formats that this code writes and reads.
pub const FORMAT: u32 = 1;

/// The name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";

/// A manifest larger than this is refused unread.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The BLAKE3 hash of its bytes, in hexadecimal.
    pub blake3: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What the reader must be able to read and compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schemas {
    /// The hash of the feature schema that the scorer was trained on; 0 where there is no scorer.
    #[serde(with = "hexadecimal")]
    pub feature_schema: u64,
    /// The version of the artefact formats, [`FORMAT`].
    pub format: u32,
}

/// The events that a release was trained on, from (inclusive) to (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
}

/// What the trainer tells of a release; the writer adds the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// When it was trained.
    pub created_at: Timestamp,
    /// The hash of the feature schema that the scorer was trained on; 0 where there is no scorer.
    pub feature_schema: u64,
    /// Offline measurements, such as `recall@20`.
    pub metrics: BTreeMap<String, f64>,
    /// The events it was trained on.
    pub window: Window,
    /// How much there was: `users`, `items`, `interactions`, …
    pub counts: BTreeMap<String, u64>,
    /// Where it comes from: data, seed, settings, the release before.
    pub lineage: BTreeMap<String, String>,
    /// The version of the code that trained it.
    pub code_version: String,
    /// For people.
    pub notes: String,
}

/// What a release is, as its folder tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The hash of the manifest file; the folder bears its name.
    pub id: ReleaseId,
    /// Whose.
    pub tenant: TenantId,
    /// When it was trained.
    pub created_at: Timestamp,
    /// Every file, by name.
    pub files: BTreeMap<String, FileEntry>,
    /// What a reader must be able to read and compute.
    pub schema: Schemas,
    /// Offline measurements.
    pub metrics: BTreeMap<String, f64>,
    /// The events it was trained on.
    pub window: Window,
    /// How much there was.
    pub counts: BTreeMap<String, u64>,
    /// Where it comes from.
    pub lineage: BTreeMap<String, String>,
    /// The version of the code that trained it.
    pub code_version: String,
    /// For people.
    pub notes: String,
}

/// The file's content: a manifest without its id, which is the hash of these bytes.
#[derive(Serialize, Deserialize)]
struct Content {
    tenant: TenantId,
    created_at: Timestamp,
    schema: Schemas,
    window: Window,
    counts: BTreeMap<String, u64>,
    metrics: BTreeMap<String, f64>,
    lineage: BTreeMap<String, String>,
    code_version: String,
    notes: String,
    files: BTreeMap<String, FileEntry>,
}

/// Writes a manifest: its bytes, and itself with the id that they give.
pub(crate) fn seal(
    tenant: TenantId,
    meta: Meta,
    files: BTreeMap<String, FileEntry>,
) -> Result<(Vec<u8>, Manifest), Error> {
    let content = Content {
        tenant,
        created_at: meta.created_at,
        schema: Schemas { feature_schema: meta.feature_schema, format: FORMAT },
        window: meta.window,
        counts: meta.counts,
        metrics: meta.metrics,
        lineage: meta.lineage,
        code_version: meta.code_version,
        notes: meta.notes,
        files,
    };
    // JSON has no NaN: serde_json writes null, which would not read back.
    if let Some((at, (_, value))) = content.metrics.iter().enumerate().find(|(_, (_, value))| !value.is_finite()) {
        return Err(Error::refused(MANIFEST, Refusal::NotFinite { what: "metrics", at, value: value.to_string() }));
    }
    let mut bytes = serde_json::to_vec_pretty(&content).map_err(unreadable)?;
    bytes.push(b'\n');
    let id = id_of(&bytes)?;
    Ok((bytes, manifest(id, content)))
}

/// Reads a manifest and holds it against the id under which it was found.
pub(crate) fn open(tenant: &TenantId, id: &ReleaseId, bytes: &[u8]) -> Result<Manifest, Error> {
    let found = id_of(bytes)?;
    if found != *id {
        return Err(Error::refused(MANIFEST, Refusal::Hash { expected: id.to_string(), found: found.to_string() }));
    }
    let content: Content = serde_json::from_slice(bytes).map_err(unreadable)?;
    if content.schema.format != FORMAT {
        return Err(Error::refused(
            MANIFEST,
            Refusal::Header { what: "format", expected: FORMAT.into(), found: content.schema.format.into() },
        ));
    }
    if content.tenant != *tenant {
        let detail = format!("it belongs to tenant {}", content.tenant);
        return Err(Error::refused(MANIFEST, Refusal::Check { detail }));
    }
    if let Some(name) = content.files.keys().find(|name| !is_file_name(name)) {
        let detail = format!("it lists {name:?}, which is no plain file name");
        return Err(Error::refused(MANIFEST, Refusal::Check { detail }));
    }
    Ok(manifest(id.clone(), content))
}

/// Whether a release may hold a file of this name: no folders, no dot files, nothing of the store's.
pub(crate) fn is_file_name(name: &str) -> bool {
    name != MANIFEST
        && !name.starts_with('.')
        && (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

fn id_of(bytes: &[u8]) -> Result<ReleaseId, Error> {
    // 128 bits: short enough to read out, long enough that no second manifest is ever found.
    let hash = blake3::hash(bytes).to_hex();
    ReleaseId::new(&hash[..32]).map_err(|error| Error::refused(MANIFEST, Refusal::Check { detail: error.to_string() }))
}

/// Whether an id could be one of ours; anything else never becomes a path.
pub(crate) fn is_id(id: &ReleaseId) -> bool {
    id.as_str().len() == 32 && id.as_str().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn manifest(id: ReleaseId, content: Content) -> Manifest {
    Manifest {
        id,
        tenant: content.tenant,
        created_at: content.created_at,
        files: content.files,
        schema: content.schema,
        metrics: content.metrics,
        window: content.window,
        counts: content.counts,
        lineage: content.lineage,
        code_version: content.code_version,
        notes: content.notes,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err takes")]
fn unreadable(error: serde_json::Error) -> Error {
    Error::refused(MANIFEST, Refusal::Unreadable { detail: error.to_string() })
}

/// A 64-bit hash as text: JSON readers elsewhere keep 53 bits of a number.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde takes")]
    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_their_folder() {
        for good in ["factors.bin", "scorer.json", "index-1_2.bin"] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in ["", "../LIVE", "a/b", ".hidden", "manifest.json", "A.bin", "a\\b"] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_changed_manifest_is_another_release() {
        let tenant = TenantId::new("demo").unwrap();
        let (bytes, manifest) = seal(tenant.clone(), Meta::default(), BTreeMap::new()).unwrap();
        assert!(is_id(&manifest.id));
        assert_eq!(open(&tenant, &manifest.id, &bytes).unwrap(), manifest);
        let mut changed = bytes;
        changed.push(b'\n');
        assert_eq!(open(&tenant, &manifest.id, &changed).unwrap_err().reason(), "wrong_hash");
    }

    #[test]
    fn a_measurement_that_is_no_number_is_refused() {
        let meta = Meta { metrics: BTreeMap::from([("ndcg".to_owned(), f64::NAN)]), ..Meta::default() };
        let error = seal(TenantId::new("demo").unwrap(), meta, BTreeMap::new()).unwrap_err();
        assert_eq!(error.reason(), "not_finite");
    }
}
