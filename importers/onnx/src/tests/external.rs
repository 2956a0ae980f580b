//! External data, and the ways out of the model's folder.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A folder of its own, removed at the end, with a model's folder in it.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new(test: &str) -> Sandbox {
        let root = std::env::temp_dir().join(format!("nablac-onnx-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("model/data")).unwrap();
        Sandbox(root)
    }

    fn folder(&self) -> PathBuf {
        self.0.join("model")
    }

    fn write(&self, path: &str) {
        let floats: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(self.0.join(path), floats).unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn outside(entries: &[(&str, &str)]) -> Model {
    let mut model = small();
    let entry = |&(key, value): &(&str, &str)| Entry { key: key.into(), value: value.into() };
    model.graph.as_mut().unwrap().initializer[0] = Tensor {
        name: "w".into(),
        dims: vec![3],
        data_type: 1,
        data_location: EXTERNAL,
        external_data: entries.iter().map(entry).collect(),
        ..Tensor::default()
    };
    model
}

#[test]
fn data_beside_the_model_is_read() {
    let sandbox = Sandbox::new("read");
    sandbox.write("model/data/w.bin");
    let model =
        outside(&[("location", "./data/w.bin"), ("offset", "4"), ("length", "12"), ("checksum", "00")]);
    let source = import_in(&model, &sandbox.folder()).unwrap();
    assert_eq!(source.constants["w"].to_f64(), [1.0, 2.0, 3.0]);
    let path = sandbox.folder().join("m.onnx");
    fs::write(&path, model.encode_to_vec()).unwrap();
    assert_eq!(crate::read(&path, &Limits::default()).unwrap().constants["w"].to_f64(), [1.0, 2.0, 3.0]);
    assert_fails(import(&model), Fault::Unsupported, &["`w`", "folder"]);
}

#[test]
fn offset_and_length_stay_within_the_file() {
    let sandbox = Sandbox::new("length");
    sandbox.write("model/w.bin");
    let at = |offset: &str, length: &str| {
        let model = outside(&[("location", "w.bin"), ("offset", offset), ("length", length)]);
        import_in(&model, &sandbox.folder())
    };
    assert!(at("0", "12").is_ok());
    assert_fails(at("5", "12"), Fault::Malformed, &["`w`", "12 bytes at offset 5", "16"]);
    assert_fails(at("18446744073709551615", "12"), Fault::Malformed, &["`w`", "w.bin"]);
    assert_fails(at("0", "11"), Fault::Malformed, &["length", "11"]);
    assert_fails(at("-1", "12"), Fault::Malformed, &["offset", "-1"]);
    assert_fails(import_in(&outside(&[]), &sandbox.folder()), Fault::Malformed, &["`w`", "no location"]);
}

#[test]
fn the_total_of_external_data_is_limited() {
    let sandbox = Sandbox::new("total");
    sandbox.write("model/w.bin");
    let mut model = outside(&[("location", "w.bin")]);
    let graph = model.graph.as_mut().unwrap();
    for number in 0..20 {
        let again = Tensor { name: format!("w{number}"), ..graph.initializer[0].clone() };
        graph.initializer.push(again);
    }
    let bytes = model.encode_to_vec();
    let limits = Limits { file_bytes: bytes.len() as u64 + 100, ..Limits::default() };
    let result = parse(&bytes, Some(&sandbox.folder()), &limits);
    assert_fails(result, Fault::Limit, &["--limit-file-bytes", "`w7`"]);
}

#[test]
fn ways_out_of_the_folder_are_refused() {
    let sandbox = Sandbox::new("escape");
    sandbox.write("secret.bin");
    sandbox.write("model/w.bin");
    let at = |location: &str| import_in(&outside(&[("location", location)]), &sandbox.folder());
    let absolute = sandbox.0.join("model/w.bin").display().to_string();
    assert_fails(at("../secret.bin"), Fault::Malformed, &["`w`", "../secret.bin", "`..`"]);
    assert_fails(at("data/../w.bin"), Fault::Malformed, &["`..`"]);
    assert_fails(at(&absolute), Fault::Malformed, &["relative"]);
    assert_fails(at("data"), Fault::Malformed, &["regular file"]);
    assert_fails(at("."), Fault::Malformed, &["regular file"]);
    assert_fails(at("absent.bin"), Fault::Io, &["absent.bin"]);
    assert_fails(at("w.bin/x"), Fault::Io, &["w.bin"]);
    assert_fails(at("nul\0byte"), Fault::Io, &["nul"]);
}

#[cfg(unix)]
#[test]
fn links_are_refused() {
    let sandbox = Sandbox::new("links");
    sandbox.write("secret.bin");
    sandbox.write("model/w.bin");
    let (folder, secret) = (sandbox.folder(), sandbox.0.join("secret.bin"));
    std::os::unix::fs::symlink(&secret, folder.join("symbolic.bin")).unwrap();
    std::os::unix::fs::symlink("w.bin", folder.join("inside.bin")).unwrap();
    std::os::unix::fs::symlink(&sandbox.0, folder.join("up")).unwrap();
    fs::hard_link(&secret, folder.join("hard.bin")).unwrap();
    let at = |location: &str| import_in(&outside(&[("location", location)]), &folder);
    for location in ["symbolic.bin", "inside.bin", "up/secret.bin"] {
        assert_fails(at(location), Fault::Malformed, &[location, "symbolic link"]);
    }
    assert_fails(at("hard.bin"), Fault::Malformed, &["hard.bin", "hard link"]);
    assert!(at("w.bin").is_ok());
    fs::remove_file(&secret).unwrap();
    assert!(at("hard.bin").is_ok(), "the only link that is left is no way out");
}

#[cfg(unix)]
#[test]
fn a_pipe_does_not_hang() {
    let sandbox = Sandbox::new("pipe");
    let path = sandbox.folder().join("pipe.bin");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let result = import_in(&outside(&[("location", "pipe.bin")]), &sandbox.folder());
    assert_fails(result, Fault::Malformed, &["regular file"]);
}
