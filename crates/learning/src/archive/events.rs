//! The table of events: its columns, and rows into and out of them. It must not know folders or streams.

use std::sync::Arc;

use parquet::{
    data_type::{ByteArrayType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
};
use shared_models::{
    EventId, ItemKey, Timestamp, UserKey,
    event::{Event, EventKind},
    item::Market,
};
use uuid::Uuid;

use super::{
    Error, Origin, Row, Span,
    cells::{Columns, Group, Names, micros, of_micros},
    schema::{Column, Kind, Table},
};
use crate::events::{self, Glance, hash, user_key};

/// Events, as clients sent them.
pub static EVENTS: Table = Table {
    name: "events",
    about: "One row for each event that the stream EVENTS took. `message_id` and `event_index` together name a row. \
            An event that its client sent twice has two rows with one `event_id`: count by `user_id` and `event_id`.",
    columns: &[
        Column::required(
            "sequence",
            Kind::Integer64,
            "the stream position of the message; 0 for imports beside the stream",
        ),
        Column::required("message_id", Kind::Text, "the id of the message's envelope"),
        Column::required("event_index", Kind::Integer32, "the event's place in the message, from 0"),
        Column::required("event_id", Kind::Text, "the client's id of the event, or one that the edge made"),
        Column::required("user_id", Kind::Text, "who"),
        Column::required("item_id", Kind::Text, "on what"),
        Column::required(
            "item_key",
            Kind::Integer64,
            "the 64-bit hash of `item_id` as a signed number; joins with `recommendations`",
        ),
        Column::required(
            "kind",
            Kind::Text,
            "what happened: `impression`, `play`, `complete`, `skip`, `like`, `unlike`, `save`, `follow`, `hide`, \
             `playlist_add`, `share`, or a kind of the tenant's own",
        ),
        Column::required("occurred_at", Kind::Moment, "when it happened, by the client's clock"),
        Column::required("received_at", Kind::Moment, "when the edge took it, by the edge's clock"),
        Column::optional("ms_played", Kind::Integer64, "for how long it played, in milliseconds; plays only"),
        Column::optional(
            "recommendation_id",
            Kind::Text,
            "the answer that showed the card, a UUID; joins with `recommendations`",
        ),
        Column::optional("shelf", Kind::Text, "the shelf the card stood on"),
        Column::optional("position", Kind::Integer32, "the card's place on that shelf, from 0"),
        Column::optional("session", Kind::Text, "the listener's session, as the client named it"),
        Column::optional("device", Kind::Text, "the kind of device, as the client named it"),
        Column::optional("market", Kind::Text, "where, ISO 3166-1 alpha-2"),
    ],
};

/// A row: an event and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// The message that carried it.
    pub origin: Origin,
    /// The event.
    pub event: Event,
}

impl Row for EventRow {
    const TABLE: &'static Table = &EVENTS;
    const MOMENT: &'static str = "occurred_at";

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn write(group: &mut Group<'_, '_>, rows: &[Self]) -> ParquetResult<()> {
        group.every::<Int64Type, _>(rows, |row| row.origin.sequence as i64)?;
        group.text(rows, |row| &row.origin.message)?;
        group.every::<Int32Type, _>(rows, |row| row.origin.index as i32)?;
        group.text(rows, |row| row.event.id.as_str())?;
        group.text(rows, |row| row.event.user.as_str())?;
        group.text(rows, |row| row.event.item.as_str())?;
        group.every::<Int64Type, _>(rows, |row| row.event.item_key().0 as i64)?;
        group.text(rows, |row| row.event.kind.as_str())?;
        group.every::<Int64Type, _>(rows, |row| micros(row.event.occurred_at))?;
        group.every::<Int64Type, _>(rows, |row| micros(row.event.received_at))?;
        group.some::<Int64Type, _>(rows, |row| row.event.ms_played.map(i64::from))?;
        let recommendations: Vec<Option<String>> =
            rows.iter().map(|row| row.event.recommendation.map(|id| id.to_string())).collect();
        group.some_text(&recommendations, |id| id.as_deref())?;
        group.some_text(rows, |row| row.event.shelf.as_deref())?;
        group.some::<Int32Type, _>(rows, |row| row.event.position.map(i32::from))?;
        group.some_text(rows, |row| row.event.session.as_deref())?;
        group.some_text(rows, |row| row.event.device.as_deref())?;
        group.some_text(rows, |row| row.event.market.as_ref().map(Market::as_str))
    }

    fn read(columns: &Columns<'_>, span: Span, names: &mut Names, rows: &mut Vec<Self>) -> Result<(), Error> {
        read_where(columns, &|_, moment| moment >= span.from && moment < span.to, names, rows)
    }
}

/// The rows of a group whose user and moment are wanted.
fn read_where(
    columns: &Columns<'_>,
    is_wanted: &dyn Fn(&[u8], Timestamp) -> bool,
    names: &mut Names,
    rows: &mut Vec<EventRow>,
) -> Result<(), Error> {
    let (user, occurred_at) = (columns.every::<ByteArrayType>("user_id")?, columns.integers("occurred_at")?);
    let is_wanted: Vec<bool> =
        user.iter().zip(&occurred_at).map(|(user, at)| is_wanted(user.data(), of_micros(*at))).collect();
    if !is_wanted.contains(&true) {
        return Ok(());
    }
    let origins = columns.origins("event_index", names)?;
    let (item, received_at) = (columns.every::<ByteArrayType>("item_id")?, columns.integers("received_at")?);
    let (ms_played, position) = (columns.some::<Int64Type>("ms_played")?, columns.some::<Int32Type>("position")?);
    let texts = columns.all_texts()?;
    for (at, origin) in origins.into_iter().enumerate().filter(|(at, _)| is_wanted[*at]) {
        let unusable = |column| columns.unusable(at, column);
        let maybe = |name| texts.of(name, at);
        let text = |name| maybe(name)?.ok_or_else(|| unusable(name));
        let event = Event {
            id: EventId::new(text("event_id")?).map_err(|_| unusable("event_id"))?,
            user: names.user(&user[at]).ok_or_else(|| unusable("user_id"))?,
            item: names.item(&item[at]).ok_or_else(|| unusable("item_id"))?,
            kind: EventKind::from(text("kind")?.as_str()),
            occurred_at: of_micros(occurred_at[at]),
            received_at: of_micros(received_at[at]),
            ms_played: ms_played[at].map(|ms| u32::try_from(ms).map_err(|_| unusable("ms_played"))).transpose()?,
            recommendation: maybe("recommendation_id")?
                .map(|id| Uuid::parse_str(&id).map_err(|_| unusable("recommendation_id")))
                .transpose()?,
            shelf: maybe("shelf")?,
            position: position[at].map(|place| u16::try_from(place).map_err(|_| unusable("position"))).transpose()?,
            session: maybe("session")?,
            device: maybe("device")?,
            market: maybe("market")?.map(|code| Market::parse(&code).ok_or_else(|| unusable("market"))).transpose()?,
        };
        rows.push(EventRow { origin, event });
    }
    Ok(())
}

/// The rows of a group that are of wanted listeners.
pub(super) fn rows_of_listeners(
    columns: &Columns<'_>,
    holds: &dyn Fn(UserKey) -> bool,
    names: &mut Names,
    rows: &mut Vec<EventRow>,
) -> Result<(), Error> {
    read_where(columns, &|user, _| holds(user_key(user)), names, rows)
}

/// What training needs of every event of a group.
pub(super) fn glances(columns: &Columns<'_>) -> Result<Vec<Glance>, Error> {
    let (id, user) = (columns.every::<ByteArrayType>("event_id")?, columns.every::<ByteArrayType>("user_id")?);
    let (item, kind) = (columns.integers("item_key")?, columns.every::<ByteArrayType>("kind")?);
    let (occurred_at, received_at) = (columns.integers("occurred_at")?, columns.integers("received_at")?);
    let market = columns.some::<ByteArrayType>("market")?;
    let answer = columns.some::<ByteArrayType>("recommendation_id")?;
    let of = |at: usize| {
        let market = match &market[at] {
            None => Market::UNKNOWN,
            Some(code) => code.as_utf8().ok().and_then(Market::parse).ok_or_else(|| columns.unusable(at, "market"))?,
        };
        Ok(Glance {
            at: of_micros(occurred_at[at].min(received_at[at])),
            id: hash(id[at].data()),
            user: user_key(user[at].data()),
            item: ItemKey(item[at] as u64),
            kind: events::Kind::named(kind[at].data()),
            market,
            answered: answer[at].is_some(),
        })
    };
    (0..id.len()).map(of).collect()
}

/// The rows of a message of events.
pub(super) fn rows_of(sequence: u64, id: &str, events: Vec<Event>) -> Vec<EventRow> {
    let message: Arc<str> = Arc::from(id);
    (0..)
        .zip(events)
        .map(|(index, event)| EventRow { origin: Origin { sequence, message: Arc::clone(&message), index }, event })
        .collect()
}
