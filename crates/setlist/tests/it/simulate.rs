//! `setlist simulate`: listeners who answer, against real platforms.

use crate::check;

#[test]
fn arms_are_compared_by_what_listeners_do_with_their_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let small =
        ["--tracks", "600", "--world-listeners", "150", "--events", "15000", "--listeners", "12", "--rounds", "6"];
    // A bar that nothing keeps: the numbers are there all the same.
    let asked = [
        "--arms",
        "random,popular,softmax",
        "--planted",
        "5",
        "--freshness",
        "4",
        "--own",
        "1",
        "--finds",
        "6",
        "--keep",
        "1",
    ];
    let places = ["--data", &path("data"), "--json", &path("report.json"), "--plot", &path("pictures")];
    let said = [
        "12 listeners, 6 rounds",
        "6 changed their taste at round 3",
        "random",
        "popular",
        "softmax",
        "p50",
        "drawn:",
        "MISSED softmax finds 6 of 5",
    ];
    check(&[&["simulate"][..], &small, &asked, &places].concat(), 1, &said);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path("report.json")).unwrap()).unwrap();
    let arms = report["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 3);
    for arm in arms {
        assert_eq!(arm["by_round"].as_array().unwrap().len(), 6, "{arm}");
        assert!(arm["change"]["before"].as_f64().unwrap() > 0.0, "{arm}");
    }
    let reward = |arm: usize| arms[arm]["reward"]["mean"].as_f64().unwrap();
    assert!(reward(2) > reward(0), "what was learned is worth more than chance: {report}");
    assert!(report["freshness_ms"][0].as_f64().unwrap() > 0.0, "{report}");
    for name in ["reward", "new", "change"] {
        let svg = std::fs::read_to_string(path("pictures") + "/simulation-" + name + ".svg").unwrap();
        assert!(svg.contains("softmax"), "{name}");
    }
    // What listeners did is kept, with all that might have been shown them, and tells of other policies.
    let kept = path("data/softmax");
    let of_likes = ["evaluate", "policy", "--data", &kept, "--objective", "like=1,skip=-1", "--places", "2"];
    let said =
        ["objective like=1,skip=-1", "without exploration", "answers of this shelf were recorded whole", "SNRIPS"];
    check(&of_likes, 0, &said);
    let brief = path("data/past");
    let refused = ["evaluate", "policy", "--data", &brief, "--objective", "like=1"];
    check(&refused, 64, &["serve pages and send their events first"]);
    let nonsense = ["evaluate", "policy", "--data", &kept, "--objective", "hide=1"];
    check(&nonsense, 64, &["is not ACTION=WORTH"]);
    let somebodys = folder.path().join("somebodys");
    std::fs::create_dir(&somebodys).unwrap();
    std::fs::write(somebodys.join("file"), "").unwrap();
    check(&["simulate", "--data", somebodys.to_str().unwrap()], 1, &["holds what no simulation made"]);
    check(&["simulate", "--listeners", "0"], 1, &["--listeners is 0; give 1 to 1000"]);
    let alone = ["simulate", "--arms", "explore", "--at-least", "2"];
    check(&alone, 1, &["--at-least compares with popular"]);
}
