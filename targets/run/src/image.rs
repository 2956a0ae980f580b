//! Reads what a C compiler made: the sizes of sections, and the symbols of a program.

use crate::Error;
use object::{
    Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionFlags, SectionKind, SegmentFlags, SymbolKind,
    elf,
};
use std::ops::{AddAssign, Range};

/// What the linker script puts before the names of the harness's sections.
const HARNESS: &str = ".harness";

/// The bytes of a program or object file, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub text: u64,
    pub rodata: u64,
    pub data: u64,
    pub bss: u64,
    /// What the harness takes of the flash.
    pub harness: u64,
}

impl Sizes {
    /// The bytes that take flash, without the harness.
    pub fn flash(&self) -> u64 {
        self.text + self.rodata + self.data
    }
}

impl AddAssign for Sizes {
    fn add_assign(&mut self, other: Sizes) {
        self.text += other.text;
        self.rodata += other.rodata;
        self.data += other.data;
        self.bss += other.bss;
        self.harness += other.harness;
    }
}

/// A function of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub name: String,
    pub address: u64,
    pub size: u64,
}

/// A linked program.
pub(crate) struct Program {
    pub sizes: Sizes,
    /// Whether its code is Arm's for 32 bits, which on a board is Thumb.
    pub is_thumb: bool,
    functions: Vec<Function>,
    labels: Vec<(String, u64)>,
}

/// What a program has in memory when it starts.
pub(crate) struct Loaded {
    pub base: u64,
    pub bytes: Vec<u8>,
    pub entry: u64,
    /// Where its instructions are.
    pub text: Range<u64>,
}

/// What stands in memory between two addresses when a program starts: all of it, if they are the first and the last.
pub(crate) fn loaded(bytes: &[u8], file: &str, within: Range<u64>) -> Result<Loaded, Error> {
    let parsed = parse(bytes, file)?;
    let malformed = |reason: String| Error::Malformed { file: file.to_owned(), reason };
    let segments: Vec<_> =
        parsed.segments().filter(|s| s.size() > 0 && within.contains(&s.address())).collect();
    let range = |segments: &[_]| -> Option<Range<u64>> {
        let first = segments.iter().map(ObjectSegment::address).min()?;
        Some(first..segments.iter().map(|s: &object::Segment| s.address() + s.size()).max()?)
    };
    let all = range(&segments).ok_or_else(|| malformed(format!("nothing of it is at {within:#x?}")))?;
    let mut memory = vec![0; (all.end - all.start) as usize];
    for segment in &segments {
        let data = segment.data().map_err(|error| malformed(error.to_string()))?;
        let at = (segment.address() - all.start) as usize;
        memory[at..at + data.len()].copy_from_slice(data);
    }
    let is_code = |s: &object::Segment| matches!(s.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & elf::PF_X.0 != 0);
    let code: Vec<_> = segments.into_iter().filter(is_code).collect();
    let text = range(&code).ok_or_else(|| malformed("it has no instructions".to_owned()))?;
    Ok(Loaded { base: all.start, bytes: memory, entry: parsed.entry(), text })
}

/// The sizes of one object file.
pub(crate) fn object_sizes(bytes: &[u8], file: &str) -> Result<Sizes, Error> {
    Ok(sizes(&parse(bytes, file)?))
}

impl Program {
    /// Reads a linked program.
    pub fn read(bytes: &[u8], file: &str) -> Result<Program, Error> {
        let parsed = parse(bytes, file)?;
        let is_thumb = parsed.architecture() == object::Architecture::Arm;
        let (functions, labels) = (Vec::new(), Vec::new());
        let mut program = Program { sizes: sizes(&parsed), is_thumb, functions, labels };
        // Bit 0 of a Thumb function's address is its instruction set.
        let mask = if is_thumb { !1 } else { !0 };
        for symbol in parsed.symbols() {
            let Ok(name) = symbol.name() else { continue };
            let address = symbol.address() & mask;
            program.labels.push((name.to_owned(), address));
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                program.functions.push(Function { name: name.to_owned(), address, size: symbol.size() });
            }
        }
        program.functions.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Ok(program)
    }

    /// The address of a symbol.
    pub fn address(&self, symbol: &str) -> Result<u64, Error> {
        let found = self.labels.iter().find(|(name, _)| name == symbol);
        found.map(|(_, address)| *address).ok_or_else(|| Error::Malformed {
            file: "program.elf".to_owned(),
            reason: format!("it has no symbol `{symbol}`"),
        })
    }

    /// The function that has the instruction at an address. Of several names for one place, the first in the alphabet.
    pub fn function_at(&self, address: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.address <= address);
        let start = self.functions[..after].last()?.address;
        let first = self.functions.partition_point(|function| function.address < start);
        let function = &self.functions[first];
        (address < function.address + function.size).then_some(function)
    }
}

fn parse<'a>(bytes: &'a [u8], file: &str) -> Result<object::File<'a>, Error> {
    object::File::parse(bytes)
        .map_err(|error| Error::Malformed { file: file.to_owned(), reason: error.to_string() })
}

fn sizes(file: &object::File) -> Sizes {
    let mut sizes = Sizes::default();
    for section in file.sections() {
        let size = section.size();
        let is_harness = section.name().is_ok_and(|name| name.starts_with(HARNESS));
        let counter = match section.kind() {
            SectionKind::Text => &mut sizes.text,
            SectionKind::Data => &mut sizes.data,
            SectionKind::UninitializedData => &mut sizes.bss,
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::ReadOnlyDataWithRel => {
                &mut sizes.rodata
            }
            // Exception tables of library functions have a kind of their own, and still take flash.
            SectionKind::Unknown if is_loaded(section.flags()) => &mut sizes.rodata,
            _ => continue,
        };
        let counter = match is_harness {
            true if section.kind() == SectionKind::UninitializedData => continue,
            true => &mut sizes.harness,
            false => counter,
        };
        *counter += size;
    }
    sizes
}

fn is_loaded(flags: SectionFlags) -> bool {
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & elf::SHF_ALLOC.0 != 0)
}
