//! A page drawn in the terminal.

use std::{collections::HashSet, fmt::Write as _, time::Duration};

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::client::{Page, Shelf};

/// Prints a text and a line's end. A reader who has seen enough, such as `head`, is no failure.
pub fn print(text: &impl std::fmt::Display) {
    let _gone = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}\n"));
}

/// The page as text: a heading, then each shelf with at most `cards` cards. Cards that are not in
/// `before` are marked, when a page before is given.
#[must_use]
pub fn page(page: &Page, user: &str, elapsed: Duration, cards: usize, before: Option<&Page>) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} for {user} · {} shelves, {} cards · {:.1} ms · release {} · degraded: {}",
        page.surface,
        page.shelves.len(),
        page.cards(),
        elapsed.as_secs_f64() * 1_000.0,
        page.release.as_deref().map_or("none", |id| id.get(..8).unwrap_or(id)),
        page.degraded.level,
    );
    let known: Option<HashSet<(&str, &str)>> = before.map(|page| {
        page.shelves
            .iter()
            .flat_map(|shelf| shelf.cards.iter().map(|card| (shelf.id.as_str(), card.item_id.as_str())))
            .collect()
    });
    for shelf in &page.shelves {
        let _ = writeln!(text, "\n  {}", shelf.title);
        let _ = writeln!(text, "{}", table(shelf, cards, known.as_ref()));
        if shelf.cards.len() > cards {
            let _ = writeln!(text, "      … and {} more", shelf.cards.len() - cards);
        }
    }
    text
}

fn table(shelf: &Shelf, cards: usize, known: Option<&HashSet<(&str, &str)>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (rank, card) in shelf.cards.iter().take(cards).enumerate() {
        let is_new = known.is_some_and(|known| !known.contains(&(shelf.id.as_str(), card.item_id.as_str())));
        let title = match &card.artist_name {
            Some(artist) if *artist != card.title => format!("{} · {artist}", card.title),
            _ => card.title.clone(),
        };
        let mut title = Cell::new(if is_new { format!("+ {title}") } else { format!("  {title}") });
        if is_new {
            title = title.fg(Color::Green);
        }
        table.add_row([
            Cell::new(format!("{:>6}", rank + 1)).set_alignment(CellAlignment::Right),
            title,
            Cell::new(&card.reason.text).fg(Color::DarkGrey),
            Cell::new(format!("{:.3}", card.score)).set_alignment(CellAlignment::Right),
        ]);
    }
    table
}

/// What changed between two pages, in one line: cards that came, cards that went, shelves that moved.
#[must_use]
pub fn difference(before: &Page, after: &Page) -> String {
    let cards = |page: &Page| -> HashSet<String> {
        page.shelves.iter().flat_map(|s| s.cards.iter().map(|c| c.item_id.clone())).collect()
    };
    let (old, new) = (cards(before), cards(after));
    let order = |page: &Page| page.shelves.iter().map(|shelf| shelf.id.clone()).collect::<Vec<_>>();
    let moved =
        if order(before) == order(after) { "the shelves keep their order" } else { "the shelves change their order" };
    format!("{} cards came, {} went, {moved}", new.difference(&old).count(), old.difference(&new).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(item: &str) -> Page {
        serde_json::from_value(serde_json::json!({
            "recommendation_id": "r", "surface": "home", "release": "abcdef0123", "trace_id": "t",
            "degraded": { "level": "none", "stages": [] },
            "shelves": [{ "id": "s", "title": "Made for you", "cards": [{
                "item_id": item, "title": "Glass Harbour", "artist_name": "The Pale Rivers", "score": 0.5, "propensity": 1.0,
                "sources": ["embedding"], "reason": { "code": "taste_match", "text": "Near your taste", "evidence": [] }
            }] }]
        }))
        .unwrap()
    }

    #[test]
    fn new_cards_are_marked() {
        let (before, after) = (sample("a"), sample("b"));
        let drawn = page(&after, "ada", Duration::from_millis(4), 5, Some(&before));
        assert!(drawn.contains("+ Glass Harbour · The Pale Rivers"), "{drawn}");
        assert!(
            drawn.contains("home for ada · 1 shelves, 1 cards · 4.0 ms · release abcdef01 · degraded: none"),
            "{drawn}"
        );
        assert_eq!(difference(&before, &after), "1 cards came, 1 went, the shelves keep their order");
    }
}
