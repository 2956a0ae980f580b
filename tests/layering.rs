//! Which crate may use which: the table of ARCHITECTURE.md, held against what cargo says.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

/// A crate, and the crates of this workspace that it may import. What only its tests import is free.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("nablac-index", &[]),
    ("nablac-graph", &["nablac-index"]),
    ("nablac-loops", &["nablac-index"]),
    ("nablac-onnx", &["nablac-index", "nablac-graph"]), // arrays and element types are index's
    ("nablac-tflite", &["nablac-index", "nablac-graph"]),
    ("nablac-machine", &["nablac-index", "nablac-loops"]),
    ("nablac-predictor", &["nablac-index", "nablac-loops", "nablac-machine"]),
    ("nablac-c", &["nablac-index", "nablac-loops", "nablac-machine"]),
    ("nablac-run", &["nablac-machine", "nablac-c"]),
    ("nablac-qemu-plugin", &[]),
];

/// The root package may import all of them; nobody imports it.
const ROOT: &str = "nablac";

/// The crates of the workspace with those of their dependencies that are in it too.
fn imports() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_string();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<String> = packages.iter().map(name).collect();
    let own = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let used = dependencies.iter().filter(|d| d["kind"] != "dev").map(name);
        used.filter(|name| names.contains(name)).collect()
    };
    packages.iter().map(|package| (name(package), own(package))).collect()
}

#[test]
fn every_import_is_allowed() {
    for (package, imported) in imports() {
        if package == ROOT {
            continue;
        }
        let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == package);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("`{package}` has no row in MAY_IMPORT"));
        for import in imported {
            assert!(allowed.contains(&import.as_str()), "`{package}` may not import `{import}`");
        }
    }
}

#[test]
fn the_table_has_no_circle_and_no_crate_too_many() {
    let known: Vec<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    for (position, (name, allowed)) in MAY_IMPORT.iter().enumerate() {
        for import in *allowed {
            let above = known[..position].contains(import);
            assert!(above, "`{name}` may import `{import}`, which does not stand above it");
        }
    }
    let existing = imports();
    assert_eq!(existing.len(), known.len() + 1, "crates without a row, or rows without a crate");
    known.iter().for_each(|name| assert!(existing.contains_key(*name), "there is no crate `{name}`"));
}
