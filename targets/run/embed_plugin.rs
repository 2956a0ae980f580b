//! Compiles the counting plugin for QEMU and leaves it where `src/plugin.rs` embeds it, so that the finished executable
//! needs no file beside it and no Rust compiler at run time. QEMU's old and new plugin interfaces differ in nothing that the
//! plugin uses, yet each refuses the other's version number: it is compiled once for each.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The oldest version of each range that some QEMU accepts; `src/plugin.rs` says which QEMU takes which.
const API_VERSIONS: &[&str] = &["1", "2"];
const SOURCE: &str = "plugin/src/lib.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=embed_plugin.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for api in API_VERSIONS {
        let library = out.join(format!("nablac_qemu_plugin_{api}"));
        if ["linux", "macos"].contains(&variable("CARGO_CFG_TARGET_OS").as_str()) {
            compile(api, &library);
        } else if let Err(error) = std::fs::write(&library, []) {
            // Elsewhere QEMU's plugins cannot find its functions by name alone; an empty plugin says that there is none.
            fail(&format!("cannot write {}: {error}", library.display()));
        }
    }
}

fn compile(api: &str, library: &Path) {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "nablac_qemu_plugin"]);
    rustc.args(["-O", "-C", "panic=abort", "-C", "strip=symbols", "--target", &variable("TARGET")]);
    if variable("CARGO_CFG_TARGET_OS") == "macos" {
        rustc.args(["-C", "link-arg=-undefined", "-C", "link-arg=dynamic_lookup"]); // QEMU has the functions
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    rustc.arg("-o").arg(library).arg(SOURCE).env("NABLAC_QEMU_PLUGIN_API", api);
    match rustc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("the plugin does not compile: {status}")),
        Err(error) => fail(&format!("cannot start the Rust compiler: {error}")),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo sets no {name}")))
}

fn fail(reason: &str) -> ! {
    println!("cargo::error={reason}");
    exit(1)
}
