//! The table of recommendations: a decision record as one row for each card that was shown. It must not know folders or
//! streams.

use std::sync::Arc;

use contracts::RecommendationRecord;
use parquet::{
    data_type::{BoolType, FloatType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
};
use shared_models::{
    ItemKey, ReleaseId, Timestamp, candidates::CandidateTable, component::Action, item::Market, slate::RankedCard,
};

use super::{
    Error, Origin, Row, Span,
    cells::{Columns, Group, Names, micros, of_micros},
    schema::{Column, Kind, Table},
};

/// What was answered to listeners.
pub static RECOMMENDATIONS: Table = Table {
    name: "recommendations",
    about: "One row for each card of each answer that the stream RECOMMENDATIONS took; an answer without a card has \
            one row whose card columns are empty. `message_id` and `card_index` together name a row. Recording \
            follows the answer and may be dropped under load (`setlist_edge_records_total`): this is a sample of \
            answers, and a full one while nothing is dropped.",
    columns: &[
        Column::required("sequence", Kind::Integer64, "the stream position of the message"),
        Column::required("message_id", Kind::Text, "the id of the message's envelope"),
        Column::required(
            "card_index",
            Kind::Integer32,
            "the card's place in the answer, from 0: shelf by shelf, as a page shows them",
        ),
        Column::required("recommendation_id", Kind::Text, "the answer, a UUID; joins with `events`"),
        Column::required("requested_at", Kind::Moment, "when it was asked for, by the edge's clock"),
        Column::optional("user_id", Kind::Text, "who; empty for somebody unknown"),
        Column::required("surface", Kind::Text, "the surface that was asked for"),
        Column::required("surface_version", Kind::Text, "the version of the surface that answered"),
        Column::required("variants", Kind::Text, "the experiments' variants, `experiment=variant` joined with commas"),
        Column::optional("market", Kind::Text, "where, ISO 3166-1 alpha-2"),
        Column::optional("device", Kind::Text, "the kind of device, as the client named it"),
        Column::optional("session", Kind::Text, "the listener's session, as the client named it"),
        Column::optional("candidates_release", Kind::Text, "the release that candidate generation served from"),
        Column::optional("ranking_release", Kind::Text, "the release that ranking scored with"),
        Column::required(
            "degraded",
            Kind::Text,
            "how far down the brown-out ladder the answer stood: `none`, `partial`, `source_order`, `last_good`, \
             `popular`, `empty`",
        ),
        Column::required("degraded_stages", Kind::Text, "what was missing, `stage:cause` joined with commas"),
        Column::required("elapsed_us", Kind::Integer64, "how long the edge took, in microseconds"),
        Column::optional("trace_id", Kind::Text, "the trace of the request, when it was traced"),
        Column::optional("shelf", Kind::Text, "the shelf the card stood on"),
        Column::optional("shelf_position", Kind::Integer32, "the shelf's place on the page, from 0"),
        Column::optional("position", Kind::Integer32, "the card's place on its shelf, from 0"),
        Column::optional(
            "item_key",
            Kind::Integer64,
            "the item, as the 64-bit hash of its id; joins with `events` and `items`",
        ),
        Column::optional("artist_key", Kind::Integer64, "its artist, in the same way; empty when it has none"),
        Column::optional("score", Kind::Real32, "the blended score by the shelf's objective"),
        Column::optional(
            "propensity",
            Kind::Real32,
            "the probability, above 0 and at most 1, with which the policy put this card at this place given those \
             before it",
        ),
        Column::optional("explored", Kind::Flag, "whether a random draw chose it"),
        Column::optional("p_play", Kind::Real32, "the predicted probability that it is played"),
        Column::optional("p_complete", Kind::Real32, "that it is played to the end"),
        Column::optional("p_like", Kind::Real32, "that it is liked"),
        Column::optional("p_skip", Kind::Real32, "that it is skipped"),
        Column::optional("reason", Kind::Text, "the code of the reason shown with it"),
        Column::optional("source", Kind::Text, "the source that ranked it highest"),
        Column::optional("source_rank", Kind::Integer32, "its place in that source's list, from 0"),
        Column::optional("source_score", Kind::Real32, "that source's own score; scales differ between sources"),
        Column::optional("sources", Kind::Text, "all sources that named it, in plan order, joined with commas"),
        Column::optional("shelf_score", Kind::Real32, "what the shelf was worth to the listener"),
    ],
};

/// A row: an answer, one of its cards, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRow {
    /// The message that carried the record.
    pub origin: Origin,
    /// The answer, shared by its cards.
    pub answer: Arc<Answer>,
    /// The card; `None` when the answer had none.
    pub card: Option<Card>,
}

/// What the cards of an answer have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The answer.
    pub recommendation: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Who.
    pub user: Option<String>,
    /// The surface.
    pub surface: String,
    /// Its version.
    pub surface_version: String,
    /// The experiments' variants.
    pub variants: String,
    /// Where.
    pub market: Option<String>,
    /// On what.
    pub device: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The release that gave candidates.
    pub candidates_release: Option<String>,
    /// The release that scored.
    pub ranking_release: Option<String>,
    /// The rung of the brown-out ladder.
    pub degraded: String,
    /// What was missing.
    pub degraded_stages: String,
    /// How long the edge took.
    pub elapsed_us: i64,
    /// The trace.
    pub trace_id: Option<String>,
}

/// A card as it was shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// The shelf.
    pub shelf: String,
    /// The shelf's place on the page.
    pub shelf_position: u32,
    /// The card's place on the shelf.
    pub position: u32,
    /// The item.
    pub item: ItemKey,
    /// Its artist, or [`ItemKey::NONE`].
    pub artist: ItemKey,
    /// The blended score.
    pub score: f32,
    /// The policy's probability.
    pub propensity: f32,
    /// Whether a draw chose it.
    pub explored: bool,
    /// Probabilities in the order of [`Action::ALL`].
    pub predictions: [f32; 4],
    /// The reason's code.
    pub reason: String,
    /// The source that ranked it highest, with rank and score.
    pub source: Option<(String, u32, f32)>,
    /// All sources that named it.
    pub sources: String,
    /// What the shelf was worth.
    pub shelf_score: f32,
}

/// The rows of a message with a record.
pub(super) fn rows_of(sequence: u64, id: &str, record: &RecommendationRecord) -> Vec<ShownRow> {
    let message: Arc<str> = Arc::from(id);
    let answer = Arc::new(Answer::of(record));
    let cards = record.slates.iter().enumerate().flat_map(|(shelf_position, slate)| {
        slate.cards.iter().enumerate().map(move |(position, card)| Card {
            shelf: slate.shelf.to_string(),
            shelf_position: shelf_position as u32,
            position: position as u32,
            shelf_score: slate.score,
            ..Card::of(card, &record.table)
        })
    });
    let mut cards: Vec<Option<Card>> = cards.map(Some).collect();
    if cards.is_empty() {
        cards.push(None);
    }
    (0..)
        .zip(cards)
        .map(|(index, card)| ShownRow {
            origin: Origin { sequence, message: Arc::clone(&message), index },
            answer: Arc::clone(&answer),
            card,
        })
        .collect()
}

impl Answer {
    fn of(record: &RecommendationRecord) -> Self {
        let release = |id: &Option<ReleaseId>| id.as_ref().map(|id| id.as_str().to_owned());
        let variants: Vec<String> =
            record.variants.iter().map(|variant| format!("{}={}", variant.experiment, variant.variant)).collect();
        let stages: Vec<String> =
            record.degraded.iter().map(|stage| format!("{}:{}", stage.stage, stage.cause.as_str())).collect();
        let context = &record.context;
        Self {
            recommendation: record.id.to_string(),
            requested_at: context.now,
            user: record.user.as_ref().map(ToString::to_string),
            surface: record.surface.to_string(),
            surface_version: record.surface_version.clone(),
            variants: variants.join(","),
            market: (context.market != Market::UNKNOWN).then(|| context.market.to_string()),
            device: (!context.device.is_empty()).then(|| context.device.clone()),
            session: context.session.clone(),
            candidates_release: release(&record.candidates_release),
            ranking_release: release(&record.ranking_release),
            degraded: record.level.as_str().to_owned(),
            degraded_stages: stages.join(","),
            elapsed_us: i64::try_from(record.elapsed.as_micros()).unwrap_or(i64::MAX),
            trace_id: record.trace_id.clone(),
        }
    }
}

/// Which sources named a row of a record's table.
pub(super) struct Named {
    /// The source that ranked it highest, its rank and its score there.
    pub(super) best: Option<(&'static str, u32, f32)>,
    /// All of them, in plan order, joined with commas.
    pub(super) sources: String,
}

impl Named {
    pub(super) fn of(row: usize, table: &CandidateTable) -> Self {
        let evidence = table.evidence_of(row);
        let name = |source| source_name(source, table);
        let best = evidence.iter().min_by_key(|evidence| evidence.rank);
        let sources: Vec<&str> = evidence.iter().map(|evidence| name(evidence.source)).collect();
        Self { best: best.map(|best| (name(best.source), best.rank, best.score)), sources: sources.join(",") }
    }
}

/// The name of a source by its place in a record's table; empty where the table has no such source.
pub(super) fn source_name(source: u16, table: &CandidateTable) -> &'static str {
    table.sources.get(usize::from(source)).map_or("", |source| source.as_str())
}

impl Card {
    fn of(card: &RankedCard, table: &CandidateTable) -> Self {
        let row = card.row as usize;
        let Named { best, sources } = Named::of(row, table);
        Self {
            item: table.items.get(row).copied().unwrap_or_default(),
            artist: table.artists.get(row).copied().unwrap_or_default(),
            score: card.score,
            propensity: card.propensity,
            explored: card.explored,
            predictions: card.predictions,
            reason: card.reason.code.as_str().to_owned(),
            source: best.map(|(source, rank, score)| (source.to_owned(), rank, score)),
            sources,
            ..Self::default()
        }
    }
}

impl Row for ShownRow {
    const TABLE: &'static Table = &RECOMMENDATIONS;
    const MOMENT: &'static str = "requested_at";

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn write(group: &mut Group<'_, '_>, rows: &[Self]) -> ParquetResult<()> {
        group.every::<Int64Type, _>(rows, |row| row.origin.sequence as i64)?;
        group.text(rows, |row| &row.origin.message)?;
        group.every::<Int32Type, _>(rows, |row| row.origin.index as i32)?;
        group.text(rows, |row| &row.answer.recommendation)?;
        group.every::<Int64Type, _>(rows, |row| micros(row.answer.requested_at))?;
        group.some_text(rows, |row| row.answer.user.as_deref())?;
        group.text(rows, |row| &row.answer.surface)?;
        group.text(rows, |row| &row.answer.surface_version)?;
        group.text(rows, |row| &row.answer.variants)?;
        group.some_text(rows, |row| row.answer.market.as_deref())?;
        group.some_text(rows, |row| row.answer.device.as_deref())?;
        group.some_text(rows, |row| row.answer.session.as_deref())?;
        group.some_text(rows, |row| row.answer.candidates_release.as_deref())?;
        group.some_text(rows, |row| row.answer.ranking_release.as_deref())?;
        group.text(rows, |row| &row.answer.degraded)?;
        group.text(rows, |row| &row.answer.degraded_stages)?;
        group.every::<Int64Type, _>(rows, |row| row.answer.elapsed_us)?;
        group.some_text(rows, |row| row.answer.trace_id.as_deref())?;
        // Without a card, the rest is empty.
        let key = |row: &Self, of: fn(&Card) -> ItemKey| {
            row.card.as_ref().map(of).filter(|key| key.is_some()).map(|key| key.0 as i64)
        };
        let real = |row: &Self, of: fn(&Card) -> f32| row.card.as_ref().map(of);
        group.some_text(rows, |row| row.card.as_ref().map(|card| card.shelf.as_str()))?;
        group.some::<Int32Type, _>(rows, |row| row.card.as_ref().map(|card| card.shelf_position as i32))?;
        group.some::<Int32Type, _>(rows, |row| row.card.as_ref().map(|card| card.position as i32))?;
        group.some::<Int64Type, _>(rows, |row| key(row, |card| card.item))?;
        group.some::<Int64Type, _>(rows, |row| key(row, |card| card.artist))?;
        group.some::<FloatType, _>(rows, |row| real(row, |card| card.score))?;
        group.some::<FloatType, _>(rows, |row| real(row, |card| card.propensity))?;
        group.some::<BoolType, _>(rows, |row| row.card.as_ref().map(|card| card.explored))?;
        for action in Action::ALL {
            let at = *action as usize;
            group.some::<FloatType, _>(rows, |row| {
                row.card.as_ref().and_then(|card| card.predictions.get(at).copied())
            })?;
        }
        group.some_text(rows, |row| row.card.as_ref().map(|card| card.reason.as_str()))?;
        group.some_text(rows, |row| row.card.as_ref()?.source.as_ref().map(|source| source.0.as_str()))?;
        group.some::<Int32Type, _>(rows, |row| row.card.as_ref()?.source.as_ref().map(|source| source.1 as i32))?;
        group.some::<FloatType, _>(rows, |row| row.card.as_ref()?.source.as_ref().map(|source| source.2))?;
        group.some_text(rows, |row| row.card.as_ref().map(|card| card.sources.as_str()))?;
        group.some::<FloatType, _>(rows, |row| real(row, |card| card.shelf_score))
    }

    fn read(columns: &Columns<'_>, span: Span, names: &mut Names, rows: &mut Vec<Self>) -> Result<(), Error> {
        let origins = columns.origins("card_index", names)?;
        let (requested_at, elapsed) = (columns.integers("requested_at")?, columns.integers("elapsed_us")?);
        let texts = columns.all_texts()?;
        let whole = |name| columns.some::<Int32Type>(name);
        let real = |name| columns.some::<FloatType>(name);
        let (shelf_position, position, source_rank) =
            (whole("shelf_position")?, whole("position")?, whole("source_rank")?);
        let (item, artist) = (columns.some::<Int64Type>("item_key")?, columns.some::<Int64Type>("artist_key")?);
        let (score, propensity) = (real("score")?, real("propensity")?);
        let predictions = [real("p_play")?, real("p_complete")?, real("p_like")?, real("p_skip")?];
        let (source_score, shelf_score) = (real("source_score")?, real("shelf_score")?);
        let explored = columns.some::<BoolType>("explored")?;
        for (at, origin) in origins.into_iter().enumerate() {
            let moment = of_micros(requested_at[at]);
            if moment < span.from || moment >= span.to {
                continue;
            }
            let maybe = |name| texts.of(name, at);
            let text = |name| maybe(name)?.ok_or_else(|| columns.unusable(at, name));
            let count = |of: &[Option<i32>], name| {
                of[at].map(|value| u32::try_from(value).map_err(|_| columns.unusable(at, name))).transpose()
            };
            let key = |of: &[Option<i64>]| of[at].map_or(ItemKey::NONE, |bits| ItemKey(bits as u64));
            let real = |of: &[Option<f32>]| of[at].unwrap_or_default();
            let answer = Answer {
                recommendation: text("recommendation_id")?,
                requested_at: moment,
                user: maybe("user_id")?,
                surface: text("surface")?,
                surface_version: text("surface_version")?,
                variants: text("variants")?,
                market: maybe("market")?,
                device: maybe("device")?,
                session: maybe("session")?,
                candidates_release: maybe("candidates_release")?,
                ranking_release: maybe("ranking_release")?,
                degraded: text("degraded")?,
                degraded_stages: text("degraded_stages")?,
                elapsed_us: elapsed[at],
                trace_id: maybe("trace_id")?,
            };
            let card = match maybe("shelf")? {
                Some(shelf) => Some(Card {
                    shelf,
                    shelf_position: count(&shelf_position, "shelf_position")?.unwrap_or_default(),
                    position: count(&position, "position")?.unwrap_or_default(),
                    item: key(&item),
                    artist: key(&artist),
                    score: real(&score),
                    propensity: real(&propensity),
                    explored: explored[at].unwrap_or_default(),
                    predictions: predictions.each_ref().map(|column| real(column)),
                    reason: maybe("reason")?.unwrap_or_default(),
                    source: maybe("source")?
                        .zip(count(&source_rank, "source_rank")?)
                        .map(|(name, rank)| (name, rank, real(&source_score))),
                    sources: maybe("sources")?.unwrap_or_default(),
                    shelf_score: real(&shelf_score),
                }),
                None => None,
            };
            // The cards of an answer follow each other: they share what they have in common.
            let answer = match rows.last() {
                Some(last) if *last.answer == answer => Arc::clone(&last.answer),
                _ => Arc::new(answer),
            };
            rows.push(Self { origin, answer, card });
        }
        Ok(())
    }
}
