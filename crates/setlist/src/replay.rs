//! `setlist replay`: answers of a running platform made again, one or many.

pub mod many;

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    cli,
    client::{self, Client},
    explain::name,
};

/// Asks and draws.
#[must_use]
pub fn run(args: &cli::Replay) -> ExitCode {
    client::command(async {
        let client = Client::of(&args.access)?;
        let body = body(args)?;
        match &args.id {
            Some(id) => {
                let answer = client.replay(id, &body).await?;
                Ok(if args.json { serde_json::to_string_pretty(&answer)? } else { one(&answer) })
            }
            None => many::replay(&client, args, &body).await,
        }
    })
}

/// What is to be otherwise, as the API takes it.
fn body(args: &cli::Replay) -> anyhow::Result<Value> {
    let mut body = json!({ "gather": args.gather });
    if let Some(release) = &args.release {
        body["release"] = json!(release);
    }
    if args.current {
        body["surface"] = json!("current");
    }
    if let Some(path) = &args.surface_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Checked here, where lines can be named.
        let surface = edge_api::surfaces::parse(&path.display().to_string(), &text).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        })?;
        body["surface"] = serde_json::to_value(surface)?;
    }
    Ok(body)
}

/// Two pages side by side.
fn one(answer: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let place = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_u64).map_or_else(|| "–".to_owned(), |place| (place + 1).to_string())
    };
    let mut drawn = format!("{}\n", text(answer, "text"));
    if let Some(why) = answer.get("why_no_feature").and_then(Value::as_str) {
        let _ = writeln!(drawn, "No score change names the feature that moved it: {why}.");
    }
    for shelf in list(answer, "shelves") {
        let changes = ["moved", "gained", "lost"].map(|key| list(&shelf, key).len());
        if changes == [0; 3] && list(&shelf, "score_changes").is_empty() {
            continue;
        }
        let _ = writeln!(
            drawn,
            "\n  {} · place {} to {} · {} moved, {} gained, {} lost",
            text(&shelf, "id"),
            place(&shelf, "place_before"),
            place(&shelf, "place_after"),
            changes[0],
            changes[1],
            changes[2]
        );
        for (key, sign) in [("gained", '+'), ("lost", '-'), ("moved", '~')] {
            for card in list(&shelf, key) {
                let _ = writeln!(
                    drawn,
                    "    {sign} {} to {}  {}",
                    place(&card, "before"),
                    place(&card, "after"),
                    name(&card)
                );
            }
        }
        for change in list(&shelf, "score_changes").iter().take(5) {
            let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
            let why = change.get("moved_most").map_or_else(String::new, |feature| {
                let (before, after) = (number(feature, "before"), number(feature, "after"));
                format!(
                    ", most by {} ({before:.4} to {after:.4}, {:+.4})",
                    text(feature, "name"),
                    number(feature, "adds")
                )
            });
            let (before, after) = (number(change, "before"), number(change, "after"));
            let _ = writeln!(drawn, "    score {before:.4} to {after:.4}  {}{why}", name(change));
        }
    }
    drawn
}
