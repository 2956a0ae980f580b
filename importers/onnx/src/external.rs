//! External data: tensor bytes in files beside the model.
//!
//! Owns the rules of where such a file may lie, which keep a stranger's model from reading other files: the path
//! is relative and has no `..`, no part of it is a symbolic link, the file is a regular one inside the model's
//! folder, and no other directory entry points to it. A stated checksum is not verified.

use std::fs::{self, File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use nablac_graph::limits::{Limit, Limits};

use crate::Error;
use crate::proto::Entry;

/// Reads external data, and counts its bytes together with the model's own.
pub(crate) struct External<'a> {
    limits: &'a Limits,
    folder: Option<&'a Path>,
    total: u64,
}

/// What the entries of one tensor say.
struct Reference<'a> {
    tensor: &'a str,
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl Reference<'_> {
    fn broken(&self, problem: impl Into<String>) -> Error {
        Error::External {
            tensor: self.tensor.into(),
            location: self.location.into(),
            problem: problem.into(),
        }
    }
}

impl<'a> External<'a> {
    pub fn new(limits: &'a Limits, folder: Option<&'a Path>, model_bytes: u64) -> External<'a> {
        External { limits, folder, total: model_bytes }
    }

    /// The `expected` bytes of `tensor`.
    pub fn read(&mut self, entries: &[Entry], tensor: &str, expected: usize) -> Result<Vec<u8>, Error> {
        let reference = reference(entries, tensor)?;
        let Some(folder) = self.folder else {
            let what = format!("tensor `{tensor}` lies outside the model, whose folder is not known");
            return Err(Error::unsupported(what));
        };
        if reference.length.is_some_and(|length| length != expected as u64) {
            let problem =
                format!("length says {} bytes, the shape {expected}", reference.length.unwrap_or(0));
            return Err(reference.broken(problem));
        }
        self.total = self.total.saturating_add(expected as u64);
        self.limits.check(Limit::FileBytes, self.total, || {
            format!("the model, with tensor `{tensor}` and the external data before it")
        })?;
        let (mut file, path, size) = open(folder, &reference)?;
        let end = reference.offset.checked_add(expected as u64);
        if end.is_none_or(|end| end > size) {
            let problem =
                format!("{expected} bytes at offset {} are expected, the file has {size}", reference.offset);
            return Err(reference.broken(problem));
        }
        let mut bytes = vec![0; expected];
        let failed = |source| Error::Io { path, source };
        file.seek(SeekFrom::Start(reference.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(failed)?;
        Ok(bytes)
    }
}

fn reference<'a>(entries: &'a [Entry], tensor: &'a str) -> Result<Reference<'a>, Error> {
    let mut reference = Reference { tensor, location: "", offset: 0, length: None };
    for entry in entries {
        let number = || {
            entry.value.parse::<u64>().map_err(|_| {
                let problem = format!("external {} is `{}`, a number is expected", entry.key, entry.value);
                Error::model(format!("tensor `{tensor}`"), problem)
            })
        };
        match entry.key.as_str() {
            "location" => reference.location = &entry.value,
            "offset" => reference.offset = number()?,
            "length" => reference.length = Some(number()?),
            _ => {}
        }
    }
    if reference.location.is_empty() {
        return Err(Error::model(format!("tensor `{tensor}`"), "its external data has no location"));
    }
    Ok(reference)
}

/// Opens the file that `reference` names, its path and its size.
fn open(folder: &Path, reference: &Reference) -> Result<(File, PathBuf, u64), Error> {
    let failed = |path: &Path, source| Error::Io { path: path.to_path_buf(), source };
    let folder = folder.canonicalize().map_err(|e| failed(folder, e))?;
    let mut path = folder.clone();
    let mut entry = None;
    for component in Path::new(reference.location).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            Component::ParentDir => return Err(reference.broken("`..` is not allowed")),
            _ => return Err(reference.broken("a path relative to the model is expected")),
        }
        let found = fs::symlink_metadata(&path).map_err(|e| failed(&path, e))?;
        if found.is_symlink() {
            return Err(reference.broken(format!("`{}` is a symbolic link", path.display())));
        }
        entry = Some(found);
    }
    let Some(entry) = entry.filter(Metadata::is_file) else {
        return Err(reference.broken("a regular file is expected"));
    };
    if !path.canonicalize().map_err(|e| failed(&path, e))?.starts_with(&folder) {
        return Err(reference.broken("it lies outside the model's folder"));
    }
    let file = File::open(&path).map_err(|e| failed(&path, e))?;
    let opened = file.metadata().map_err(|e| failed(&path, e))?;
    if !same_file(&entry, &opened) {
        return Err(reference.broken("the file was exchanged while it was opened"));
    }
    if links(&opened) != 1 {
        let problem = "the file has more than one hard link; copy it to give the model its own";
        return Err(reference.broken(problem));
    }
    Ok((file, path, opened.len()))
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(unix)]
fn links(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

// Elsewhere the standard library tells neither a file's identity nor its links.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn links(_: &Metadata) -> u64 {
    1
}
