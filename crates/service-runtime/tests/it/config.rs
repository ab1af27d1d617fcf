//! Configuration as an operator meets it: files, variables, options, and what is said when they are wrong.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::config::{self, Error, Problem, Secret, Validate, load_from, within};

const DEFAULTS: &str = r#"
# What the test is called.
name = "probe"
# How much of it.
ratio = 0.5

[grpc]
listen = "127.0.0.1:7101"
patience = "250ms"
# tls_key = "key.pem"

[store]
password = ""
retries = 3

# Any number of names with their weights.
[weights]
"#;

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    ratio: f64,
    grpc: Grpc,
    store: Store,
    weights: BTreeMap<String, f64>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    listen: SocketAddr,
    #[serde(with = "humantime_serde")]
    patience: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls_key: Option<String>,
}

// Deliberately forgiving: the loader must find a stray key all the same.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Store {
    password: Secret,
    retries: u32,
}

impl Validate for Store {
    fn problems(&self) -> Vec<Problem> {
        if self.retries > 10 { vec![Problem::new("retries", self.retries, "at most 10")] } else { Vec::new() }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = within("store", &self.store).collect();
        if !(0.0..=1.0).contains(&self.ratio) {
            problems.push(Problem::new("ratio", self.ratio, "a number from 0 to 1"));
        }
        problems
    }
}

struct Layers {
    folder: tempfile::TempDir,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    options: Vec<(String, String)>,
}

impl Layers {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            file: None,
            environment: Vec::new(),
            options: Vec::new(),
        }
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.folder.path().join("probe.toml");
        fs::write(&path, text).expect("written");
        self.file = Some(path);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    fn load(&self) -> Result<Config, Error> {
        load_from(DEFAULTS, self.file.as_deref(), "SETLIST", self.environment.clone(), &self.options)
    }

    /// The problems, one a line, with the folder left out.
    fn problems(&self) -> Vec<String> {
        let text = self.load().expect_err("there are problems").to_string();
        let folder = format!("{}/", self.folder.path().display());
        text.lines().skip(1).map(|line| line.trim().replace(&folder, "")).collect()
    }
}

#[test]
fn later_layers_win() {
    let layers = Layers::new().file("name = \"file\"\nratio = 0.1\n[store]\nretries = 4\n[grpc]\npatience = \"1s\"\n");
    let layers =
        layers.variable("SETLIST__RATIO", "0.2").variable("SETLIST__STORE__RETRIES", "5").variable("SETLIST_HOME", "x");
    let config = layers.option("store.retries", "6").load().expect("good");
    assert_eq!((config.name.as_str(), config.ratio, config.store.retries), ("file", 0.2, 6));
    assert_eq!(config.grpc.patience, Duration::from_secs(1));
    assert_eq!(config.grpc.listen, SocketAddr::from(([127, 0, 0, 1], 7101)), "what nobody sets is the default");
}

#[test]
fn texts_stay_texts() {
    let config = Layers::new()
        .option("name", "42")
        .option("grpc.tls_key", "7")
        .option("store.password", "true")
        .load()
        .expect("good");
    assert_eq!(config.name, "42");
    assert_eq!(config.grpc.tls_key.as_deref(), Some("7"), "a commented key has no type to go by");
    assert_eq!(config.store.password.expose(), "true");
}

#[test]
fn an_open_table_takes_any_key() {
    let config = Layers::new().file("[weights]\nfresh = 0.3\n").option("weights.popular", "0.7").load().expect("good");
    assert_eq!(config.weights, BTreeMap::from([("fresh".to_owned(), 0.3), ("popular".to_owned(), 0.7)]));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one_and_its_line() {
    let problems = Layers::new().file("name = \"x\"\n\n[grpc]\nlisen = \"127.0.0.1:1\"\n").problems();
    assert_eq!(
        problems,
        ["probe.toml:4: grpc.lisen = \"127.0.0.1:1\": there is no such key; did you mean grpc.listen?"]
    );
    let problems = Layers::new().variable("SETLIST__LISTEN", "127.0.0.1:1").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("variable SETLIST__LISTEN: listen = "), "{problems:?}");
    assert!(problems[0].ends_with("did you mean grpc.listen?"), "{problems:?}");
}

#[test]
fn a_type_that_forgives_strangers_does_not_hide_them() {
    let problems = Layers::new().file("[store]\nretires = 2\n").problems();
    assert_eq!(problems, ["probe.toml:2: store.retires = 2: there is no such key; did you mean store.retries?"]);
}

#[test]
fn all_problems_are_told_at_once() {
    let layers =
        Layers::new().file("ratio = 7.5\nnmae = \"x\"\n[grpc]\nlisten = \"nowhere\"\npatience = \"3 parsecs\"\n");
    let problems = layers.variable("SETLIST__STORE__RETRIES", "many").option("store.retires", "1").problems();
    let starts = [
        "probe.toml:2: nmae = \"x\": there is no such key; did you mean name?",
        "probe.toml:4: grpc.listen = \"nowhere\": invalid socket address syntax",
        "probe.toml:5: grpc.patience = \"3 parsecs\": ",
        "variable SETLIST__STORE__RETRIES: store.retries = \"many\": ",
        "--set: store.retires = 1: there is no such key; did you mean store.retries?",
        "probe.toml:1: ratio = 7.5: a number from 0 to 1",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for start in starts {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start} is not in {problems:#?}");
    }
}

#[test]
fn a_rule_of_a_section_names_the_layer_that_broke_it() {
    assert_eq!(Layers::new().option("store.retries", "99").problems(), ["--set: store.retries = 99: at most 10"]);
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let error = Layers::new().file("name = \"x\"\nratio = = 3\n").load().expect_err("not TOML");
    assert!(error.to_string().contains("probe.toml:2: not valid TOML"), "{error}");
    let missing = load_from::<Config>(DEFAULTS, Some("/nowhere/at/all.toml".as_ref()), "SETLIST", [], &[]);
    assert!(missing.expect_err("no file").to_string().contains("/nowhere/at/all.toml"));
}

#[test]
fn a_dump_reads_back_as_the_same_configuration() {
    let layers = Layers::new().option("ratio", "0.25").option("weights.fresh", "0.5");
    let config = layers.load().expect("good");
    let text = config::dump(&config);
    assert_eq!(Layers::new().file(&text).load().expect("the dump is good"), config);
}

#[test]
fn a_dump_holds_no_secret() {
    let config = Layers::new().option("store.password", "hunter2").load().expect("good");
    let text = config::dump(&config);
    assert!(!text.contains("hunter2"), "{text}");
    Layers::new().file(&text).load().expect("still valid");
}
