//! What the regression must do: new items near their like, by words and by numbers of any scale, and nothing made of
//! what says nothing.

use releases::content::word;
use shared_models::{FeatureName, numbers::Numbers};

use super::*;

fn content(words: &[&str], embedding: &[f32]) -> Described {
    Described {
        words: words.iter().map(|text| word(text)).collect(),
        numbers: Numbers::new([], embedding.to_vec()).unwrap(),
    }
}

fn named(named: &[(&str, f32)]) -> Described {
    let named = named.iter().map(|(name, value)| (FeatureName::new(name).unwrap(), *value));
    Described { words: Vec::new(), numbers: Numbers::new(named, Vec::new()).unwrap() }
}

fn known<'a>(content: &'a Described, vector: &'a [f32], users: usize) -> Known<'a> {
    Known { content, maker: ItemKey::NONE, vector, users }
}

#[test]
fn an_item_nobody_chose_gets_the_vector_of_its_like() {
    let (rock, jazz) = (content(&["genre:rock", "rare"], &[]), content(&["genre:jazz"], &[]));
    let items: Vec<Known<'_>> =
        (0..40).map(|n| if n % 2 == 0 { known(&rock, &[1.0, 0.0], 9) } else { known(&jazz, &[0.0, 1.0], 9) }).collect();
    let learnt = learn(&items, &Settings { regularisation: 0.1, ..Settings::default() }).unwrap();
    let vector = learnt.mapping.vector(&content(&["genre:jazz", "never seen"], &[]));
    assert!(vector[0].abs() < 0.05 && (vector[1] - 1.0).abs() < 0.05, "{vector:?}");
    assert!(!learnt.mapping.tells_of(&content(&["never seen"], &[])));
    assert!(!learnt.mapping.tells_of(&content(&[], &[])));
    assert!(learnt.explained > 0.99 && learnt.explained_by_makers.abs() < 1e-6, "{learnt:?}");
}

#[test]
fn a_makers_own_way_is_believed_as_far_as_its_items_share_one() {
    // Four makers of rock, each with a way of its own along the second axis, and noise along the first.
    let rock = content(&["genre:rock"], &[]);
    let vectors: Vec<([f32; 2], u64)> =
        (0..80).map(|n| ([if n % 2 == 0 { 1.1 } else { 0.9 }, (n % 4) as f32 - 1.5], 1 + n % 4)).collect();
    let of = |vectors: &[([f32; 2], u64)]| {
        let items: Vec<Known<'_>> =
            vectors.iter().map(|(vector, maker)| Known { maker: ItemKey(*maker), ..known(&rock, vector, 9) }).collect();
        learn(&items, &Settings::default()).unwrap()
    };
    let shared = of(&vectors);
    assert!(shared.mapping.shrinkage <= 1.0 && shared.explained > 0.95, "{shared:?}");
    // The same vectors, made by whom they say nothing of.
    let mut mixed = vectors;
    mixed.iter_mut().enumerate().for_each(|(n, (_, maker))| *maker = 1 + n as u64 / 4 % 4);
    let mixed = of(&mixed);
    assert!(mixed.mapping.shrinkage >= 32.0 && mixed.explained < 0.05, "{mixed:?}");
}

#[test]
fn numbers_are_regressed_on_in_units_of_their_deviation() {
    // y = 3 + 2 x: exact in the limit of no regularisation, whatever the scale of x.
    let contents: Vec<Described> = (0..30).map(|n| content(&[], &[n as f32 * 1_000.0])).collect();
    let vectors: Vec<[f32; 1]> = (0..30).map(|n| [3.0 + 2.0 * n as f32]).collect();
    let items: Vec<Known<'_>> =
        contents.iter().zip(&vectors).map(|(content, vector)| known(content, vector, 1)).collect();
    let learnt = learn(&items, &Settings { regularisation: 1e-3, ..Settings::default() }).unwrap();
    let vector = learnt.mapping.vector(&content(&[], &[40_000.0]));
    assert!((vector[0] - 83.0).abs() < 0.1, "{vector:?}");
}

#[test]
fn rare_words_and_items_nobody_chose_teach_nothing() {
    let (a, b) = (content(&["x", "y"], &[]), content(&["x"], &[]));
    let items = [known(&a, &[1.0], 1), known(&b, &[1.0], 1), known(&a, &[-9.0], 0)];
    let mapping = learn(&items, &Settings::default()).unwrap().mapping;
    assert!(mapping.tells_of(&b) && !mapping.tells_of(&content(&["y"], &[])));
    assert!(mapping.vector(&b)[0] > 0.0);
}

#[test]
fn named_numbers_are_told_apart_by_name_and_may_be_missing() {
    // y = tempo - 2 energy, each known of two items in three; the third number is the same everywhere.
    let of = |n: u32| ((n * 7 % 11) as f32, (n * 5 % 13) as f32 * 100.0);
    let contents: Vec<Described> = (0..90)
        .map(|n| {
            let (tempo, energy) = of(n);
            match n % 3 {
                0 => named(&[("tempo", tempo), ("energy", energy), ("loud", 0.1)]),
                1 => named(&[("energy", energy), ("tempo", tempo), ("loud", 0.1)]),
                _ => named(&[("loud", 0.1)]),
            }
        })
        .collect();
    let mean = (0..90).map(of).fold((0.0, 0.0), |sum, (tempo, energy)| (sum.0 + tempo / 90.0, sum.1 + energy / 90.0));
    let vectors: Vec<[f32; 1]> = (0..90)
        .map(|n| {
            let (tempo, energy) = if n % 3 == 2 { mean } else { of(n) };
            [tempo - 0.02 * energy]
        })
        .collect();
    let items: Vec<Known<'_>> =
        contents.iter().zip(&vectors).map(|(content, vector)| known(content, vector, 4)).collect();
    let learnt = learn(&items, &Settings { regularisation: 1e-3, ..Settings::default() }).unwrap();
    assert!(learnt.explained > 0.99, "{learnt:?}");
    let check = |content: Described, expected: f32| {
        let vector = learnt.mapping.vector(&content);
        assert!((vector[0] - expected).abs() < 0.4, "{} where {expected} is expected", vector[0]);
    };
    check(named(&[("tempo", 9.0), ("energy", 200.0)]), 5.0);
    check(named(&[("tempo", 9.0)]), 9.0 - 0.02 * mean.1);
    // What is far off all that is known, or differs where nothing did, takes an item nowhere.
    check(named(&[("loud", 9.0), ("tempo", mean.0), ("energy", mean.1)]), mean.0 - 0.02 * mean.1);
    let far = learnt.mapping.vector(&named(&[("tempo", 1e9)]))[0];
    assert!(far.abs() < 30.0, "{far}");
}

#[test]
fn embeddings_of_the_length_that_most_have_are_taken() {
    let (a, b) = (content(&["x"], &[1.0, 0.0]), content(&["x"], &[0.0, 1.0]));
    let (odd, bare) = (content(&["x"], &[1.0]), content(&["x"], &[]));
    let mut items: Vec<Known<'_>> =
        (0..20).map(|n| if n % 2 == 0 { known(&a, &[1.0, 0.0], 9) } else { known(&b, &[0.0, 1.0], 9) }).collect();
    items.extend([known(&odd, &[0.5, 0.5], 9), known(&bare, &[0.5, 0.5], 9)]);
    let learnt = learn(&items, &Settings { regularisation: 0.1, ..Settings::default() }).unwrap();
    assert_eq!((learnt.passed_over, learnt.mapping.features.embedding()), (1, 2));
    let near = |content: &Described, expected: [f32; 2]| {
        let vector = learnt.mapping.vector(content);
        assert!(vector.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.1), "{vector:?} {expected:?}");
    };
    near(&a, [1.0, 0.0]);
    near(&b, [0.0, 1.0]);
    // Those of another length, and those without, are told by their words.
    near(&odd, [0.5, 0.5]);
    near(&bare, [0.5, 0.5]);
}

#[test]
fn more_items_than_are_looked_at_together_are_one_system() {
    // y follows a word of each item and its embedding of three, over several parts.
    let words = ["a", "b", "c", "d"];
    let contents: Vec<Described> = (0..9_000_u32)
        .map(|n| content(&[words[n as usize % 4]], &[(n % 17) as f32, (n % 23) as f32, (n % 5) as f32]))
        .collect();
    let of = |n: u32| [(n % 4) as f32 + 0.5 * (n % 17) as f32 - (n % 23) as f32, 2.0 * (n % 5) as f32];
    let vectors: Vec<[f32; 2]> = (0..9_000).map(of).collect();
    let items: Vec<Known<'_>> = contents.iter().zip(&vectors).map(|(content, y)| known(content, y, 1)).collect();
    let learnt = learn(&items, &Settings { regularisation: 0.01, ..Settings::default() }).unwrap();
    assert!(learnt.explained > 0.999, "{learnt:?}");
    let vector = learnt.mapping.vector(&content(&["c"], &[16.0, 3.0, 4.0]));
    assert!((vector[0] - 7.0).abs() < 0.05 && (vector[1] - 8.0).abs() < 0.05, "{vector:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let a = content(&[], &[1.0]);
    let of = |items: &[Known<'_>], settings: &Settings| learn(items, settings).unwrap_err();
    assert!(matches!(of(&[], &Settings::default()), Error::Nothing));
    let settings = Settings { regularisation: 0.0, ..Settings::default() };
    assert!(matches!(of(&[known(&a, &[1.0], 1)], &settings), Error::Unsolved { .. }));
}
