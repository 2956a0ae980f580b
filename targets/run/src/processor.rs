//! What this computer's processor has, as far as the operating system says it.

use nablac_machine::Machine;
use std::fs;
use std::path::Path;

/// Where Linux describes the processors.
const DESCRIPTION: &str = "/proc/cpuinfo";

/// What the machine requires and this processor lacks. Nothing where the operating system does not tell: the program then fails with
/// a signal.
pub(crate) fn missing(machine: &Machine) -> Vec<String> {
    fs::read_to_string(DESCRIPTION).map_or(Vec::new(), |text| lacking(&machine.requires, &text))
}

/// Whether the machine says what it requires, and this processor is known to have it all: it then needs no emulator.
pub(crate) fn suffices(machine: &Machine) -> bool {
    !machine.requires.is_empty() && Path::new(DESCRIPTION).exists() && missing(machine).is_empty()
}

/// What of `required` is not in the description, whose line of features has another name on each architecture.
fn lacking(required: &[String], description: &str) -> Vec<String> {
    let mut lines = description.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(name, _)| ["flags", "Features"].contains(&name.trim()));
    let features: Vec<&str> = line.map_or(Vec::new(), |(_, features)| features.split_whitespace().collect());
    required.iter().filter(|feature| !features.contains(&feature.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::lacking;

    #[test]
    fn features_are_whole_words_of_one_line() {
        let required = ["avx", "avx2", "fma"].map(str::to_owned);
        let linux = "model name\t: some avx2\nflags\t\t: fpu avx fma4 avx512f\n";
        assert_eq!(lacking(&required, linux), ["avx2", "fma"]);
        assert_eq!(lacking(&required, "Features\t: fma asimd avx2 avx\n"), [""; 0]);
        assert_eq!(lacking(&required, "").len(), 3);
    }
}
