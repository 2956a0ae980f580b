//! The counting plugin as the emulator loads it: which build of it suits which QEMU, and how it is told what to count.

use crate::Error;
use crate::command::write;
use std::path::Path;

/// What the plugin writes.
pub(crate) const COUNTS: &str = "counts.txt";

const LIBRARY: &str = "nablac_qemu_plugin.so";

/// The builds of the plugin: the first QEMU that takes it, and the library. QEMU 6.0 has plugin API 1; 8.2.4 dropped it and
/// accepts 2 and later, as do 9.x and 10.x.
const BUILDS: &[([u32; 3], &[u8])] = &[
    ([6, 0, 0], include_bytes!(concat!(env!("OUT_DIR"), "/nablac_qemu_plugin_1"))),
    ([8, 2, 4], include_bytes!(concat!(env!("OUT_DIR"), "/nablac_qemu_plugin_2"))),
];

/// Puts the plugin for the emulator of that `--version` into the folder `work`; gives the emulator's arguments.
pub(crate) fn install(version: &str, work: &Path, entry: u64, exit: u64) -> Result<Vec<String>, Error> {
    let unsupported =
        |reason: &str| Error::UnsupportedEmulator { emulator: version.to_owned(), reason: reason.to_owned() };
    let number = parse_version(version).ok_or_else(|| unsupported("it does not say which version it is"))?;
    let Some((_, library)) = BUILDS.iter().rev().find(|(first, _)| number >= *first) else {
        return Err(unsupported(
            "its plugin interface is too old; QEMU 6.0 is the first that has what is needed",
        ));
    };
    if library.is_empty() {
        return Err(unsupported("plugins are supported on Linux and macOS only"));
    }
    write(&work.join(LIBRARY), library)?;
    write(&work.join(COUNTS), &[])?;
    // Paths are relative to the folder that the emulator runs in: a comma in an absolute one would end the argument.
    Ok(vec!["-plugin".to_owned(), format!("./{LIBRARY},entry={entry:#x},exit={exit:#x},out={COUNTS}")])
}

/// The reason, if what the emulator printed says that it would not load the plugin.
pub(crate) fn refusal(version: &str, output: &str) -> Option<Error> {
    let reason =
        output.lines().find(|line| line.contains("ould not load plugin") || line.contains("-plugin"))?;
    Some(Error::UnsupportedEmulator { emulator: version.to_owned(), reason: reason.trim().to_owned() })
}

/// The numbers after "version" in `QEMU emulator version 7.2.22 (Debian …)`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let number = text.split("version ").nth(1)?.split_whitespace().next()?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    Some([parts.next()?, parts.next()?, parts.next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::{BUILDS, install, parse_version};

    #[test]
    fn a_version_chooses_the_build() {
        assert_eq!(parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)"), Some([7, 2, 22]));
        assert_eq!(parse_version("QEMU emulator version 10.0 (x)"), Some([10, 0, 0]));
        assert_eq!(parse_version("something else"), None);
        assert!(BUILDS[0].1 != BUILDS[1].1, "both builds claim one API version");
        let refused = install("QEMU emulator version 5.2.0", std::path::Path::new("."), 0, 0).unwrap_err();
        assert!(refused.is_missing_toolchain() && refused.to_string().contains("5.2.0"), "{refused}");
    }
}
