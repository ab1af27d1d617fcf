//! Users: attributes and the summary of a profile.

use shared_models::{
    ItemKey, Timestamp,
    item::Market,
    listener::{UserAttributes, UserSummary},
};

use super::{Malformed, Result, name, optional_market, required, same_length};
use crate::generated::profiles::v1 as wire;

pub(crate) fn attributes_to_wire(attributes: &UserAttributes) -> wire::UserAttributes {
    wire::UserAttributes {
        id: attributes.id.as_str().to_owned(),
        market: attributes.market.as_ref().map_or("", Market::as_str).to_owned(),
        explicit_allowed: attributes.explicit_allowed,
        updated_at_ms: attributes.updated_at.0,
    }
}

pub(crate) fn attributes_from_wire(attributes: Option<wire::UserAttributes>) -> Result<UserAttributes> {
    let convert = |attributes: wire::UserAttributes| {
        Ok(UserAttributes {
            id: name(&attributes.id, "id")?,
            market: optional_market(&attributes.market, "market")?,
            explicit_allowed: attributes.explicit_allowed,
            updated_at: Timestamp(attributes.updated_at_ms),
        })
    };
    convert(required(attributes, "attributes")?).map_err(|error: Malformed| error.inside("attributes"))
}

pub(crate) fn summary_to_wire(summary: &UserSummary) -> wire::GetUserResponse {
    wire::GetUserResponse {
        attributes: Some(attributes_to_wire(&summary.attributes)),
        plays: summary.plays,
        recent: summary.recent.iter().map(|(key, _)| key.0).collect(),
        recent_at_ms: summary.recent.iter().map(|(_, at)| at.0).collect(),
        artists: summary.artists.iter().map(|(key, _)| key.0).collect(),
        artist_shares: summary.artists.iter().map(|(_, share)| *share).collect(),
        last_event_at_ms: summary.last_event_at.map(|at| at.0),
    }
}

pub(crate) fn summary_from_wire(response: wire::GetUserResponse) -> Result<UserSummary> {
    same_length(response.recent_at_ms.len(), response.recent.len(), "recent_at_ms")?;
    same_length(response.artist_shares.len(), response.artists.len(), "artist_shares")?;
    Ok(UserSummary {
        attributes: attributes_from_wire(response.attributes)?,
        plays: response.plays,
        recent: response
            .recent
            .into_iter()
            .map(ItemKey)
            .zip(response.recent_at_ms.into_iter().map(Timestamp))
            .collect(),
        artists: response.artists.into_iter().map(ItemKey).zip(response.artist_shares).collect(),
        last_event_at: response.last_event_at_ms.map(Timestamp),
    })
}
