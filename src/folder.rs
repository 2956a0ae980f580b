//! The output folder, or a single file: written beside its place, then renamed, so that it is never half there.
//!
//! Owns which folders may be replaced: empty ones, and those whose `metadata.json` says that nablac wrote them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Code, Failure, Result};

/// A file of the output folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Its path within the folder, with `/` between names.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The files of generated C.
pub fn files_of(folder: &nablac_c::Folder) -> Vec<File> {
    let file = |path: &Path, bytes: &[u8]| {
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        File { path: names.join("/"), bytes: bytes.to_vec() }
    };
    let texts = folder.files.iter().map(|(path, text)| file(path, text.as_bytes()));
    texts.chain(folder.blob.iter().map(|blob| file(&blob.file, &blob.bytes))).collect()
}

/// The file that says who wrote a folder.
pub const METADATA: &str = "metadata.json";

/// The value of `generator` in it.
pub const GENERATOR: &str = "nablac";

/// Replaces `folder` by `files`. A folder of somebody else's is only replaced with `force`.
pub fn write(folder: &Path, files: &[File], force: bool) -> Result<()> {
    check_replaceable(folder, force)?;
    let failed = |error: io::Error| Failure::write(folder, error);
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    // Removed again when it is dropped before it is kept.
    let fresh = tempfile::Builder::new().prefix(".nablac-").tempdir_in(parent).map_err(failed)?;
    // A temporary folder is its owner's alone; this one is to be like any other.
    let made = fresh.path().join("made");
    fill(&made, files).map_err(failed)?;
    replace(folder, &made, &fresh.path().join("replaced")).map_err(failed)
}

/// Replaces one file, so that it is never half there.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: io::Error| Failure::write(path, error);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let fresh = tempfile::Builder::new().prefix(".nablac-").tempdir_in(parent).map_err(failed)?;
    let made = fresh.path().join("made");
    fs::write(&made, bytes).and_then(|()| fs::rename(&made, path)).map_err(failed)
}

/// Fails where `write` would refuse, before any work is done.
pub fn check_replaceable(folder: &Path, force: bool) -> Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::write(folder, error)),
    };
    if force || entries.next().is_none() || is_ours(folder) {
        return Ok(());
    }
    let message = format!("{} holds files that nablac did not write", folder.display());
    Err(Failure::new(Code::ForeignFolder, message).help("name another folder, or replace it with `--force`"))
}

fn is_ours(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join(METADATA)).unwrap_or_default();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    metadata["generator"] == GENERATOR
}

/// Writes files into a new folder.
pub fn fill(folder: &Path, files: &[File]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for file in files {
        let path: PathBuf = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &file.bytes)?;
    }
    Ok(())
}

/// Puts `made` in the place of `folder`; what was there goes to `replaced`, and comes back if the rest fails.
fn replace(folder: &Path, made: &Path, replaced: &Path) -> io::Result<()> {
    let existed = folder.exists();
    if existed {
        fs::rename(folder, replaced)?;
    }
    let result = fs::rename(made, folder);
    if result.is_err() && existed {
        fs::rename(replaced, folder)?;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<File> {
        let metadata = format!("{{\"generator\": \"{GENERATOR}\"}}").into_bytes();
        vec![
            File { path: METADATA.into(), bytes: metadata },
            File { path: "src/a.c".into(), bytes: text.as_bytes().to_vec() },
        ]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_of_ours_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/out");
        write(&folder, &files("one"), false).unwrap();
        fs::write(folder.join("stray"), "x").unwrap();
        write(&folder, &files("two"), false).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/a.c")).unwrap(), "two");
        assert_eq!(names(&folder), [METADATA, "src"]);
        assert_eq!(names(&place.path().join("deep")), ["out"]);
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("out");
        fs::create_dir(&folder).unwrap();
        write(&folder, &files("empty is free"), false).unwrap();
        fs::remove_file(folder.join(METADATA)).unwrap();
        assert_eq!(write(&folder, &files("x"), false).unwrap_err().code, Code::ForeignFolder);
        assert_eq!(names(&folder), ["src"]);
        write(&folder, &files("forced"), true).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/a.c")).unwrap(), "forced");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "x").unwrap();
        for folder in [file.clone(), file.join("below")] {
            let failure = write(&folder, &files("x"), true).unwrap_err();
            assert_eq!(failure.code, Code::Write);
            assert!(failure.message.contains(&folder.display().to_string()), "{failure}");
        }
        assert_eq!(names(place.path()), ["file"]);
    }
}
