//! A corpus of broken releases: each is refused with its reason while the old one serves.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use releases::{
    Error, Meta, Parts, Watch,
    manifest::FileEntry,
    watch::{Checked, Requirements},
};
use shared_models::{ReleaseId, SystemClock};

use crate::world::{SCHEMA, World, meta, parts, world};

const HEADER: usize = 64;
const ROWS: usize = 300;

/// One way to break a release, and the reasons with which it may be refused.
struct Case {
    name: String,
    break_it: Box<dyn Fn(&Path)>,
    reasons: &'static [&'static str],
}

fn case(name: impl Into<String>, reasons: &'static [&'static str], break_it: impl Fn(&Path) + 'static) -> Case {
    Case { name: name.into(), break_it: Box::new(break_it), reasons }
}

fn edit(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Damage after writing: the hashes catch it.
fn damaged() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in [
        "items.bin",
        "factors.bin",
        "content.bin",
        "neighbours.bin",
        "popularity.bin",
        "rates.bin",
        "segments.bin",
        "scorer.json",
        "notes.txt",
    ] {
        for part in 0..8 {
            cases.push(case(format!("{file} cut to {part}/8"), &["wrong_size"], move |folder| {
                edit(&folder.join(file), |bytes| bytes.truncate(bytes.len() * part / 8));
            }));
            cases.push(case(format!("{file} with a bit flipped at {part}/8"), &["wrong_hash"], move |folder| {
                edit(&folder.join(file), |bytes| {
                    let at = bytes.len() * part / 8;
                    bytes[at] ^= 1 << part;
                });
            }));
        }
        cases.push(case(format!("{file} ten times as large"), &["wrong_size"], move |folder| {
            edit(&folder.join(file), |bytes| *bytes = bytes.repeat(10));
        }));
        cases.push(case(format!("{file} zeroed"), &["wrong_hash"], move |folder| {
            edit(&folder.join(file), |bytes| bytes.fill(0));
        }));
        cases.push(case(format!("{file} missing"), &["file_missing"], move |folder| {
            fs::remove_file(folder.join(file)).unwrap();
        }));
    }
    for part in 0..8 {
        cases.push(case(format!("manifest cut to {part}/8"), &["wrong_hash"], move |folder| {
            edit(&folder.join("manifest.json"), |bytes| bytes.truncate(bytes.len() * part / 8));
        }));
        cases.push(case(format!("manifest with a bit flipped at {part}/8"), &["wrong_hash"], move |folder| {
            edit(&folder.join("manifest.json"), |bytes| {
                let at = bytes.len() * part / 8;
                bytes[at] ^= 1;
            });
        }));
    }
    cases.push(case("manifest missing", &["file_missing"], |folder| {
        fs::remove_file(folder.join("manifest.json")).unwrap();
    }));
    cases.push(case("manifest of two megabytes", &["wrong_size"], |folder| {
        edit(&folder.join("manifest.json"), |bytes| bytes.resize(2 << 20, b' '));
    }));
    cases
}

/// One way to write nonsense with true hashes: only the checks of the content can catch it.
struct Forged {
    name: String,
    file: &'static str,
    change: Box<dyn Fn(&mut Vec<u8>)>,
    reason: &'static str,
}

fn forged() -> Vec<Forged> {
    let mut cases = Vec::new();
    let mut add = |name: &str, file, reason, change: Box<dyn Fn(&mut Vec<u8>)>| {
        cases.push(Forged { name: format!("{file} with {name}"), file, change, reason });
    };
    let put = |at: usize, value: [u8; 4]| -> Box<dyn Fn(&mut Vec<u8>)> {
        Box::new(move |bytes| bytes[at..at + 4].copy_from_slice(&value))
    };
    let put_8 = |at: usize, value: u64| -> Box<dyn Fn(&mut Vec<u8>)> {
        Box::new(move |bytes| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes()))
    };

    for file in
        ["items.bin", "factors.bin", "content.bin", "neighbours.bin", "popularity.bin", "rates.bin", "segments.bin"]
    {
        add("nothing in it", file, "empty", Box::new(Vec::clear));
        add("half a header", file, "wrong_length", Box::new(|bytes| bytes.truncate(HEADER / 2)));
        add("another magic", file, "wrong_header", put(0, *b"ELF\0"));
        add("another kind", file, "wrong_header", put(8, 99_u32.to_le_bytes()));
        add("another version", file, "wrong_header", put(12, 2_u32.to_le_bytes()));
        add("reserved bits", file, "wrong_header", put_8(56, 1));
        add("NaN as a parameter", file, "not_finite", put(40, f32::NAN.to_le_bytes()));
        add(
            "2^63 rows",
            file,
            match file {
                "factors.bin" => "wrong_dimension",
                "rates.bin" => "out_of_range",
                _ => "wrong_length",
            },
            put_8(16, 1 << 63),
        );
        add("trailing bytes", file, "wrong_length", Box::new(|bytes| bytes.extend([0; 4])));
        for cut in 1..16 {
            let reason = "wrong_length";
            add(
                &format!("its last {cut} words cut"),
                file,
                reason,
                Box::new(move |bytes| bytes.truncate(bytes.len() - 4 * cut)),
            );
        }
    }
    add("two keys swapped", "items.bin", "out_of_order", Box::new(|bytes| bytes[HEADER..HEADER + 16].rotate_left(8)));
    add("key 0", "items.bin", "out_of_range", put_8(HEADER, 0));
    add(
        "no rows",
        "items.bin",
        "empty",
        Box::new(|bytes| {
            bytes[16..24].fill(0);
            bytes.truncate(HEADER);
        }),
    );
    for (name, value) in [("NaN", f32::NAN), ("infinity", f32::INFINITY), ("minus infinity", f32::NEG_INFINITY)] {
        let value = value.to_le_bytes();
        for at in [0, 77, ROWS * 16 - 1] {
            add(&format!("{name} in row value {at}"), "factors.bin", "not_finite", put(HEADER + 4 * (144 + at), value));
        }
        add(&format!("{name} in the gram matrix"), "factors.bin", "not_finite", put(HEADER + 4 * 5, value));
        let last = Box::new(move |bytes: &mut Vec<u8>| {
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(&value);
        });
        add(&format!("{name} as its last score"), "neighbours.bin", "not_finite", last.clone());
        add(&format!("{name} as its last score"), "popularity.bin", "not_finite", last);
        add(&format!("{name} in its first row"), "popularity.bin", "not_finite", put(HEADER, value));
    }
    add("13 dimensions", "factors.bin", "wrong_length", put_8(24, 13));
    add("no dimensions", "factors.bin", "wrong_length", put_8(24, 0));
    add("2^40 dimensions", "factors.bin", "out_of_range", put_8(24, 1 << 40));
    add("one row less", "factors.bin", "wrong_dimension", put_8(16, ROWS as u64 - 1));
    add("negative alpha", "factors.bin", "out_of_range", put(40, (-1.0_f32).to_le_bytes()));
    add("only zeros", "factors.bin", "check_failed", Box::new(|bytes| bytes[HEADER..].fill(0)));
    add("offsets from 1", "neighbours.bin", "out_of_order", put(HEADER, 1_u32.to_le_bytes()));
    add("offsets that go back", "neighbours.bin", "out_of_order", put(HEADER + 4 * 7, 99_u32.to_le_bytes()));
    add(
        "an item past the end",
        "neighbours.bin",
        "out_of_range",
        put(HEADER + 4 * (ROWS + 1), (ROWS as u32).to_le_bytes()),
    );
    add(
        "rising scores",
        "neighbours.bin",
        "out_of_order",
        put(HEADER + 4 * (ROWS + 1 + 2 * ROWS), 0.1_f32.to_le_bytes()),
    );
    add("a negative share", "popularity.bin", "out_of_range", put(HEADER, (-1.0_f32).to_le_bytes()));
    add("a market of digits", "popularity.bin", "out_of_range", put(HEADER + 4 * ROWS, *b"12\0\0"));
    add("markets out of order", "popularity.bin", "out_of_order", put(HEADER + 4 * ROWS, *b"ZZ\0\0"));
    // Two words, their scales, one number's mean and deviation, and then four rows of weights.
    let weights = HEADER + 16 + 8 + 8;
    add("words swapped", "content.bin", "out_of_order", Box::new(|bytes| bytes[HEADER..HEADER + 16].rotate_left(8)));
    add("a word of no weight", "content.bin", "out_of_range", put(HEADER + 16, 0.0_f32.to_le_bytes()));
    add("a number that never differs", "content.bin", "out_of_range", put(HEADER + 28, 0.0_f32.to_le_bytes()));
    add("pretended makers below none", "content.bin", "out_of_range", put(40, (-1.0_f32).to_le_bytes()));
    add("half a named number", "content.bin", "out_of_range", put(44, 0.5_f32.to_le_bytes()));
    add("fewer named numbers than none", "content.bin", "out_of_range", put(44, (-2.0_f32).to_le_bytes()));
    add("more named numbers than bytes", "content.bin", "wrong_length", put(44, 60_000.0_f32.to_le_bytes()));
    add("infinity as its last weight", "content.bin", "not_finite", put(weights + 4 * 47, f32::INFINITY.to_le_bytes()));
    add("only zeros", "content.bin", "check_failed", Box::new(move |bytes| bytes[weights..].fill(0)));
    add("another 16 dimensions", "content.bin", "wrong_length", put_8(24, 16));
    add(
        "16 dimensions",
        "content.bin",
        "wrong_dimension",
        Box::new(|bytes| {
            bytes[24] = 16;
            bytes.resize(bytes.len() + 4 * 4 * 4, 0);
        }),
    );
    // Three segments' names, their offsets, six rows, six scores.
    let rows = HEADER + 3 * 8 + 4 * 4;
    add("nobody's list", "segments.bin", "out_of_range", put(HEADER, *b"12\0\0"));
    add("a fifth quarter", "segments.bin", "out_of_range", put(HEADER + 16, *b"SE\x05\0"));
    add("segments out of order", "segments.bin", "out_of_order", put(HEADER + 8, *b"ZZ\x01\0"));
    add("no list of everybody", "segments.bin", "check_failed", put(HEADER, *b"AA\0\0"));
    add("an item past the end", "segments.bin", "out_of_range", put(rows, (ROWS as u32).to_le_bytes()));
    add("an item twice", "segments.bin", "check_failed", put(rows + 4, 0_u32.to_le_bytes()));
    add("rising scores", "segments.bin", "out_of_order", put(rows + 6 * 4, 0.5_f32.to_le_bytes()));
    add("NaN as a score", "segments.bin", "not_finite", put(rows + 6 * 4, f32::NAN.to_le_bytes()));
    add("nothing in it", "scorer.json", "empty", Box::new(Vec::clear));
    add("half an object", "scorer.json", "unreadable", Box::new(|bytes| bytes.truncate(20)));
    add("a list", "scorer.json", "unreadable", Box::new(|bytes| *bytes = b"[1, 2]".to_vec()));
    add("NaN", "scorer.json", "unreadable", Box::new(|bytes| *bytes = br#"{"bias": NaN}"#.to_vec()));
    add("a number past f64", "scorer.json", "unreadable", Box::new(|bytes| *bytes = br#"{"bias": 1e999}"#.to_vec()));
    cases
}

/// A watch that serves a sound release; every case must leave it serving.
fn serving(world: &World) -> (Watch, ReleaseId) {
    let requirements = Requirements { feature_schema: Some(SCHEMA), check: None };
    let watch = Watch::new(world.store.clone(), world.tenant.clone(), requirements, Arc::new(SystemClock));
    let good = world.store.write(&world.tenant, &parts(ROWS, 7), meta(1)).unwrap();
    watch.activate(&good).unwrap();
    (watch, good)
}

fn assert_refused(world: &World, watch: &Watch, good: &ReleaseId, bad: &ReleaseId, name: &str, reasons: &[&str]) {
    // The pointer is set by hand: `promote` itself would refuse.
    let refusal = world.store.promote(&world.tenant, bad).unwrap_err();
    assert!(matches!(refusal, Error::Refused { .. }) && reasons.contains(&refusal.reason()), "{name}: {refusal:?}");
    fs::write(world.folder.path().join("demo/LIVE"), bad.as_str()).unwrap();
    let error = watch.check_now().unwrap_err();
    assert_eq!(error.reason(), refusal.reason(), "{name}");
    assert_eq!(watch.check_now().unwrap(), Checked::StillRefused { id: bad.clone() }, "{name}");
    assert_eq!(watch.status().refused[bad].reason, error.reason(), "{name}");
    assert_eq!(watch.current().unwrap().id(), good, "{name}");
}

#[test]
fn damaged_releases_are_refused_while_the_old_one_serves() {
    let world = world();
    let (watch, good) = serving(&world);
    let cases = damaged();
    assert!(cases.len() > 100);
    for (n, case) in cases.iter().enumerate() {
        let bad = world.store.write(&world.tenant, &parts(ROWS, 8), meta(2 + n as i64)).unwrap();
        let folder = world.folder.path().join("demo").join(bad.as_str());
        (case.break_it)(&folder);
        assert_refused(&world, &watch, &good, &bad, &case.name, case.reasons);
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn forged_releases_are_refused_while_the_old_one_serves() {
    let world = world();
    let (watch, good) = serving(&world);
    let cases = forged();
    assert!(cases.len() > 100);
    let sound = files_of(&world, &parts(ROWS, 8));
    for (n, case) in cases.iter().enumerate() {
        let mut files = sound.clone();
        (case.change)(files.get_mut(case.file).unwrap());
        let mut writer = world.store.writer(&world.tenant).unwrap();
        for (name, bytes) in &files {
            writer.add_file(name, bytes).unwrap();
        }
        let bad = writer.commit(meta(2 + n as i64)).unwrap();
        assert_refused(&world, &watch, &good, &bad, &case.name, &[case.reason]);
        fs::remove_dir_all(world.folder.path().join("demo").join(bad.as_str())).unwrap();
    }
}

#[test]
fn a_release_without_items_is_refused() {
    let world = world();
    let (watch, good) = serving(&world);
    let bad = world.store.writer(&world.tenant).unwrap().commit(Meta::default()).unwrap();
    assert_refused(&world, &watch, &good, &bad, "no files", &["file_missing"]);
}

#[test]
fn a_repaired_release_can_be_activated() {
    let world = world();
    let (watch, _) = serving(&world);
    let bad = world.store.write(&world.tenant, &parts(ROWS, 8), meta(2)).unwrap();
    let file = world.folder.path().join("demo").join(bad.as_str()).join("scorer.json");
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(watch.activate(&bad).unwrap_err().reason(), "file_missing");
    fs::write(&file, bytes).unwrap();
    watch.activate(&bad).unwrap();
    assert_eq!(watch.current().unwrap().id(), &bad);
    assert!(watch.status().refused.is_empty());
}

fn files_of(world: &World, parts: &Parts) -> BTreeMap<String, Vec<u8>> {
    let id = world.store.write(&world.tenant, parts, meta(0)).unwrap();
    let folder = world.folder.path().join("demo").join(id.as_str());
    let files: BTreeMap<String, FileEntry> = world.store.manifest(&world.tenant, &id).unwrap().files;
    files.into_keys().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}
