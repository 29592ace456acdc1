//! Files beside the tests, as JSON.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The repository's path of a file, from its path within the crate.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder, in order.
#[allow(dead_code, reason = "not every test file reads folders")]
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(path(folder)).expect(folder).map(|entry| entry.expect(folder).path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}
