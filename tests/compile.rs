//! `nablac compile`: what it writes, what it refuses to replace, and that the C builds and passes its own test.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nablac::npz;
use support::{Place, nablac, text};

const DIGITS: &str = "examples/digits.onnx";

fn compile(out: &Path, more: &[&str]) -> support::Outcome {
    let out = text(out);
    nablac(&[&["compile", DIGITS, "--target", "cortex-m4", "--out", &out], more].concat())
}

/// Every file of a folder with what it holds.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = contents(&path);
            found.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn the_folder_holds_what_the_report_lists() {
    let place = Place::new();
    let out = place.path("deep/digits");
    let outcome = compile(&out, &["--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let json = outcome.json();
    let listed: Vec<&str> = json["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, contents(&out).keys().collect::<Vec<_>>());
    let expected = ["include/digits.h", "src/digits.c", "CMakeLists.txt", "metadata.json", "LICENSE"];
    expected.iter().for_each(|file| assert!(listed.contains(file), "{file}"));
    let header = fs::read_to_string(out.join("include/digits.h")).unwrap();
    let arena = json["arena_bytes"].as_u64().unwrap();
    assert!(header.contains(&format!("#define DIGITS_ARENA_SIZE {arena}")), "{header}");
    assert!(json["weight_bytes"].as_u64().unwrap() >= 4 * 3842 - 4 * 32, "batch normalization is folded");
    assert!(outcome.stderr.contains("2 golden vectors in the interpreter"), "{}", outcome.stderr);
}

#[test]
fn the_report_says_how_good_the_plan_is_and_what_fills_the_arena() {
    let place = Place::new();
    let out = place.path("digits");
    let json = compile(&out, &["--json"]).json();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let arena = number(&json["arena_bytes"]);
    assert_eq!((&json["arena_optimal"], number(&json["arena_lower_bound"])), (&true.into(), arena));
    assert!(number(&json["arena_lower_bound_any_order"]) <= arena);
    let owners = json["peak"]["owners"].as_array().unwrap();
    assert!(owners.iter().any(|owner| number(&owner["arena_without"]) < arena), "{owners:?}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let (kernel, owner) = (&json["peak"]["kernel"], &owners[0]);
    for said in [
        format!("<h1>digits: {arena} bytes of arena</h1>"),
        format!("The fullest moment is {}", kernel.as_str().unwrap()),
        format!("<title>{}: {} bytes at ", owner["name"].as_str().unwrap(), owner["bytes"]),
        "output of the network".into(),
        "No plan for these buffers is smaller".into(),
    ] {
        assert!(page.contains(&said), "{said} in\n{page}");
    }
    // Every buffer with a place has its rectangle; nothing comes from elsewhere.
    let metadata: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("metadata.json")).unwrap()).unwrap();
    let placed = metadata["buffers"].as_array().unwrap().iter().filter(|b| b["offset"].is_u64()).count();
    assert_eq!(page.matches("<g class=").count(), placed);
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("), "{page}");
}

#[test]
fn the_same_model_gives_the_same_bytes_twice_and_anywhere() {
    let (here, there) = (Place::new(), Place::new());
    let model = there.file("digits.onnx", fs::read(DIGITS).unwrap());
    assert_eq!(compile(&here.path("a"), &[]).code, 0);
    let out = text(&there.path("b"));
    assert_eq!(nablac(&["compile", &model, "--target", "cortex-m4", "--out", &out]).code, 0);
    let (a, b) = (contents(&here.path("a")), contents(&there.path("b")));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    a.iter().for_each(|(file, bytes)| assert!(b[file] == *bytes, "{file} differs"));
    assert_eq!(compile(&here.path("a"), &[]).code, 0, "a folder of its own is replaced");
    assert!(contents(&here.path("a")) == a);
}

#[test]
fn golden_vectors_may_be_ones_own() {
    let place = Place::new();
    let inputs = npz::read("examples/digits.in.npz".as_ref()).unwrap();
    assert_eq!(inputs["images"].shape(), [10, 1, 8, 8]);
    let outcome = compile(&place.path("a"), &["--inputs", "examples/digits.in.npz", "--json"]);
    assert_eq!(outcome.json()["vectors"], 10);
}

#[test]
fn without_golden_vectors_there_is_no_self_test() {
    let place = Place::new();
    let out = place.path("a");
    let outcome = compile(&out, &["--vectors", "0", "--json"]);
    assert_eq!(outcome.json()["vectors"], 0);
    assert!(!outcome.stderr.contains("interpreter"), "{}", outcome.stderr);
    assert!(!out.join("test").exists());
    assert!(!fs::read_to_string(out.join("CMakeLists.txt")).unwrap().contains("selftest"));
    assert_eq!(compile(&place.path("b"), &["--vectors", "1", "--inputs", "examples/digits.in.npz"]).code, 2);
}

#[test]
fn budgets_are_kept_or_nothing_is_written() {
    let place = Place::new();
    let out = place.path("digits");
    let arena = compile(&out, &["--json"]).json()["arena_bytes"].as_u64().unwrap();
    fs::remove_dir_all(&out).unwrap();
    for (flags, code) in [
        (vec!["--ram", "1K"], "E0401"),
        (vec!["--flash", "8KiB"], "E0402"),
        (vec!["--ram", "1K", "--flash", "8K"], "E0402"),
    ] {
        let outcome = compile(&out, &flags);
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(code) && outcome.stderr.contains("are allowed"),
            "{}",
            outcome.stderr
        );
        assert!(!out.exists());
    }
    let exact = arena.to_string();
    assert_eq!(compile(&out, &["--ram", &exact, "--flash", "64K"]).code, 0);
    assert_eq!(compile(&out, &["--ram", "64 kilo"]).code, 2);
}

#[test]
fn other_peoples_folders_and_unwritable_places_are_left_alone() {
    let place = Place::new();
    let foreign = place.path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
    let outcome = compile(&foreign, &[]);
    assert!(outcome.code == 2 && outcome.stderr.contains("E0206"), "{}", outcome.stderr);
    assert_eq!(contents(&foreign).len(), 1);
    assert_eq!(compile(&foreign, &["--force"]).code, 0);
    let file = place.file("file", "x");
    for out in [file.clone(), format!("{file}/below")] {
        let outcome = compile(Path::new(&out), &[]);
        assert!(outcome.code == 2 && outcome.stderr.contains("E0202"), "{}", outcome.stderr);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
}

#[test]
fn a_failed_compilation_leaves_the_folder_as_it_was() {
    let place = Place::new();
    let out = place.path("digits");
    assert_eq!(compile(&out, &[]).code, 0);
    let before = contents(&out);
    assert_eq!(compile(&out, &["--ram", "1K"]).code, 4);
    let cut = place.file("cut.onnx", &fs::read(DIGITS).unwrap()[..9000]);
    assert_eq!(nablac(&["compile", &cut, "--target", "host", "--out", &text(&out)]).code, 7);
    assert!(contents(&out) == before);
}

#[test]
fn the_c_builds_everywhere_and_passes_its_own_test() {
    support::check_c(DIGITS.as_ref(), "digits");
}

#[test]
fn generated_c_gives_the_interpreters_numbers_on_every_target() {
    for target in nablac_machine::Machine::names() {
        let samples = ["--inputs", "examples/digits.in.npz", "--reference", "examples/digits.out.npz"];
        let outcome = nablac(&[&["verify", DIGITS, "--target", target], &samples[..]].concat());
        match outcome.code {
            6 => support::skipped(format!("{target}: {}", outcome.stderr)),
            code => assert_eq!(code, 0, "{target}: {}{}", outcome.stdout, outcome.stderr),
        }
    }
}

#[test]
fn bench_measures_what_it_says() {
    let outcome = nablac(&["bench", DIGITS, "--target", "cortex-m4", "--json"]);
    if outcome.code == 6 {
        support::skipped(&outcome.stderr);
        return;
    }
    let json = outcome.json();
    let figure = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("{name}: {json:#}"));
    assert!(figure("instructions") > 10_000 && figure("estimated_cycles") > figure("instructions"));
    let ram: u64 =
        ["arena_bytes", "context_bytes", "data_bytes", "bss_bytes", "stack_bytes"].map(figure).iter().sum();
    assert_eq!(figure("ram_bytes"), ram);
    let flash: u64 = ["text_bytes", "rodata_bytes", "data_bytes"].map(figure).iter().sum();
    assert_eq!(figure("flash_bytes"), flash);
    assert!(json["per_function"].as_array().unwrap().iter().any(|f| f["name"] == "digits_conv2"));
    let over = nablac(&["bench", DIGITS, "--target", "cortex-m4", "--flash", "20K"]);
    assert!(over.code == 4 && over.stdout.contains("flash bytes"), "{}", over.stderr);
    let here = nablac(&["bench", DIGITS, "--timing", "0.05", "--json"]).json();
    let seconds = |value: &serde_json::Value| value["seconds"].as_f64().unwrap();
    let (whole, layers) = (seconds(&here), here["layers"].as_array().unwrap());
    let sum: f64 = layers.iter().map(seconds).sum();
    // The shortest time of each layer is in no longer one of the whole, but for what the clocks take.
    assert!(sum > whole / 2.0 && sum < whole * 2.0, "{sum} {whole}");
    let shares: f64 = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9 && layers.iter().any(|l| l["macs_per_second"].as_f64() > Some(1e6)));
    let several = nablac(&["bench", DIGITS, "--target", "cortex-m3,cortex-m4", "--json"]).json();
    assert_eq!(several["results"].as_array().map(Vec::len), Some(2));
}
