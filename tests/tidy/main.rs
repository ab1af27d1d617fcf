//! House rules of files and docs, as ordinary tests: a developer sees every failure at once.

use tests::{files, relative, root};

/// A file may have at most this many lines.
const LINES: usize = 600;
/// A service's `main.rs` may have at most this many.
const MAIN_LINES: usize = 60;

fn sources() -> Vec<(String, String)> {
    let mut all = files(&root().join("crates"), &[".rs"]);
    all.extend(files(&root().join("tests"), &[".rs"]));
    all.into_iter()
        .map(|path| (relative(&path), std::fs::read_to_string(&path).unwrap()))
        .filter(|(path, _)| !path.contains("/generated/"))
        .collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} file(s):\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let wrong: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    report(&wrong);
}

#[test]
fn files_are_short() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            let most = if path.ends_with("/main.rs") && path.contains("/src/") { MAIN_LINES } else { LINES };
            (lines > most).then(|| format!("{path}: {lines} lines, at most {most}"))
        })
        .collect();
    report(&wrong);
}

#[test]
fn a_todo_has_an_issue_and_nothing_is_allowed_silently() {
    let mut wrong = Vec::new();
    let (allow, ignore, todo) = (["#[", "allow("].concat(), ["#[", "ignore"].concat(), ["TO", "DO"].concat());
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let numbered = || format!("{path}:{}: {}", number + 1, line.trim());
            if line.contains(&allow) || line.contains(&ignore) {
                wrong.push(numbered());
            }
            if line.contains(&todo) && !line.contains(&format!("{todo}(#")) {
                wrong.push(numbered());
            }
        }
    }
    report(&wrong);
}

#[test]
fn error_messages_are_lower_case_without_a_full_stop() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let Some(message) = line.trim().strip_prefix("#[error(\"") else { continue };
            let Some(end) = message.rfind('"') else { continue };
            let message = &message[..end];
            let first_word_is_lower =
                message.chars().next().is_some_and(|c| !c.is_uppercase()) || message.starts_with('I');
            if !first_word_is_lower || message.ends_with('.') {
                wrong.push(format!("{path}:{}: {message}", number + 1));
            }
        }
    }
    report(&wrong);
}

/// The test command builds no doc tests: an example in a comment would never run. Their code is text; what should run is a
/// test.
#[test]
fn comments_hold_no_code_that_would_have_to_run() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let fences = text.lines().enumerate().filter_map(|(number, line)| {
            let comment = line.trim().strip_prefix("//!").or_else(|| line.trim().strip_prefix("///"))?;
            Some((number, comment.trim().strip_prefix("```")?))
        });
        for (number, language) in fences.step_by(2) {
            if !["text", "json", "toml", "sh"].contains(&language) {
                wrong.push(format!("{path}:{}: ```{language}", number + 1));
            }
        }
    }
    report(&wrong);
}

#[test]
fn the_top_level_is_as_documented() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "crates",
        "proto",
        "deploy",
        "scripts",
        "tests",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "target",
        "clippy.toml",
        "rustfmt.toml",
        "rust-toolchain.toml",
        "deny.toml",
    ];
    let wrong: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !known.contains(&name.as_str()))
        .collect();
    report(&wrong);
}

/// Every `path` in backticks that looks like one of ours exists, and every crate has its README when
/// it is a service.
#[test]
fn docs_name_only_what_exists() {
    let mut wrong = Vec::new();
    for file in files(&root(), &[".md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in line.split('`').skip(1).step_by(2) {
                let path = word.split([' ', ':', '#']).next().unwrap_or(word);
                let ours = ["crates/", "scripts/", "docs/", "proto/", "tests/", "deploy/"]
                    .iter()
                    .any(|folder| path.starts_with(folder));
                let pattern = path.contains(['*', '{', '<', '…']);
                if ours && !pattern && !root().join(path).exists() {
                    wrong.push(format!("{}:{}: {path} does not exist", relative(&file), number + 1));
                }
            }
        }
    }
    for service in ["edge-api", "candidate-generation", "ranking", "learning"] {
        let readme = root().join("crates").join(service).join("README.md");
        if !readme.exists() {
            wrong.push(format!("crates/{service}/README.md is missing"));
        }
    }
    report(&wrong);
}

/// Every `setlist <command>` that a document shows is a command of the binary.
#[test]
fn docs_name_only_commands_that_exist() {
    let commands = setlist::cli::commands();
    let mut wrong = Vec::new();
    for file in files(&root(), &[".md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches("$ ");
            let command = line
                .strip_prefix("setlist ")
                .or_else(|| line.split_once("-p setlist -- ").map(|(_, rest)| rest))
                .and_then(|rest| rest.split([' ', '`']).next());
            if let Some(command) = command
                && command.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                && !command.starts_with('-')
                && !commands.iter().any(|known| known == command)
                && text.lines().nth(number).is_some_and(|l| !l.contains("is "))
            {
                wrong.push(format!("{}:{}: `setlist {command}` is no command", relative(&file), number + 1));
            }
        }
    }
    report(&wrong);
}
