//! Wrong surface files: each problem with its file, line and the nearest valid key.

use edge_api::surfaces::parse;

const GOOD: &str = "\
surface: own
owner: team
budget: 80ms
shelves:
  - id: one
    title: One
    sources:
      - { name: trending, limit: 50 }
    filters: [ not_hidden, impression_cap: { max: 5 } ]
    objective: { play: 1.0 }
    slate: { size: 8 }
";

fn check(find: &str, replace: &str, expected: &[&str]) {
    assert!(GOOD.contains(find), "{find}");
    let text = GOOD.replace(find, replace);
    let problems: Vec<String> = parse("own.yaml", &text).expect_err(replace).iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), expected.len(), "{replace}: {problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        let (place, words) = expected.split_once(' ').unwrap();
        assert!(problem.starts_with(&format!("own.yaml:{place}:")), "{problem} is not at {place}");
        assert!(problem.contains(words), "{problem} does not say {words}");
    }
}

#[test]
fn a_good_file_is_read() {
    let surface = parse("own.yaml", GOOD).unwrap();
    assert_eq!(surface.shelves[0].filters.len(), 2);
}

#[test]
fn unknown_keys_are_told_with_the_nearest_valid_one() {
    check("owner:", "onwer:", &["2 did you mean `owner`?"]);
    check("    title:", "    titel:", &["6 did you mean `title`?"]);
    check("limit: 50", "limt: 50", &["8 did you mean `limit`?"]);
    check("size: 8", "sise: 8", &["11 did you mean `size`?"]);
    check("play: 1.0", "plays: 1.0", &["10 did you mean `play`?"]);
    check("max: 5", "most: 5", &["9 valid here: within, max"]);
}

#[test]
fn all_unknown_keys_are_told_and_what_else_is_certain() {
    let told = |text: &str| -> Vec<String> {
        parse("own.yaml", text).expect_err(text).iter().map(ToString::to_string).collect()
    };
    let check = |text: &str, expected: &[&str]| {
        let problems = told(text);
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            let (place, words) = expected.split_once(' ').unwrap();
            assert!(problem.starts_with(&format!("own.yaml:{place}: ")), "{problem} is not at {place}");
            assert!(problem.contains(words), "{problem} does not say {words}");
        }
    };
    let spoiled = GOOD
        .replace("owner:", "onwer:")
        .replace("    title:", "    titel:")
        .replace("limit: 50", "limt: 50")
        .replace("max: 5", "most: 5")
        .replace("play: 1.0", "plays: 1.0, colour: 2.0")
        .replace("size: 8", "size: 500");
    let keys = [
        "2:1 unknown key \"onwer\"; did you mean `owner`?",
        "6:5 unknown key \"titel\"; did you mean `title`?",
        "8:27 unknown key \"limt\"; did you mean `limit`?",
        "9:46 unknown key \"most\"; valid here: within, max",
        "10:18 unknown key \"plays\"; did you mean `play`?",
        "10:30 unknown key \"colour\"; valid here:",
    ];
    let mut all = keys.to_vec();
    all.push("11:20 shelves[0].slate.size: 500; give 1 to 100");
    check(&spoiled, &all);
    // A value that cannot be read is told once, and hides no key; what follows from it is not told.
    let mut all = keys.to_vec();
    all.insert(1, "3:9 soon");
    check(&spoiled.replace("80ms", "soon"), &all);
    // A key that is missing and not misspelt is missing.
    check(
        &GOOD.replace("title: One", "caption: One"),
        &["5:5 the key \"title\" is missing", "6:5 unknown key \"caption\""],
    );
    let many: String = (0..500).map(|number| format!("key-{number}: 1\n")).collect();
    assert!(told(&format!("{GOOD}{many}")).len() >= 100);
}

#[test]
fn unknown_names_are_told_with_the_nearest_valid_one() {
    check("name: trending", "name: trendin", &["8 did you mean `trending`?"]);
    check("not_hidden", "not_hiden", &["9 did you mean `not_hidden`?"]);
    check("impression_cap:", "impresion_cap:", &["9 did you mean `impression_cap`?"]);
}

#[test]
fn missing_and_doubled_keys_are_told() {
    check("owner: team\n", "", &["3 add `owner:`"]);
    check("owner: team\n", "owner: team\nowner: again\n", &["3 given twice"]);
}

#[test]
fn wrong_values_are_told_all_at_once() {
    check("budget: 80ms", "budget: 1ms", &["3 budget: 1ms; give 5ms to 10s"]);
    check("budget: 80ms", "budget: soon", &["3 "]);
    check("size: 8", "size: 500", &["11 shelves[0].slate.size: 500; give 1 to 100"]);
    check(
        "size: 8",
        "size: 0, diversity: 2, explore: -1",
        &["11 slate.size", "11 slate.diversity", "11 slate.explore"],
    );
    let explores = |settings: &str| format!("size: 8, explore: {{ {settings} }}");
    let check_explore = |settings: &str, expected: &str| check("size: 8", &explores(settings), &[expected]);
    check_explore("policy: epsilon, share: 2", "11 slate.explore.share: 2; give a number from 0 to 1");
    check_explore("policy: epsilon", "11 slate.explore: epsilon without a share; give `share`");
    check_explore("policy: softmax, temperature: 0", "11 slate.explore.temperature: 0; give a number from 0.001 to 10");
    check_explore("policy: thompson, prior: 0", "11 slate.explore.prior: 0; give a number of impressions");
    check_explore("policy: softmax, share: 0.1", "11 softmax does not read \"share\"; softmax reads temperature");
    check_explore("policy: none, spread: 1", "11 none does not read \"spread\"");
    check_explore("policy: softmax, temprature: 1", "11 did you mean `temperature`?");
    check_explore("policy: softmix", "11 did you mean `softmax`?");
    let keeps = |settings: &str| format!("size: 8, new_items: {{ {settings} }}");
    let check_new = |settings: &str, expected: &str| check("size: 8", &keeps(settings), &[expected]);
    check_new("slots: 0", "11 slate.new_items.slots: 0; give 1 to 20");
    check_new("slots: 2, from: 7", "11 slate.new_items.from: positions up to 8; give positions below `size`");
    check_new("share: 1.5", "11 slate.new_items.share: 1.5; give a number from 0 to 1");
    check_new("younger: 0s", "11 slate.new_items.younger: 0ns; give more than 0");
    check_new("hourli: 3", "11 did you mean `hourly`?");
    check("limit: 50", "limit: 5000", &["8 shelves[0].sources[0].limit: 5000; give 1 to 2000"]);
    check("limit: 50", "params: { seeds: 5 }", &["8 trending does not read \"seeds\""]);
    check("not_hidden", "not_hidden: { max: 3 }", &["9 not_hidden does not read \"max\""]);
    check("not_hidden", "impression_cap", &["9 each filter once"]);
    check("play: 1.0", "play: 0", &["10 at least one weight that is not 0"]);
    check("play: 1.0", "play: .nan", &["1 shelves[0].objective.play: NaN"]);
    check("title: One", "title: \"\"", &["6 1 to 200 visible characters"]);
    check("id: one", "id: One", &["5 "]);
    check("    title: One", "    title: One\n    slot: 4", &["7 a slot of the page"]);
    check(
        "shelves:\n  - id: one",
        "shelves:\n  - { id: one, title: Twice, sources: [ { name: trending } ] }\n  - id: one",
        &["6 one again"],
    );
    check("owner: team\nbudget: 80ms", "owner: \"\"\nbudget: 20s", &["2 owner", "3 budget"]);
}

#[test]
fn what_is_no_surface_at_all_is_refused() {
    for text in ["", "42", "- a\n- b", "surface: [", "surface: own\n\towner: a", "&a [*a]", "surface: !!binary x"] {
        assert!(parse("own.yaml", text).is_err(), "{text:?}");
    }
}
