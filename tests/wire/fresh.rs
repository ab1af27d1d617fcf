//! Generated code is what the generator makes of `proto/` now.

use std::{collections::BTreeSet, fs};

use tests::root;

use crate::{
    generate::{FOLDER, compile, outputs},
    updating,
};

#[test]
fn generated_code_is_fresh() {
    let folder = root().join(FOLDER);
    let expected = outputs(&compile(&root()).unwrap()).unwrap();
    let mut stale = BTreeSet::new();
    for (name, content) in &expected {
        if fs::read(folder.join(name)).ok().as_ref() != Some(content) {
            stale.insert(name.clone());
            if updating() {
                fs::write(folder.join(name), content).unwrap();
            }
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name != "mod.rs" && !expected.contains_key(&name) {
            if updating() {
                fs::remove_file(folder.join(&name)).unwrap();
            }
            stale.insert(name);
        }
    }
    assert!(updating() || stale.is_empty(), "not fresh: {stale:?}; run this test with UPDATE_GENERATED=1");
}
