//! Cursors: where the next answer of a surface begins.
//!
//! A cursor is the whole of what must be known: nothing is kept for it. It says for whom it is good (tenant and
//! listener, surface and its version, the shape of the answer, the items it is about), until when, which releases and
//! which seed the first answer was made with, and what was shown since. It is signed with HMAC-SHA256 (RFC 2104), so
//! what comes back is what was given. What it is good for stands in it as a digest: it tells no name.
//!
//! Must not know how an answer is made.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use service_runtime::config::Secret;
use sha2::{Digest, Sha256};
use shared_models::{ItemKey, ReleaseId, Seed, TenantId, Timestamp};

use crate::{
    plan::{Ask, Continuation, Releases, Shape},
    problem::FieldError,
    surfaces::Served,
};

/// After so many shown items a listener has seen enough of a surface: there is no further page.
pub(crate) const MOST_SHOWN: usize = 480;
/// The longest text that can be a cursor: every key, two names of releases and the rest, with room.
pub(crate) const MOST_TEXT: usize = 8_192;

const VERSION: u8 = 1;
const TAG: usize = 32;
const MARK: usize = 8;

/// How cursors are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key that signs them, of 16 characters or more, the same on every edge; empty is a random one that lasts as
    /// long as the process.
    pub secret: Secret,
    /// How long a cursor is good.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
}

/// Makes cursors and reads them back.
pub(crate) struct Cursors {
    signer: Hmac<Sha256>,
    ttl: Duration,
}

/// Why a text is not a cursor that goes on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no cursor at all.
    Malformed,
    /// It was changed, or signed with another key.
    Tampered,
    /// Its time is over.
    Expired,
    /// It is another listener's or another tenant's.
    Listener,
    /// It is of another surface.
    Surface,
    /// The surface has changed since.
    Version,
    /// It is of the other verb.
    Shape,
    /// It is about other items.
    Items,
}

impl Refused {
    /// The problem, for whoever sent it.
    pub(crate) fn problem(self) -> FieldError {
        let as_it_came = "the `next_cursor` of an answer, as it came";
        let (given, expected) = match self {
            Self::Malformed => ("a text that is no cursor", as_it_came),
            Self::Tampered => ("a cursor that was changed, or signed with another key", as_it_came),
            Self::Expired => ("a cursor whose time is over", "no cursor: begin again with the first page"),
            Self::Listener => ("a cursor of another listener", "the listener of the page before"),
            Self::Surface => ("a cursor of another surface", "the surface of the page before"),
            Self::Version => {
                ("a cursor of another version of the surface", "no cursor: the surface changed, begin again")
            }
            Self::Shape => ("a cursor of another kind of answer", "the verb of the page before"),
            Self::Items => ("a cursor about other items", "the `seed_items` of the page before"),
        };
        FieldError::new("/cursor", given, expected)
    }
}

/// What a cursor is good for, as digests in the order of the checks.
struct Bound([[u8; MARK]; 5]);

impl Bound {
    fn of(tenant: &TenantId, served: &Served, ask: &Ask) -> Self {
        let user = ask.user.as_ref().map_or("", |user| user.as_str());
        let shape = match ask.shape {
            Shape::Page => "page",
            Shape::Flat => "flat",
        };
        let items: Vec<u8> = ask.seed_items.iter().flat_map(|key| key.0.to_le_bytes()).collect();
        Self([
            // No name holds a zero byte: two parts never read as two others.
            mark(&[tenant.as_str().as_bytes(), b"\0", user.as_bytes()].concat()),
            mark(served.surface.surface.as_str().as_bytes()),
            mark(served.version.as_bytes()),
            mark(shape.as_bytes()),
            mark(&items),
        ])
    }
}

const REFUSALS: [Refused; 5] = [Refused::Listener, Refused::Surface, Refused::Version, Refused::Shape, Refused::Items];

fn mark(bytes: &[u8]) -> [u8; MARK] {
    let digest = Sha256::digest(bytes);
    let mut mark = [0; MARK];
    mark.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    mark
}

impl Cursors {
    /// Cursors as configured. A key that nobody gave is made here and told of: cursors of other edges, and of this one
    /// before its start, are then refused.
    pub(crate) fn new(config: &Config) -> Self {
        let random: [u8; 32];
        let key = if config.secret.is_empty() {
            tracing::info!(
                "cursors are signed with a key of this process alone; set cursors.secret where edges are many"
            );
            random = rand::random();
            random.as_slice()
        } else {
            config.secret.expose().as_bytes()
        };
        // A key of any length is taken; the fallback is there because the signature says otherwise.
        let signer = Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self { signer, ttl: config.ttl }
    }

    /// The cursor to what follows an answer to `ask`, of which all was shown that `continuation` says.
    pub(crate) fn seal(
        &self,
        tenant: &TenantId,
        served: &Served,
        ask: &Ask,
        continuation: &Continuation,
        now: Timestamp,
    ) -> String {
        let Continuation { seed, page, shown, releases } = continuation;
        let mut bytes = Vec::with_capacity(192 + 8 * shown.len());
        bytes.push(VERSION);
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        bytes.extend(now.0.saturating_add(ttl).to_le_bytes());
        Bound::of(tenant, served, ask).0.iter().for_each(|mark| bytes.extend(mark));
        bytes.extend(seed.0.to_le_bytes());
        bytes.extend(page.to_le_bytes());
        for release in [&releases.candidates, &releases.ranking] {
            let name = release.as_ref().map_or("", ReleaseId::as_str).as_bytes();
            // A release's name has at most 128 bytes.
            bytes.push(u8::try_from(name.len()).unwrap_or(0));
            bytes.extend(name.get(..name.len().min(255)).unwrap_or(&[]));
        }
        shown.iter().for_each(|key| bytes.extend(key.0.to_le_bytes()));
        let mut signer = self.signer.clone();
        signer.update(&bytes);
        bytes.extend(signer.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What follows, by a cursor that came back with `ask`.
    pub(crate) fn open(
        &self,
        text: &str,
        tenant: &TenantId,
        served: &Served,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Continuation, Refused> {
        if text.len() > MOST_TEXT {
            return Err(Refused::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed)?;
        let (signed, tag) = bytes.split_last_chunk::<TAG>().ok_or(Refused::Malformed)?;
        let mut signer = self.signer.clone();
        signer.update(signed);
        signer.verify_slice(tag).map_err(|_| Refused::Tampered)?;
        // Whoever signed it wrote it: what does not read is of another version of this code.
        let mut reader = Reader(signed);
        let [version] = reader.take::<1>()?;
        if version != VERSION {
            return Err(Refused::Malformed);
        }
        if i64::from_le_bytes(reader.take()?) < now.0 {
            return Err(Refused::Expired);
        }
        for (mark, refused) in Bound::of(tenant, served, ask).0.into_iter().zip(REFUSALS) {
            if reader.take::<MARK>()? != mark {
                return Err(refused);
            }
        }
        let seed = Seed(u64::from_le_bytes(reader.take()?));
        let page = u16::from_le_bytes(reader.take()?);
        let releases = Releases { candidates: reader.release()?, ranking: reader.release()? };
        let (keys, rest) = reader.0.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Refused::Malformed);
        }
        let shown = keys.iter().map(|key| ItemKey(u64::from_le_bytes(*key))).collect();
        Ok(Continuation { seed, page, shown, releases })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn release(&mut self) -> Result<Option<ReleaseId>, Refused> {
        let [length] = self.take::<1>()?;
        let (name, rest) = self.0.split_at_checked(usize::from(length)).ok_or(Refused::Malformed)?;
        self.0 = rest;
        if name.is_empty() {
            return Ok(None);
        }
        let name = std::str::from_utf8(name).map_err(|_| Refused::Malformed)?;
        ReleaseId::new(name).map(Some).map_err(|_| Refused::Malformed)
    }
}

/// What follows an answer to `ask` that chose `chosen` of `candidates`, with `releases`; `None` at the end: all that could
/// be shown was shown, or enough was.
pub(crate) fn next(
    ask: &Ask,
    chosen: impl Iterator<Item = ItemKey>,
    mut candidates: impl Iterator<Item = ItemKey>,
    releases: Releases,
) -> Option<Continuation> {
    let before = ask.continuation.as_ref();
    let mut shown: BTreeSet<ItemKey> = before.map(|before| before.shown.iter().copied().collect()).unwrap_or_default();
    shown.extend(chosen);
    if shown.len() > MOST_SHOWN || !candidates.any(|key| !shown.contains(&key)) {
        return None;
    }
    Some(Continuation {
        seed: before.map_or(ask.context.seed, |before| before.seed),
        page: before.map_or(0, |before| before.page).saturating_add(1),
        shown: shown.into_iter().collect(),
        releases: before.map_or(releases, |before| before.releases.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes::ask::PageRequest, surfaces::Surfaces};

    fn cursors(secret: &str) -> Cursors {
        Cursors::new(&Config { secret: Secret::new(secret), ttl: Duration::from_secs(3_600) })
    }

    fn ask(user: &str, shape: Shape) -> Ask {
        let request = PageRequest { user_id: Some(user.to_owned()), ..PageRequest::default() };
        request.check(shape, false, Timestamp(1_700_000_000_000), Seed(1)).unwrap()
    }

    fn continuation() -> Continuation {
        Continuation {
            seed: Seed(u64::MAX - 1),
            page: 3,
            shown: (0..MOST_SHOWN as u64).map(|key| ItemKey(key << 40)).collect(),
            releases: Releases { candidates: Some(ReleaseId::new("release-1").unwrap()), ranking: None },
        }
    }

    #[test]
    fn what_is_sealed_is_opened_and_fits() {
        let (tenant, surfaces) = (TenantId::new("demo").unwrap(), Surfaces::load(None).unwrap());
        let served = surfaces.by_name("home").unwrap();
        let (cursors, ask) = (cursors("sixteen letters."), ask("user-1", Shape::Page));
        let text = cursors.seal(&tenant, served, &ask, &continuation(), Timestamp(5));
        assert!(text.len() <= MOST_TEXT, "{}", text.len());
        assert_eq!(cursors.open(&text, &tenant, served, &ask, Timestamp(6)).unwrap(), continuation());
    }

    #[test]
    fn a_cursor_is_good_for_what_it_was_made_for_and_nothing_else() {
        let (tenant, surfaces) = (TenantId::new("demo").unwrap(), Surfaces::load(None).unwrap());
        let (home, similar) = (surfaces.by_name("home").unwrap(), surfaces.by_name("item-similar").unwrap());
        let (cursors, asked) = (cursors("sixteen letters."), ask("user-1", Shape::Page));
        let text = cursors.seal(&tenant, home, &asked, &continuation(), Timestamp(5));
        let check = |expected: Refused, text: &str, tenant: &TenantId, served: &Served, ask: &Ask, now: i64| {
            assert_eq!(cursors.open(text, tenant, served, ask, Timestamp(now)).unwrap_err(), expected);
        };
        let mut changed = Served::clone(home);
        changed.version = "another".to_owned();
        let about = Ask { seed_items: vec![ItemKey(9)], ..asked.clone() };
        check(Refused::Expired, &text, &tenant, home, &asked, 3_600_006);
        check(Refused::Listener, &text, &tenant, home, &ask("user-2", Shape::Page), 6);
        check(Refused::Listener, &text, &TenantId::new("other").unwrap(), home, &asked, 6);
        check(Refused::Surface, &text, &tenant, similar, &asked, 6);
        check(Refused::Version, &text, &tenant, &changed, &asked, 6);
        check(Refused::Shape, &text, &tenant, home, &ask("user-1", Shape::Flat), 6);
        check(Refused::Items, &text, &tenant, home, &about, 6);
        for nonsense in ["", "a", "{}", "ääää", &"A".repeat(9_000), &text[..20]] {
            check(Refused::Malformed, nonsense, &tenant, home, &asked, 6);
        }
        let theirs =
            super::tests::cursors("another sixteen.").seal(&tenant, home, &asked, &continuation(), Timestamp(5));
        check(Refused::Tampered, &theirs, &tenant, home, &asked, 6);
    }

    #[test]
    fn every_changed_byte_is_found_out() {
        let (tenant, surfaces) = (TenantId::new("demo").unwrap(), Surfaces::load(None).unwrap());
        let served = surfaces.by_name("home").unwrap();
        let (cursors, ask) = (cursors(""), ask("user-1", Shape::Page));
        let small = Continuation { shown: vec![ItemKey(1), ItemKey(2)], ..continuation() };
        let text = cursors.seal(&tenant, served, &ask, &small, Timestamp(5));
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            let text = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(cursors.open(&text, &tenant, served, &ask, Timestamp(6)), Err(Refused::Tampered), "{place}");
        }
    }

    #[test]
    fn the_end_is_where_nothing_is_left_or_enough_was_shown() {
        let ask = ask("user-1", Shape::Page);
        let keys = |range: std::ops::Range<u64>| range.map(ItemKey);
        let of = |ask: &Ask, chosen, candidates| next(ask, keys(chosen), keys(candidates), Releases::default());
        assert_eq!(of(&ask, 0..20, 0..20), None);
        let rest = of(&ask, 0..20, 0..21).unwrap();
        assert_eq!((rest.page, rest.shown.len(), rest.seed), (1, 20, Seed(1)));
        let further = Ask { continuation: Some(rest), ..ask };
        let rest = of(&further, 20..40, 20..41).unwrap();
        assert_eq!((rest.page, rest.shown.len()), (2, 40));
        assert_eq!(of(&further, 20..490, 20..600), None);
    }
}
