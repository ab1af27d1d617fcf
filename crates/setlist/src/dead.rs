//! `setlist dead`: what no consumer could take, in an operator's hands.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use comfy_table::{Table, presets};
use event_bus::{
    Browse, StreamName,
    dead::{self, Letter, Wanted},
};
use serde_json::{Value, json};

use crate::{
    cli::{Chosen, Dead, DeadAction, Which},
    streams::{age, with_bus},
};

/// Does what is asked.
#[must_use]
pub fn run(args: &Dead) -> ExitCode {
    match &args.action {
        DeadAction::List { which, limit, bus } => with_bus(bus, async |open| {
            let letters = dead::list(open.as_ref(), &wanted(which)?, *limit).await?;
            Ok(if bus.json {
                Value::from(letters.iter().map(summary).collect::<Vec<_>>()).to_string()
            } else {
                table(&letters)
            })
        }),
        DeadAction::Show { id, bus } => with_bus(bus, async |open| {
            let letter = dead::find(open.as_ref(), *id).await?.with_context(|| format!("there is no letter {id}"))?;
            let document = document(&letter);
            Ok(if bus.json { document.to_string() } else { serde_json::to_string_pretty(&document)? })
        }),
        DeadAction::Redrive { chosen, bus } => {
            with_bus(bus, async |open| settle(open.as_ref(), chosen, bus.json, Fate::SentAgain).await)
        }
        DeadAction::Drop { chosen, bus } => {
            with_bus(bus, async |open| settle(open.as_ref(), chosen, bus.json, Fate::Dropped).await)
        }
    }
}

/// What becomes of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    SentAgain,
    Dropped,
}

fn wanted(which: &Which) -> anyhow::Result<Wanted> {
    let stream = which
        .stream
        .as_ref()
        .map(|name| {
            let all = StreamName::ALL.map(StreamName::as_str).join(", ");
            StreamName::of_name(name).with_context(|| format!("{name:?} is no stream; streams are {all}"))
        })
        .transpose()?;
    Ok(Wanted { stream, consumer: which.consumer.clone(), tenant: which.tenant.clone() })
}

/// Deals with the chosen letters one by one; what was done stays done when a later one fails.
async fn settle(bus: &dyn Browse, chosen: &Chosen, as_json: bool, fate: Fate) -> anyhow::Result<String> {
    let letters = if chosen.all {
        dead::list(bus, &wanted(&chosen.which)?, usize::MAX).await?
    } else {
        let mut letters = Vec::with_capacity(chosen.ids.len());
        for id in &chosen.ids {
            letters.push(dead::find(bus, *id).await?.with_context(|| format!("there is no letter {id}"))?);
        }
        letters
    };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for letter in &letters {
        let outcome = match (fate, chosen.dry_run) {
            (Fate::SentAgain, true) => letter.message().map(|_| ()),
            (Fate::SentAgain, false) => dead::redrive(bus, letter).await.map(|_| ()),
            (Fate::Dropped, true) => Ok(()),
            (Fate::Dropped, false) => bus.delete(StreamName::Dead, letter.id).await.map(|_| ()),
        };
        match outcome {
            Ok(()) => done.push(letter.id),
            Err(error) => failed.push((letter.id, error.to_string())),
        }
    }
    let verb = match (fate, chosen.dry_run) {
        (Fate::SentAgain, false) => "sent again",
        (Fate::SentAgain, true) => "would be sent again",
        (Fate::Dropped, false) => "dropped",
        (Fate::Dropped, true) => "would be dropped",
    };
    let mut text = if as_json {
        let failed: Vec<Value> = failed.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
        json!({ "what": verb, "dry_run": chosen.dry_run, "ids": done, "failed": failed }).to_string()
    } else {
        format!("{} of {} letters {verb}", done.len(), letters.len())
    };
    if failed.is_empty() {
        return Ok(text);
    }
    for (id, why) in &failed {
        let _ = write!(text, "\n  letter {id} stays: {why}");
    }
    anyhow::bail!("{text}")
}

fn table(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["id", "age", "stream", "consumer", "tenant", "message", "deliveries", "reason"]);
    for letter in letters {
        table.add_row([
            letter.id.to_string(),
            age(letter.at),
            letter.letter.stream.clone(),
            letter.letter.consumer.clone(),
            letter.tenant().unwrap_or_else(|| "-".to_owned()),
            letter.letter.sequence.to_string(),
            letter.letter.deliveries.to_string(),
            letter.letter.reason.clone(),
        ]);
    }
    table.to_string()
}

fn summary(letter: &Letter) -> Value {
    json!({
        "id": letter.id, "at_ms": letter.at.0, "stream": letter.letter.stream, "consumer": letter.letter.consumer,
        "tenant": letter.tenant(), "sequence": letter.letter.sequence, "subject": letter.letter.subject,
        "deliveries": letter.letter.deliveries, "reason": letter.letter.reason,
    })
}

fn document(letter: &Letter) -> Value {
    let mut document = summary(letter);
    let message = match letter.message() {
        Ok(envelope) => {
            let content = match contracts::events::decode(&envelope.kind, envelope.version, &envelope.payload) {
                Ok((_, events)) => json!({ "events": events }),
                Err(error) => json!({ "unreadable": service_runtime::tasks::chain(&error) }),
            };
            json!({
                "id": envelope.id, "kind": envelope.kind, "version": envelope.version,
                "occurred_at_ms": envelope.occurred_at.0, "bytes": envelope.payload.len(), "content": content,
            })
        }
        Err(error) => json!({ "unreadable": error.to_string(), "bytes": letter.letter.message.len() }),
    };
    if let Some(fields) = document.as_object_mut() {
        fields.insert("message".to_owned(), message);
    }
    document
}
