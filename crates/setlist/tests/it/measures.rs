//! The commands that measure, as a person meets them: `setlist evaluate` and `setlist world`.

use std::path::Path;

use crate::{check, setlist, words};

/// A split in the form of Gowalla's: two groups of users, who choose within their group.
fn split(folder: &Path) {
    let list = |user: usize, from: usize, to: usize| {
        let items: Vec<String> = (from..to).map(|n| (user % 2 * 20 + (user * 3 + n * 7) % 20).to_string()).collect();
        format!("{user} {}\n", items.join(" "))
    };
    std::fs::write(folder.join("train.txt"), (0..60).map(|user| list(user, 0, 9)).collect::<String>()).unwrap();
    std::fs::write(folder.join("test.txt"), (0..60).map(|user| list(user, 9, 12)).collect::<String>()).unwrap();
}

#[test]
fn an_evaluation_prints_a_table_and_writes_json_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    split(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    check(
        &[
            "evaluate",
            "--protocol",
            "gowalla-lightgcn",
            "--dataset",
            folder.path().to_str().unwrap(),
            "--engine",
            "popularity,factors",
            "--set",
            "factors.dimensions=4",
            "--tune",
            "factors.alpha=1,10",
            "--k",
            "5,10",
            "--json",
            &path("report.json"),
            "--plot",
            &path("pictures"),
        ],
        0,
        &[
            "Recall@5",
            "NDCG@10",
            "popularity",
            "factors",
            "Tried on the validation part",
            "alpha=10",
            "60 users",
            "best",
        ],
    );
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path("report.json")).unwrap()).unwrap();
    assert_eq!(report["rows"][1]["engine"], "factors");
    assert_eq!(report["rows"][1]["settings"]["dimensions"], "4");
    assert_eq!(report["tuning"].as_array().unwrap().len(), 2);
    let mean = |row: usize| report["rows"][row]["values"][0]["mean"].as_f64().unwrap();
    assert!(mean(1) > mean(0), "factors know the groups: {report}");
    for name in ["recall", "exposure", "space-factors"] {
        let svg = std::fs::read_to_string(path("pictures") + "/" + name + ".svg").unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<title>"), "{name}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    check(&["evaluate"], 64, &["give --protocol"]);
    check(&["evaluate", "--protocol", "gowalla-lightgcn"], 64, &["needs --dataset", "train.txt"]);
    check(&["evaluate", "--protocol", "gowalla-lightgcn", "--dataset", here], 64, &["train.txt", "is not there"]);
    check(&["evaluate", "--protocol", "world", "--engine", "magic"], 64, &["magic", "the engines are popularity"]);
    check(&["evaluate", "--protocol", "world", "--set", "alpha=1"], 64, &["is not ENGINE.NAME=VALUE"]);
    split(folder.path());
    let wrong = ["evaluate", "--protocol", "gowalla-lightgcn", "--dataset", here, "--engine", "factors", "--set"];
    check(&[&wrong[..], &["factors.alpha=much"]].concat(), 64, &["alpha is \"much\"; give a number"]);
    check(&[&wrong[..], &["factors.size=1"]].concat(), 64, &["factors has no setting \"size\"; it has dimensions"]);
}

#[test]
fn help_names_every_protocol_and_engine() {
    let help = words(&setlist(&["evaluate", "--help"]));
    for part in ["gowalla-lightgcn", "ml-1m-loo", "lastfm-tkgat", "popularity", "factors", "95 %", "Examples:"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    check(&["evaluate", "--list"], 0, &["published: UltraGCN", "reports HR@10", "dimensions"]);
}

#[test]
fn a_world_is_described_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    let nowhere = folder.path().join("no-demo");
    check(
        &[
            "world",
            "--tracks",
            "400",
            "--listeners",
            "60",
            "--events",
            "4000",
            "--plot",
            pictures.to_str().unwrap(),
            "--data",
            nowhere.to_str().unwrap(),
        ],
        0,
        &["Gini of tracks' plays", "has no release of this world", "popularity.svg", "genres.svg"],
    );
    for name in ["popularity", "listeners", "hours", "genres"] {
        assert!(pictures.join(format!("{name}.svg")).exists(), "{name}");
    }
}

/// Two policies of a campaign with two items; one shows the second more often, and it is clicked more.
fn campaign(folder: &Path) {
    for (policy, second) in [("random", 5), ("bts", 8)] {
        let place = folder.join(policy).join("men");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("item_context.csv"), ",item_id,item_feature_0\n0,0,-0.5\n1,1,0.5\n").unwrap();
        let mut text =
            ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0\n".to_owned();
        for at in 0..900 {
            let item = u32::from(at % 10 < second);
            let click = u8::from(at / 10 % 10 < [1, 3][item as usize]);
            let propensity = if item == 1 { f64::from(second) / 10.0 } else { 1.0 - f64::from(second) / 10.0 };
            text.push_str(&format!("{at},t,{item},{},{click},{propensity},u,0.0\n", at / 100 % 3 + 1));
        }
        std::fs::write(place.join("men.csv"), text).unwrap();
    }
}

#[test]
fn a_policy_is_evaluated_by_the_log_of_another() {
    let folder = tempfile::tempdir().unwrap();
    campaign(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let of = ["evaluate", "policy", "--dataset", folder.path().to_str().unwrap()];
    let more = ["--json", &path("report.json"), "--plot", &path("pictures"), "--dump", &path("dump")];
    let said = ["men: bts, by the log of random", "SWITCH-DR", "position-based", "[bts itself]", "drawn:"];
    check(&[&of[..], &more].concat(), 0, &said);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path("report.json")).unwrap()).unwrap();
    let first = &report["comparisons"][0];
    assert!((first["truth"]["value"].as_f64().unwrap() - 0.26).abs() < 1e-9, "{first}");
    let ips = &first["estimates"][0];
    assert!((ips["value"].as_f64().unwrap() - 0.26).abs() < 0.01, "what both items bring is in either log: {ips}");
    assert!(Path::new(&path("pictures/policy-men-bts-by-random.svg")).exists());
    assert!(Path::new(&path("dump/men-of-bts-by-random/expected.csv")).exists());
    check(&[&of[..], &["--campaign", "women"]].concat(), 64, &["no campaign \"women\"; there are men"]);
    check(&[&of[..], &["--clip", "0"]].concat(), 64, &["--clip is 0"]);
    check(&["evaluate", "policy"], 2, &["--dataset", "--data", "--world"]);
    check(&["evaluate", "policy", "--data", &path("nowhere")], 64, &["there is no archive at"]);
    check(&["evaluate", "policy", "--world", "--runs", "3", "--rounds", "200"], 0, &["cascade DR", "held it"]);
}
