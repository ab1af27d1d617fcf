//! `setlist features`: the schema of ranking features, for people and for programs. docs/features.md is written from here.

use std::{fmt::Write as _, process::ExitCode};

use comfy_table::{ContentArrangement, Table, presets};
use ranking::features::{Cost, Feature, SCHEMA, schema_hash};
use serde_json::{Value, json};

use crate::cli::{CostClass, Features};

/// Prints what is asked for; fails where no feature speaks of it.
#[must_use]
pub fn run(args: &Features) -> ExitCode {
    let chosen: Vec<(usize, &Feature)> =
        SCHEMA.iter().enumerate().filter(|(_, feature)| is_meant(feature, args)).collect();
    if chosen.is_empty() {
        eprintln!("no feature speaks of {:?}; setlist features shows all", args.about.as_deref().unwrap_or_default());
        return ExitCode::FAILURE;
    }
    let text = match (args.json, args.plain) {
        (true, _) => document(&chosen).to_string(),
        (false, true) => plain(&chosen),
        (false, false) => table(&chosen),
    };
    println!("{}", text.trim_end());
    ExitCode::SUCCESS
}

fn is_meant(feature: &Feature, args: &Features) -> bool {
    let cost = args.cost.map(|cost| match cost {
        CostClass::Item => Cost::Item,
        CostClass::Listener => Cost::Listener,
        CostClass::Cross => Cost::Cross,
    });
    let about = args.about.as_deref().unwrap_or_default().to_lowercase();
    let speaks = [feature.name, feature.unit, feature.doc].iter().any(|text| text.to_lowercase().contains(&about));
    cost.is_none_or(|cost| cost == feature.cost) && speaks
}

const HEAD: [&str; 9] = ["", "name", "cost", "kind", "unit", "default", "range", "transform", "meaning"];

fn cells(place: usize, feature: &Feature) -> [String; 9] {
    [
        place.to_string(),
        feature.name.to_owned(),
        feature.cost.as_str().to_owned(),
        feature.kind.as_str().to_owned(),
        feature.unit.to_owned(),
        feature.default.to_string(),
        format!("{} to {}", feature.range[0], feature.range[1]),
        feature.transform.to_string(),
        feature.doc.to_owned(),
    ]
}

fn table(chosen: &[(usize, &Feature)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(HEAD);
    for (place, feature) in chosen {
        table.add_row(cells(*place, feature));
    }
    format!("{table}\n{} of {} features; schema {:016x}", chosen.len(), SCHEMA.len(), schema_hash())
}

fn plain(chosen: &[(usize, &Feature)]) -> String {
    let lines = chosen.iter().map(|(place, feature)| {
        let [place, name, rest @ ..] = cells(*place, feature);
        [name, place].into_iter().chain(rest).collect::<Vec<_>>().join("\t")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn document(chosen: &[(usize, &Feature)]) -> Value {
    let features: Vec<Value> = chosen
        .iter()
        .map(|(place, feature)| {
            json!({
                "place": place, "name": feature.name, "cost": feature.cost.as_str(), "kind": feature.kind.as_str(),
                "unit": feature.unit, "default": number(feature.default), "range": feature.range.map(number),
                "transform": feature.transform.to_string(), "doc": feature.doc,
            })
        })
        .collect();
    json!({ "schema": format!("{:016x}", schema_hash()), "columns": SCHEMA.len(), "features": features })
}

/// The decimal number that was written in the schema: 5.35, not the nearest single-precision number's 17 digits.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// The document docs/features.md.
#[must_use]
pub fn markdown() -> String {
    let mut text = "# Features\n\n\
        What a scorer may know of a card. Written by the test `the_document_is_what_the_schema_says` from \
        crates/ranking/src/features/columns.rs\n(`UPDATE_GENERATED=1`); `setlist features` prints the same.\n\n\
        Serving and training compute them with one module, and a release carries how each was spread over its training\n\
        rows: `setlist_ranking_feature_skew` tells when what is served has moved away from it.\n\n\
        - **item**: depends on the item, the moment and the market, and is the same for every listener.\n\
        - **listener**: depends on the listener and the request, and is computed once a page.\n\
        - **cross**: depends on both, and is computed for each candidate.\n\n\
        The default stands in the matrix where nothing is known. The range is that of the transformed number; one outside\n\
        of it is counted in `setlist_ranking_feature_out_of_range_share` and left as it is.\n"
        .to_owned();
    let _ = write!(text, "\n{} columns, schema `{:016x}`.\n\n|", SCHEMA.len(), schema_hash());
    for head in HEAD {
        let _ = write!(text, " {head} |");
    }
    text.push_str("\n|");
    text.push_str(&"---|".repeat(HEAD.len()));
    text.push('\n');
    for (place, feature) in SCHEMA.iter().enumerate() {
        let line = cells(place, feature).map(|cell| cell.replace('|', "\\|")).join(" | ");
        let _ = writeln!(text, "| {line} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn args(about: Option<&str>, cost: Option<CostClass>) -> Features {
        Features { about: about.map(str::to_owned), cost, plain: false, json: false }
    }

    fn chosen(args: &Features) -> Vec<(usize, &'static Feature)> {
        SCHEMA.iter().enumerate().filter(|(_, feature)| is_meant(feature, args)).collect()
    }

    #[test]
    fn the_document_is_what_the_schema_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/features.md");
        if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
            fs::write(&path, markdown()).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == markdown(), "run this test with UPDATE_GENERATED=1");
    }

    #[test]
    fn all_forms_show_every_feature_that_is_meant() {
        let all = chosen(&args(None, None));
        assert_eq!(all.len(), SCHEMA.len());
        let (table, lines, document) = (table(&all), plain(&all), document(&all));
        assert_eq!(lines.lines().count(), SCHEMA.len());
        assert!(lines.lines().all(|line| line.split('\t').count() == HEAD.len()));
        for (place, feature) in SCHEMA.iter().enumerate() {
            assert!(table.contains(feature.name) && lines.contains(feature.name));
            assert_eq!(document["features"][place]["name"], feature.name);
            assert_eq!(document["features"][place]["default"], number(feature.default));
        }
        assert_eq!(number(5.35).to_string(), "5.35");
    }

    #[test]
    fn what_is_asked_for_is_what_is_shown() {
        let sessions = chosen(&args(Some("Session"), None));
        assert!(sessions.len() >= 6 && sessions.len() < 20);
        let items = chosen(&args(None, Some(CostClass::Item)));
        assert!(items.iter().all(|(_, feature)| feature.cost == Cost::Item) && items.len() > 10);
        assert!(chosen(&args(Some("no such thing"), None)).is_empty());
    }
}
