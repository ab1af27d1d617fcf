//! Items, and what became of writing them.

use std::sync::Arc;

use shared_models::{
    ErrorCode, FeatureName, ItemId, ItemKey, Timestamp,
    item::{DisplayItem, Item, ItemKind},
    numbers::{self, Numbers},
};

use super::{Malformed, Result, duration_from_wire, duration_to_wire, each, market, name, optional_name};
use crate::{Failure, Put, convert::names::Name, generated::catalogue::v1 as wire};

pub(crate) fn item_to_wire(item: Item) -> wire::Item {
    let numbers = item.numbers.as_deref();
    let feature = |(name, value): &(FeatureName, f32)| wire::Feature { name: name.as_str().to_owned(), value: *value };
    let features = numbers.map(|numbers| numbers.features().iter().map(feature).collect());
    let embedding = numbers.map(|numbers| numbers.embedding().to_vec());
    wire::Item {
        id: item.id.as_str().to_owned(),
        kind: kind_to_wire(item.kind),
        title: item.title,
        artist_id: item.artist_id.map(|artist| artist.as_str().to_owned()),
        artist_name: item.artist_name,
        genres: item.genres,
        released_at_ms: item.released_at.map(|at| at.0),
        duration_ms: item.duration_ms,
        explicit: item.explicit,
        markets: item.markets.iter().map(|market| market.as_str().to_owned()).collect(),
        features: features.unwrap_or_default(),
        embedding: embedding.unwrap_or_default(),
    }
}

pub(crate) fn item_from_wire(item: wire::Item) -> Result<Item> {
    Ok(Item {
        id: name(&item.id, "id")?,
        kind: ItemKind::from(item.kind.as_str()),
        title: item.title,
        artist_id: optional_name(item.artist_id.as_deref(), "artist_id")?,
        artist_name: item.artist_name,
        genres: item.genres,
        released_at: item.released_at_ms.map(Timestamp),
        duration_ms: item.duration_ms,
        explicit: item.explicit,
        markets: item.markets.iter().map(|code| market(code, "markets")).collect::<Result<_>>()?,
        numbers: numbers_from_wire(item.features, item.embedding)?,
    })
}

fn numbers_from_wire(features: Vec<wire::Feature>, embedding: Vec<f32>) -> Result<Option<Arc<Numbers>>> {
    let features =
        each(features, "features", |feature| Ok((name::<FeatureName>(&feature.name, "name")?, feature.value)))?;
    Numbers::new(features, embedding).map_err(|error| match error {
        numbers::Error::Embedding { .. } | numbers::Error::Number { .. } => Malformed::new("embedding", error),
        _ => Malformed::new("features", error),
    })
}

pub(crate) fn items_from_wire(items: Vec<wire::Item>) -> Result<Vec<Item>> {
    each(items, "items", item_from_wire)
}

fn kind_to_wire(kind: ItemKind) -> String {
    match kind {
        ItemKind::Other(name) => name,
        known => known.as_str().to_owned(),
    }
}

pub(crate) fn display_to_wire(item: DisplayItem) -> wire::DisplayItem {
    wire::DisplayItem {
        key: item.key.0,
        id: item.id.as_str().to_owned(),
        kind: kind_to_wire(item.kind),
        title: item.title,
        artist_name: item.artist_name,
    }
}

pub(crate) fn displays_from_wire(items: Vec<wire::DisplayItem>) -> Result<Vec<DisplayItem>> {
    each(items, "items", |item| {
        Ok(DisplayItem {
            key: ItemKey(item.key),
            id: name::<ItemId>(&item.id, "id")?,
            kind: ItemKind::from(item.kind.as_str()),
            title: item.title,
            artist_name: item.artist_name,
        })
    })
}

pub(crate) fn puts_to_wire(results: Vec<std::result::Result<Put, Failure>>) -> wire::PutItemsResponse {
    let mut response = wire::PutItemsResponse { outcomes: Vec::with_capacity(results.len()), failures: Vec::new() };
    for (index, result) in (0..).zip(results) {
        let outcome = match result {
            Ok(Put::Created) => wire::PutOutcome::Created,
            Ok(Put::Updated) => wire::PutOutcome::Updated,
            Ok(Put::Unchanged) => wire::PutOutcome::Unchanged,
            Err(failure) => {
                response.failures.push(wire::PutFailure {
                    index,
                    code: failure.code.to_wire(),
                    reason: failure.reason.into_owned(),
                    message: failure.message,
                    retry_after: failure.retry_after.map(duration_to_wire),
                });
                wire::PutOutcome::Failed
            }
        };
        response.outcomes.push(outcome.into());
    }
    response
}

pub(crate) fn puts_from_wire(
    response: wire::PutItemsResponse,
    items: usize,
) -> Result<Vec<std::result::Result<Put, Failure>>> {
    super::same_length(response.outcomes.len(), items, "outcomes")?;
    let mut failures = response.failures.into_iter();
    let mut results = Vec::with_capacity(items);
    for (index, outcome) in response.outcomes.iter().enumerate() {
        results.push(match wire::PutOutcome::try_from(*outcome) {
            Ok(wire::PutOutcome::Created) => Ok(Put::Created),
            Ok(wire::PutOutcome::Updated) => Ok(Put::Updated),
            Ok(wire::PutOutcome::Unchanged) => Ok(Put::Unchanged),
            Ok(wire::PutOutcome::Failed) => match failures.next() {
                Some(failure) if failure.index as usize == index => Err(failure_from_wire(failure)?),
                _ => return Err(Malformed::new("failures", format_args!("says nothing of item {index}"))),
            },
            Ok(wire::PutOutcome::Unspecified) | Err(_) => {
                return Err(Malformed::new(
                    "outcomes",
                    format_args!("{outcome} is not known; the sender may be newer"),
                ));
            }
        });
    }
    Ok(results)
}

fn failure_from_wire(failure: wire::PutFailure) -> Result<Failure> {
    Ok(Failure {
        code: ErrorCode::from_wire(failure.code, "code").unwrap_or(ErrorCode::Internal),
        reason: failure.reason.into(),
        message: failure.message,
        retry_after: failure.retry_after.map(|after| duration_from_wire(after, "failures.retry_after")).transpose()?,
    })
}
