//! ranking's question and answer, rank plans and slates.

use shared_models::{
    ItemKey,
    candidates::CandidateTable,
    component::Action,
    explore::{Explore, NewItems},
    plan::{Objective, Pin, RankQuery, ShelfRankPlan, SlatePlan},
    slate::{RankedCard, RankedPage, Reason, Slate},
};

use super::{
    Malformed, Result, duration_from_wire, duration_to_wire, each, explain, name, narrow,
    page::{
        context_from_wire, context_to_wire, degraded_from_wire, degraded_to_wire, ends, keys_from_wire, keys_to_wire,
        listener_from_wire, listener_to_wire, release_from_wire, rows_below, table_from_wire, table_to_wire,
    },
    required, same_length,
};
use crate::{
    convert::names::Name,
    generated::ranking::v1::{self as wire, slate_plan::Draw},
};

const ACTIONS: usize = Action::ALL.len();

pub(crate) fn query_to_wire(query: RankQuery) -> wire::RankRequest {
    wire::RankRequest {
        tenant: query.tenant.as_str().to_owned(),
        context: Some(context_to_wire(query.context)),
        seed_items: keys_to_wire(query.seed_items),
        listener: Some(listener_to_wire(query.listener)),
        table: Some(table_to_wire(query.table)),
        shelves: query.shelves.into_iter().map(plan_to_wire).collect(),
        order: query.order.to_wire(),
        whole: query.whole,
        release: query.release.map(|release| release.as_str().to_owned()),
    }
}

pub(crate) fn query_from_wire(request: wire::RankRequest) -> Result<RankQuery> {
    let table = table_from_wire(request.table)?;
    Ok(RankQuery {
        tenant: name(&request.tenant, "tenant")?,
        context: context_from_wire(request.context)?,
        seed_items: keys_from_wire(request.seed_items),
        listener: listener_from_wire(request.listener)?,
        shelves: each(request.shelves, "shelves", |shelf| plan_from_wire(shelf, &table))?,
        table,
        order: Name::from_wire(request.order, "order")?,
        whole: request.whole,
        release: release_from_wire(request.release.as_deref(), "release")?,
    })
}

pub(crate) fn page_to_wire(page: RankedPage) -> wire::RankResponse {
    wire::RankResponse {
        slates: page.slates.iter().map(slate_to_wire).collect(),
        release: page.release.map(|release| release.as_str().to_owned()),
        degraded: degraded_to_wire(page.degraded),
        detail: page.detail.map(explain::detail_to_wire),
    }
}

/// The page of a table of `rows` rows.
pub(crate) fn page_from_wire(response: wire::RankResponse, rows: usize) -> Result<RankedPage> {
    Ok(RankedPage {
        slates: each(response.slates, "slates", |slate| slate_from_wire(slate, rows))?,
        release: release_from_wire(response.release.as_deref(), "release")?,
        degraded: degraded_from_wire(response.degraded)?,
        detail: response
            .detail
            .map(|detail| explain::detail_from_wire(detail, rows).map_err(|error| error.inside("detail")))
            .transpose()?,
    })
}

pub(crate) fn plan_to_wire(plan: ShelfRankPlan) -> wire::ShelfRankPlan {
    let pin = |pin: &Pin| wire::Pin { item: pin.item.0, position: pin.position.into() };
    wire::ShelfRankPlan {
        shelf: plan.shelf.as_str().to_owned(),
        rows: plan.rows,
        sources: plan.sources.iter().map(|source| u32::from(*source)).collect(),
        objective: Some(wire::Objective {
            play: plan.objective.play,
            complete: plan.objective.complete,
            like: plan.objective.like,
            skip: plan.objective.skip,
        }),
        slate: Some(wire::SlatePlan {
            size: plan.slate.size.into(),
            max_per_artist: plan.slate.max_per_artist.into(),
            diversity: plan.slate.diversity,
            explore: match plan.slate.explore {
                Explore::Epsilon { share } => share,
                Explore::None | Explore::Softmax { .. } | Explore::Thompson { .. } => 0.0,
            },
            pins: plan.slate.pins.iter().map(pin).collect(),
            new_items: plan.slate.new_items.map(|rule| wire::NewItems {
                slots: rule.slots.into(),
                from: rule.from.into(),
                share: rule.share,
                younger: Some(duration_to_wire(rule.younger)),
                shown_below: rule.shown_below,
                hourly: rule.hourly,
            }),
            draw: match plan.slate.explore {
                Explore::None | Explore::Epsilon { .. } => None,
                Explore::Softmax { temperature } => Some(Draw::Softmax(wire::Softmax { temperature })),
                Explore::Thompson { prior, spread } => Some(Draw::Thompson(wire::Thompson { prior, spread })),
            },
        }),
        pinned_slot: plan.pinned_slot.map(u32::from),
    }
}

pub(crate) fn plan_from_wire(plan: wire::ShelfRankPlan, table: &CandidateTable) -> Result<ShelfRankPlan> {
    rows_below(&plan.rows, table, "rows")?;
    let known = table.sources.len();
    let source = |source: &u32| match u16::try_from(*source) {
        Ok(index) if usize::from(index) < known => Ok(index),
        _ => Err(Malformed::new("sources", format_args!("{source} is none of the table's {known} sources"))),
    };
    let objective = required(plan.objective, "objective")?;
    let slate = required(plan.slate, "slate")?;
    Ok(ShelfRankPlan {
        shelf: name(&plan.shelf, "shelf")?,
        sources: plan.sources.iter().map(source).collect::<Result<_>>()?,
        rows: plan.rows,
        objective: Objective {
            play: objective.play,
            complete: objective.complete,
            like: objective.like,
            skip: objective.skip,
        },
        slate: SlatePlan {
            size: narrow(slate.size, "slate.size")?,
            max_per_artist: narrow(slate.max_per_artist, "slate.max_per_artist")?,
            diversity: slate.diversity,
            explore: match slate.draw {
                Some(Draw::Softmax(wire::Softmax { temperature })) => Explore::Softmax { temperature },
                Some(Draw::Thompson(wire::Thompson { prior, spread })) => Explore::Thompson { prior, spread },
                None if slate.explore == 0.0 => Explore::None,
                None => Explore::Epsilon { share: slate.explore },
            },
            new_items: slate.new_items.map(new_items_from_wire).transpose()?,
            pins: each(slate.pins, "slate.pins", |pin| {
                Ok(Pin { item: ItemKey(pin.item), position: narrow(pin.position, "position")? })
            })?,
        },
        pinned_slot: plan.pinned_slot.map(|slot| narrow(slot, "pinned_slot")).transpose()?,
    })
}

fn new_items_from_wire(rule: wire::NewItems) -> Result<NewItems> {
    Ok(NewItems {
        slots: narrow(rule.slots, "new_items.slots")?,
        from: narrow(rule.from, "new_items.from")?,
        share: rule.share,
        younger: duration_from_wire(required(rule.younger, "new_items.younger")?, "new_items.younger")?,
        shown_below: rule.shown_below,
        hourly: rule.hourly,
    })
}

pub(crate) fn slate_to_wire(slate: &Slate) -> wire::Slate {
    let cards = slate.cards.len();
    let mut to = wire::Slate {
        shelf: slate.shelf.as_str().to_owned(),
        score: slate.score,
        rows: Vec::with_capacity(cards),
        scores: Vec::with_capacity(cards),
        propensities: Vec::with_capacity(cards),
        actions: Action::ALL.iter().map(|action| action.to_wire()).collect(),
        predictions: Vec::with_capacity(cards * ACTIONS),
        explored: Vec::with_capacity(cards),
        reasons: Vec::with_capacity(cards),
        reason_evidence_counts: Vec::with_capacity(cards),
        reason_evidence: Vec::with_capacity(cards),
        reserve: slate.reserve,
        unscored: slate.unscored,
        propensity_errors: Vec::new(),
    };
    if slate.cards.iter().any(|card| card.propensity_error != 0.0) {
        to.propensity_errors.extend(slate.cards.iter().map(|card| card.propensity_error));
    }
    for card in &slate.cards {
        to.rows.push(card.row);
        to.scores.push(card.score);
        to.propensities.push(card.propensity);
        to.predictions.extend_from_slice(&card.predictions);
        to.explored.push(card.explored);
        to.reasons.push(card.reason.code.to_wire());
        to.reason_evidence_counts.push(u32::try_from(card.reason.evidence.len()).unwrap_or(u32::MAX));
        to.reason_evidence.extend(card.reason.evidence.iter().map(|key| key.0));
    }
    to
}

/// The slate of a table of `rows` rows.
pub(crate) fn slate_from_wire(slate: wire::Slate, rows: usize) -> Result<Slate> {
    let count = slate.rows.len();
    same_length(slate.scores.len(), count, "scores")?;
    same_length(slate.propensities.len(), count, "propensities")?;
    same_length(slate.explored.len(), count, "explored")?;
    same_length(slate.reasons.len(), count, "reasons")?;
    same_length(slate.reason_evidence_counts.len(), count, "reason_evidence_counts")?;
    if !slate.propensity_errors.is_empty() {
        same_length(slate.propensity_errors.len(), count, "propensity_errors")?;
    }
    let mut errors = slate.propensity_errors.iter();
    let stride = slate.actions.len();
    same_length(slate.predictions.len(), count * stride, "predictions")?;
    let ends = ends(slate.reason_evidence_counts, "reason_evidence_counts")?;
    same_length(slate.reason_evidence.len(), ends.last().map_or(0, |end| *end as usize), "reason_evidence")?;
    // An action that this reader does not know is skipped, one that the sender does not know reads as 0.
    let places: Vec<Option<usize>> = slate
        .actions
        .iter()
        .map(|action| Action::from_wire(*action, "actions").ok().map(|action| action as usize))
        .collect();

    let mut cards = Vec::with_capacity(count);
    let mut predicted = slate.predictions.chunks_exact(stride.max(1));
    let mut start = 0;
    let columns = slate.scores.iter().zip(&slate.propensities).zip(&slate.explored).zip(&slate.reasons).zip(&ends);
    for (row, ((((score, propensity), explored), reason), end)) in slate.rows.iter().zip(columns) {
        if *row as usize >= rows {
            return Err(Malformed::new("rows", format_args!("{row} is no row of a table of {rows}")));
        }
        if !score.is_finite() {
            return Err(Malformed::new("scores", format_args!("{score} is not finite")));
        }
        let mut predictions = [0.0; ACTIONS];
        for (place, value) in places.iter().zip(predicted.next().unwrap_or(&[])) {
            if let Some(slot) = place.and_then(|place| predictions.get_mut(place)) {
                *slot = *value;
            }
        }
        let evidence = slate.reason_evidence.get(start..*end as usize).unwrap_or(&[]);
        start = *end as usize;
        cards.push(RankedCard {
            row: *row,
            score: *score,
            propensity: *propensity,
            propensity_error: errors.next().copied().unwrap_or(0.0),
            predictions,
            explored: *explored,
            reason: Reason {
                code: Name::from_wire(*reason, "reasons")?,
                evidence: evidence.iter().map(|key| ItemKey(*key)).collect(),
            },
        });
    }
    Ok(Slate {
        shelf: name(&slate.shelf, "shelf")?,
        score: slate.score,
        cards,
        reserve: slate.reserve,
        unscored: slate.unscored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::common::v1 as common;

    fn sound() -> wire::Slate {
        wire::Slate {
            shelf: "made-for-you".to_owned(),
            score: 1.0,
            rows: vec![2, 0],
            scores: vec![0.5, 0.25],
            propensities: vec![1.0, 0.5],
            actions: vec![common::Action::Like.into(), 99, common::Action::Play.into()],
            predictions: vec![0.1, 9.0, 0.2, 0.3, 9.0, 0.4],
            explored: vec![false, true],
            reasons: vec![common::ReasonCode::Trending.into(), common::ReasonCode::SimilarTo.into()],
            reason_evidence_counts: vec![0, 2],
            reason_evidence: vec![5, 6],
            reserve: 1,
            unscored: 0,
            propensity_errors: Vec::new(),
        }
    }

    #[test]
    fn actions_are_read_by_name_and_unknown_ones_skipped() {
        let slate = slate_from_wire(sound(), 3).unwrap();
        assert_eq!(slate.cards[0].predictions, [0.2, 0.0, 0.1, 0.0]);
        assert_eq!(slate.cards[1].predictions, [0.4, 0.0, 0.3, 0.0]);
        assert_eq!(slate.cards[1].reason.evidence.as_slice(), &[ItemKey(5), ItemKey(6)]);
    }

    #[test]
    fn a_slate_that_contradicts_itself_is_refused() {
        let check = |expected: &str, spoil: &dyn Fn(&mut wire::Slate)| {
            let mut slate = sound();
            spoil(&mut slate);
            assert_eq!(slate_from_wire(slate, 3).unwrap_err().to_string(), expected);
        };
        check("rows: 3 is no row of a table of 3", &|slate| slate.rows[0] = 3);
        check("scores: has 1 values where 2 belong", &|slate| slate.scores.truncate(1));
        check("scores: inf is not finite", &|slate| slate.scores[0] = f32::INFINITY);
        check("propensity_errors: has 1 values where 2 belong", &|slate| slate.propensity_errors.push(0.1));
        check("propensities: has 1 values where 2 belong", &|slate| slate.propensities.truncate(1));
        check("predictions: has 5 values where 6 belong", &|slate| slate.predictions.truncate(5));
        check("explored: has 1 values where 2 belong", &|slate| slate.explored.truncate(1));
        check("reasons: has 1 values where 2 belong", &|slate| slate.reasons.truncate(1));
        check("reasons: is unspecified", &|slate| slate.reasons[0] = 0);
        check("reason_evidence_counts: has 1 values where 2 belong", &|slate| slate.reason_evidence_counts.truncate(1));
        check("reason_evidence: has 2 values where 3 belong", &|slate| slate.reason_evidence_counts[0] = 1);
        check("shelf: shelf is empty; give 1 to 128 visible characters", &|slate| slate.shelf.clear());
    }
}
