//! `setlist explain`: why an answer of a running platform is as it is, drawn in the terminal.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::{
    cli,
    client::{self, Client},
};

/// Asks and draws.
#[must_use]
pub fn run(args: &cli::Explain) -> ExitCode {
    client::command(async {
        let client = Client::of(&args.access)?;
        let id = match &args.id {
            Some(id) => id.clone(),
            None => newest(&client, args.user.as_deref()).await?,
        };
        let path = match &args.item {
            Some(item) => format!("/v1/recommendations/{id}/explain/{}", client::escaped(item)),
            None => format!("/v1/recommendations/{id}/explain"),
        };
        let answer = client.get(&path).await?;
        if args.json {
            return Ok(serde_json::to_string_pretty(&answer)?);
        }
        Ok(if args.item.is_some() { item(&answer) } else { page(&answer, args.cards) })
    })
}

/// The id of the newest answer, of one listener or of all.
async fn newest(client: &Client, user: Option<&str>) -> anyhow::Result<String> {
    let filter = user.map_or_else(String::new, |user| format!("&user_id={}", client::escaped(user)));
    let list = client.get(&format!("/v1/recommendations?limit=1{filter}")).await?;
    let id = list.pointer("/recommendations/0/recommendation_id").and_then(Value::as_str);
    Ok(id.context("no answer is recorded yet")?.to_owned())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What an item is called, as well as it is known.
pub(crate) fn name(item: &Value) -> String {
    let title = [text(item, "title"), text(item, "item_id"), text(item, "key")];
    let title = title.into_iter().find(|title| !title.is_empty()).unwrap_or("?");
    match text(item, "artist_name") {
        "" => title.to_owned(),
        artist => format!("{title} · {artist}"),
    }
}

/// A whole answer.
fn page(answer: &Value, cards: usize) -> String {
    let mut drawn = format!("{}\n{}\n", text(answer, "text"), again(answer));
    for shelf in list(answer, "shelves") {
        let _ = writeln!(drawn, "\n  {} · {}", text(shelf, "id"), text(shelf, "text"));
        for card in list(shelf, "cards").iter().take(cards) {
            let _ = writeln!(drawn, "\n    {:>2}  {}", number(card, "rank") + 1.0, name(card));
            let _ = writeln!(drawn, "        {}", text(card, "text"));
            for rule in list(card, "rules").iter().filter_map(Value::as_str) {
                let _ = writeln!(drawn, "        rule: {rule}");
            }
            let _ = writeln!(drawn, "{}", path_to_score(card));
        }
    }
    drawn
}

fn again(answer: &Value) -> String {
    let came_out = match answer.pointer("/ranked_again/same").and_then(Value::as_bool) {
        Some(true) => "Ranked again for this explanation: the same page came out, bit for bit.",
        Some(false) => "Ranked again for this explanation: another page came out.",
        None => "",
    };
    let missing = answer.pointer("/ranked_again/missing_then").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let full = missing.iter().filter(|stage| text(stage, "now") == "run_in_full");
    let full: Vec<String> = full.map(|stage| format!("{} ({})", text(stage, "stage"), text(stage, "cause"))).collect();
    if full.is_empty() {
        return came_out.to_owned();
    }
    format!("{came_out} When it was answered, {} was missing; this time it ran in full.", full.join(", "))
}

/// The way from probabilities and features to a score, as a table.
fn path_to_score(of: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for action in list(of, "score_path") {
        let sum = format!("{:.4} × {}", number(action, "probability"), number(action, "weight"));
        row(&mut table, text(action, "action"), &sum, number(action, "adds"), "");
    }
    for feature in list(of, "features") {
        let value = format!("{:.4} {}", number(feature, "value"), text(feature, "unit"));
        row(&mut table, text(feature, "name"), &value, number(feature, "adds"), text(feature, "doc"));
    }
    table
}

fn row(table: &mut Table, name: &str, value: &str, adds: f64, doc: &str) {
    let colour = if adds < 0.0 { Color::Red } else { Color::Green };
    table.add_row([
        Cell::new(format!("          {name}")),
        Cell::new(value).set_alignment(CellAlignment::Right),
        Cell::new(format!("{adds:+.4}")).fg(colour).set_alignment(CellAlignment::Right),
        Cell::new(doc).fg(Color::DarkGrey),
    ]);
}

/// What became of one item.
fn item(answer: &Value) -> String {
    let mut drawn = format!("{}\n{}\n", text(answer, "text"), again(answer));
    if text(answer, "candidates") == "gathered_again" {
        drawn += "The record does not hold all candidates: these were gathered by what is known now.\n";
    }
    for shelf in list(answer, "shelves") {
        let _ = writeln!(drawn, "\n  {} · {}", text(shelf, "id"), text(shelf, "text"));
        let _ = writeln!(drawn, "{}", path_to_score(shelf));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["  source", "limit", "gave", "this item", "last score", ""]);
    for source in list(answer, "asked") {
        let rank = source.get("rank").and_then(Value::as_u64);
        let last = number(source, "last_score");
        table.add_row([
            format!("  {}", text(source, "name")),
            number(source, "limit").to_string(),
            number(source, "returned").to_string(),
            rank.map_or_else(|| "no".to_owned(), |rank| format!("number {}", rank + 1)),
            if last.is_nan() { String::new() } else { format!("{last:.4}") },
            text(source, "degraded").to_owned(),
        ]);
    }
    let _ = writeln!(drawn, "\n{table}");
    drawn
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_is_drawn_with_its_numbers() {
        let card = json!({
            "item_id": "t1", "title": "Glass Harbour", "artist_name": "The Pale Rivers", "rank": 0, "text": "Card 1 of 2.",
            "rules": ["the surface pins it"],
            "score_path": [{"action": "play", "probability": 0.5, "weight": 2.0, "adds": 1.0}],
            "features": [{"name": "trend", "value": 1.0, "unit": "ln plays", "doc": "Rising", "adds": -0.25}],
        });
        let answer = json!({
            "text": "Two cards.", "ranked_again": {"done": true, "same": true},
            "shelves": [{"id": "home", "text": "2 of 9.", "cards": [card]}],
        });
        let drawn = page(&answer, 3);
        for holds in
            ["bit for bit", "Glass Harbour · The Pale Rivers", "rule: the surface pins it", "0.5000 × 2", "-0.2500"]
        {
            assert!(drawn.contains(holds), "{holds}: {drawn}");
        }
    }
}
