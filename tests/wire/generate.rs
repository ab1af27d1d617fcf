//! Compiles `proto/` and generates what `crates/contracts/src/generated` holds. There is no build script
//! and no `protoc`: a build needs neither, only this test generates.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorSet;

/// The name under which the descriptor set is committed.
pub(crate) const DESCRIPTOR_FILE: &str = "descriptor.bin";

/// The folder of generated code.
pub(crate) const FOLDER: &str = "crates/contracts/src/generated";

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// All contracts as they stand in `proto/`, with comments.
pub(crate) fn compile(root: &Path) -> Result<FileDescriptorSet> {
    let proto = root.join("proto");
    let mut files = Vec::new();
    proto_files(&proto, &mut files)?;
    files.sort();
    Ok(protox::compile(files, [proto])?)
}

/// What the folder of generated code must hold besides its `mod.rs`, by file name.
pub(crate) fn outputs(descriptors: &FileDescriptorSet) -> Result<BTreeMap<String, Vec<u8>>> {
    let folder = tempfile::tempdir()?;
    // The envelope is read and written by event-bus alone.
    let mut ours = descriptors.clone();
    ours.file.retain(|file| !file.name().ends_with("/envelope.proto"));
    tonic_prost_build::configure().bytes(".").out_dir(folder.path()).compile_fds(ours)?;
    let mut outputs = BTreeMap::new();
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        outputs.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    // Without comments: it is linked into every service, and they are two thirds of it.
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    outputs.insert(DESCRIPTOR_FILE.to_owned(), bare.encode_to_vec());
    Ok(outputs)
}
