//! Limits on what a model file may ask for, and whose fault it is when a file cannot be read.
//!
//! Owns the bounds that every importer enforces before it allocates, the flags that raise them, and reading a
//! file within them. A limit protects the person who opens a stranger's model; it says nothing about what the
//! compiler can handle.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Whose fault it is that a model cannot be read; each has its own exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The file breaks its format's own rules.
    Malformed,
    /// The file is well-formed and asks for something that is not supported.
    Unsupported,
    /// The file exceeds a limit that a flag can raise.
    Limit,
    /// The file could not be read.
    Io,
}

macro_rules! limits { ($($Name:ident $field:ident $flag:literal $default:literal $unit:literal;)*) => {
    /// One bound.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Limit { $(#[doc = $unit] $Name),* }

    impl Limit {
        /// Every limit, in the order of the declaration.
        pub const ALL: &[Limit] = &[$(Limit::$Name),*];
        /// The flag that sets it, such as `--limit-nodes`.
        pub fn flag(self) -> &'static str { match self { $(Limit::$Name => $flag),* } }
        /// What it counts, as a noun phrase.
        pub fn unit(self) -> &'static str { match self { $(Limit::$Name => $unit),* } }
    }

    /// The bounds on one model.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Limits { $(#[doc = $unit] pub $field: u64),* }

    impl Default for Limits {
        fn default() -> Limits { Limits { $($field: $default),* } }
    }

    impl Limits {
        /// The bound of one limit.
        pub fn get(&self, limit: Limit) -> u64 { match limit { $(Limit::$Name => self.$field),* } }
        /// Sets the bound of one limit.
        pub fn set(&mut self, limit: Limit, value: u64) { match limit { $(Limit::$Name => self.$field = value),* } }
    }
} }

limits! {
    FileBytes file_bytes "--limit-file-bytes" 0x8000_0000 "bytes in the model's files";   // a protobuf file's own bound
    Nodes     nodes      "--limit-nodes"      100_000     "nodes, those of subgraphs and functions included";
    Rank      rank       "--limit-rank"       8           "axes of one tensor";
    Elements  elements   "--limit-elements"   0x8000_0000 "elements of one tensor";       // indices stay within 32 bits
    Nesting   nesting    "--limit-nesting"    16          "levels of graphs within graphs";
}

/// A limit was hit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{subject}: {value} {} exceed the limit of {allowed}; `{} {value}` raises it", limit.unit(), limit.flag()
)]
pub struct LimitHit {
    /// What exceeds it: `tensor w`, `the model`.
    pub subject: String,
    /// Which limit.
    pub limit: Limit,
    /// How much the file asks for.
    pub value: u64,
    /// How much is allowed.
    pub allowed: u64,
}

impl Limits {
    /// Whether `value` is within `limit`; `subject` says what it is a property of.
    pub fn check(&self, limit: Limit, value: u64, subject: impl FnOnce() -> String) -> Result<(), LimitHit> {
        let allowed = self.get(limit);
        if value <= allowed {
            return Ok(());
        }
        Err(LimitHit { subject: subject(), limit, value, allowed })
    }

    /// The number of elements of a shape, if its rank and that number are within the limits. A product beyond
    /// 64 bits counts as the largest 64-bit number.
    pub fn check_shape(&self, shape: &[usize], subject: impl Fn() -> String) -> Result<usize, LimitHit> {
        self.check(Limit::Rank, shape.len() as u64, &subject)?;
        let zero = shape.contains(&0);
        // The other extents of a tensor without elements are bounded as well: loops run over them.
        let product = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d.max(1) as u64));
        self.check(Limit::Elements, product.unwrap_or(u64::MAX), &subject)?;
        let elements = if zero { 0 } else { product.unwrap_or(u64::MAX) };
        usize::try_from(elements).map_err(|_| LimitHit {
            subject: subject(),
            limit: Limit::Elements,
            value: elements,
            allowed: usize::MAX as u64,
        })
    }
}

/// Why a file's bytes could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The file is larger than allowed.
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// All bytes of a file that is no larger than `limits` allow. The bound is on what is read, so a file that
/// grows, or a device without end, is no way around it.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io { path: path.to_path_buf(), source };
    let subject = || path.display().to_string();
    let file = File::open(path).map_err(failed)?;
    let stated = file.metadata().map_err(failed)?.len();
    limits.check(Limit::FileBytes, stated, subject)?;
    let mut bytes = Vec::new();
    file.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check(Limit::FileBytes, bytes.len() as u64, subject)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_names_the_subject_the_value_the_bound_and_the_flag() {
        let hit = Limits::default().check(Limit::Rank, 9, || "tensor w".into()).unwrap_err();
        assert_eq!(
            hit.to_string(),
            "tensor w: 9 axes of one tensor exceed the limit of 8; `--limit-rank 9` raises it"
        );
    }

    #[test]
    fn every_limit_can_be_set_by_its_flag() {
        for &limit in Limit::ALL {
            let mut limits = Limits::default();
            limits.set(limit, 3);
            assert_eq!(limits.get(limit), 3);
            assert!(limits.check(limit, 3, String::new).is_ok());
            assert!(limits.check(limit, 4, String::new).is_err());
            assert!(limit.flag().starts_with("--limit-"));
        }
    }

    #[test]
    fn shapes_are_multiplied_without_overflow() {
        let limits = Limits::default();
        assert_eq!(limits.check_shape(&[2, 3], String::new), Ok(6));
        assert_eq!(limits.check_shape(&[2, 3, 0], String::new), Ok(0));
        for shape in [[usize::MAX, usize::MAX, 0], [usize::MAX, usize::MAX, 1]] {
            let hit = limits.check_shape(&shape, String::new).unwrap_err();
            assert_eq!((hit.limit, hit.value), (Limit::Elements, u64::MAX));
        }
    }

    #[test]
    fn reading_is_bounded() {
        let path = std::env::temp_dir().join(format!("nablac-limits-{}", std::process::id()));
        std::fs::write(&path, [0; 10]).unwrap();
        let mut limits = Limits { file_bytes: 10, ..Limits::default() };
        assert_eq!(read_file(&path, &limits).unwrap().len(), 10);
        limits.file_bytes = 9;
        assert!(matches!(read_file(&path, &limits), Err(FileError::Limit(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_file(&path, &limits), Err(FileError::Io { .. })));
        assert!(matches!(read_file(&std::env::temp_dir(), &Limits::default()), Err(FileError::Io { .. })));
    }
}
