//! Dead letters in an operator's hands: listed, sent again after a repair, thrown away. This file must not know what
//! their messages mean.

use shared_models::Timestamp;

use crate::{
    browse::Browse,
    bus::Ack,
    envelope::{DeadLetter, Envelope},
    error::Error,
    subjects::{Filter, StreamName, Subject},
};

/// How many letters are read at a time.
const PAGE: usize = 256;

/// A dead letter where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Its number on the stream of dead letters: what it is called by.
    pub id: u64,
    /// When it was given up.
    pub at: Timestamp,
    /// What it tells.
    pub letter: DeadLetter,
}

impl Letter {
    /// The message, as it was published.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when it was no envelope: then nobody can send it again.
    pub fn message(&self) -> Result<Envelope, Error> {
        Envelope::decode(self.letter.message.clone())
    }

    /// The tenant of the message, where its subject names one.
    #[must_use]
    pub fn tenant(&self) -> Option<String> {
        Subject::parse(&self.letter.subject)?.tenant().map(str::to_owned)
    }
}

/// Which letters are meant. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From which stream.
    pub stream: Option<StreamName>,
    /// Of which consumer; `candidates-intake` stands for those of its partitions too.
    pub consumer: Option<String>,
    /// Of which tenant.
    pub tenant: Option<String>,
}

impl Wanted {
    fn wants(&self, letter: &Letter) -> bool {
        let of = |wanted: &str, consumer: &str| {
            consumer.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with("-p"))
        };
        self.stream.is_none_or(|stream| letter.letter.stream == stream.as_str())
            && self.consumer.as_deref().is_none_or(|wanted| of(wanted, &letter.letter.consumer))
            && self.tenant.as_deref().is_none_or(|wanted| letter.tenant().as_deref() == Some(wanted))
    }
}

/// Up to `limit` letters, oldest first. What lies there and is no letter is passed over.
///
/// # Errors
/// When the bus is away.
pub async fn list(bus: &dyn Browse, wanted: &Wanted, limit: usize) -> Result<Vec<Letter>, Error> {
    let filter = wanted.stream.map(Filter::dead);
    let mut found = Vec::new();
    let mut after = 0;
    while found.len() < limit {
        let page = bus.read(StreamName::Dead, after, PAGE, filter.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        let letters = page.iter().filter_map(|kept| {
            let letter = DeadLetter::from_envelope(&kept.envelope().ok()?).ok()?;
            Some(Letter { id: kept.sequence, at: kept.published_at, letter })
        });
        found.extend(letters.filter(|letter| wanted.wants(letter)));
    }
    found.truncate(limit);
    Ok(found)
}

/// One letter; `None` when it is not there.
///
/// # Errors
/// When the bus is away, or what lies there is no letter.
pub async fn find(bus: &dyn Browse, id: u64) -> Result<Option<Letter>, Error> {
    let Some(before) = id.checked_sub(1) else { return Ok(None) };
    let page = bus.read(StreamName::Dead, before, 1, None).await?;
    let Some(kept) = page.into_iter().find(|kept| kept.sequence == id) else { return Ok(None) };
    let letter = DeadLetter::from_envelope(&kept.envelope()?)?;
    Ok(Some(Letter { id, at: kept.published_at, letter }))
}

/// Publishes the message of a letter again on its subject, and removes the letter.
///
/// The message goes to every consumer of its stream, and each counts its events once: those that took it before by
/// the ids of the events. Its own id is new, or the window of ids would swallow it; it follows from the letter, so
/// that a second try within the window is the same message.
///
/// # Errors
/// [`Error::Undecodable`] when the message is no envelope or its subject none of ours; otherwise as
/// [`Browse::delete`] and [`crate::EventBus::publish`].
pub async fn redrive(bus: &dyn Browse, letter: &Letter) -> Result<Ack, Error> {
    let mut envelope = letter.message()?;
    let strange = || Error::Undecodable { problem: format!("{} is the subject of no stream", letter.letter.subject) };
    let subject = Subject::parse(&letter.letter.subject).ok_or_else(strange)?;
    envelope.id = format!("{}-again-{}", envelope.id, letter.id);
    let ack = bus.publish(&subject, envelope).await?;
    bus.delete(StreamName::Dead, letter.id).await?;
    Ok(ack)
}
