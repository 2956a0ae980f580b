//! The constants as a file of their own, `NAME_weights.bin`, which can be updated without the code.
//!
//! Owns the file's format: its header, each constant's place, and the checksum; and what tells that a file is made for a code. Much of the
//! code comes from the constants' values: numbers that are passed at calls, how results are rescaled, what bounds are proved. So a file fits
//! a code if the network that it was made from gives this very code: the layout is a hash of the generated C, without the constants. Names of
//! the model's inner values and of the library do not count, since a network that was trained again often has others.
//!
//! | bytes  | what they hold; numbers have their lowest byte first                  |
//! |--------|-----------------------------------------------------------------------|
//! | 0..4   | `NABW`                                                                |
//! | 4..8   | the format: 1                                                         |
//! | 8..12  | the size of the file                                                  |
//! | 12..16 | CRC-32 (zlib's) of all that follows                                   |
//! | 16..32 | the layout                                                            |
//! | 32..64 | the SHA-256 of the model, for people: no code looks at it             |
//! | 64..   | the constants, each at a multiple of its alignment, zeros between them |

use std::collections::BTreeMap;

use nablac_index::TensorId;
use nablac_loops::{Buffer, Program, Role, Step, families};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::identifiers::Identifiers;
use crate::literal::c_type;
use crate::{Options, header, source, weights};

/// The first bytes of the file.
const MAGIC: &[u8; 4] = b"NABW";

/// Counts changes that code of another version would not understand.
const FORMAT: u32 = 1;

/// The bytes in front of the constants: a multiple of every alignment.
const HEADER: usize = 64;

/// How many bytes of the hash are the layout: no two codes of this world have the same by chance.
const LAYOUT: usize = 16;

/// Where a constant begins at least, if it is as large: words are loaded from bytes, too.
const WORD: usize = 4;

/// The folder of the file.
pub const FOLDER: &str = "weights";

/// What the library is called in the text that the layout is a hash of.
const ANY: &str = "model";

/// What `NAME_run` checks.
pub const CHECK: &str = "    if (ctx->weights == NULL) {\n        return @UPPER@_ERROR_WEIGHTS;\n    }\n";

/// Its statuses with what they mean.
pub const STATUSES: &[(&str, u32, &str)] = &[
    ("ERROR_WEIGHTS", 6, "no weights have been set"),
    ("ERROR_WEIGHTS_MAGIC", 7, "these are no weights"),
    ("ERROR_WEIGHTS_FORMAT", 8, "these weights have another format than this code reads"),
    ("ERROR_WEIGHTS_LAYOUT", 9, "these weights are for another code than this"),
    ("ERROR_WEIGHTS_SIZE", 10, "a part of the weights is missing"),
    ("ERROR_WEIGHTS_CHECKSUM", 11, "the weights are damaged"),
];

/// The context's field, the self-test's check, and what CMake says.
pub const FIELD: &str = "    const uint8_t *weights;\n";
pub const DECLARATION: &str = include_str!("../templates/set_weights.h");
pub const TEST: &str = include_str!("../templates/weights_test.c");
pub const CMAKE: &str = include_str!("../templates/weights.cmake");
pub const TEST_CMAKE: &str = "  target_link_libraries(@NAME@_selftest PRIVATE @NAME@_weights)\n";

/// Where the constants are.
#[derive(Clone, Debug)]
pub struct Places {
    offsets: BTreeMap<TensorId, usize>,
    /// The size of the whole file.
    pub bytes: usize,
    /// What its address is a multiple of.
    pub alignment: usize,
    /// In hexadecimal digits; empty until it is known.
    pub layout: String,
}

/// The file, and what goes with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Blob {
    /// Its path within the folder.
    pub file: std::path::PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// A C file with the same as an array, for programs that are linked with it.
    pub source: std::path::PathBuf,
}

impl Places {
    /// The places of a program's constants; nothing if it has none.
    pub fn new(program: &Program) -> Result<Option<Places>, Error> {
        // What the widest register of the target loads at once stays within a line of its cache.
        let registers = program.library.iter().flat_map(|library| &library.vectors);
        let widest = registers.map(|vector| vector.lanes * vector.dtype.bytes()).max().unwrap_or(WORD);
        let mut places =
            Places { offsets: BTreeMap::new(), bytes: HEADER, alignment: 8, layout: String::new() };
        for (id, array) in weights::arrays(program) {
            let useful = array.bytes().len().next_power_of_two().min(widest.next_power_of_two());
            let alignment = useful.max(array.dtype().bytes()).min(HEADER);
            let offset = places.bytes.next_multiple_of(alignment);
            places.offsets.insert(id, offset);
            places.bytes = offset + array.bytes().len();
            places.alignment = places.alignment.max(alignment);
        }
        places.bytes = places.bytes.next_multiple_of(8); // whole words of the C array
        match u32::try_from(places.bytes) {
            _ if places.offsets.is_empty() => Ok(None),
            Ok(_) => Ok(Some(places)),
            Err(_) => Err(Error::Weights { bytes: places.bytes }),
        }
    }

    /// The same with the layout of the program's code.
    pub fn identified(mut self, program: &Program, options: &Options) -> Result<Places, Error> {
        let program = &nameless(program);
        let options = &Options { version: String::new(), model_sha256: String::new(), ..options.clone() };
        let families = families(program, options.optimize);
        let identifiers = Identifiers::new(program, &families, ANY);
        let mut hash = Sha256::new();
        hash.update(source::source(program, &families, &identifiers, Some(&self))?);
        hash.update(header::header(program, &identifiers, options, Some(&self)));
        for (id, offset) in &self.offsets {
            let Buffer { dtype, shape, .. } = program.buffer(*id);
            hash.update(format!("{offset}: {dtype}{shape:?}\n"));
        }
        self.layout = hash.finalize()[..LAYOUT].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self)
    }

    /// The place of a constant behind a pointer to the file, as C text.
    pub fn address(&self, id: TensorId) -> String {
        format!("(ctx->weights + {})", self.offsets.get(&id).copied().unwrap_or(0))
    }

    /// A pointer to a constant, in a function that has the context.
    pub fn declaration(&self, program: &Program, id: TensorId, name: &str) -> String {
        let t = c_type(program.buffer(id).dtype);
        format!("    const {t} *const {name} = (const {t} *)(const void *){};\n", self.address(id))
    }

    /// The file.
    pub fn file(&self, program: &Program, model_sha256: &str) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        let digits = [(16, self.layout.as_str(), LAYOUT), (32, model_sha256, 32)];
        for (begin, text, count) in digits {
            let pairs = text.as_bytes().chunks_exact(2).take(count);
            for (at, pair) in pairs.enumerate() {
                let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                bytes[begin + at] = byte.unwrap_or(0);
            }
        }
        for (id, array) in weights::arrays(program) {
            let begin = self.offsets[&id];
            bytes[begin..begin + array.bytes().len()].copy_from_slice(array.bytes());
        }
        let checksum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What `NAME.c` says of it.
    pub fn definition(&self) -> String {
        let pairs: Vec<&str> =
            (0..self.layout.len() / 2).map(|at| &self.layout[2 * at..2 * at + 2]).collect();
        let layout: Vec<String> = pairs.iter().map(|pair| format!("0x{pair}")).collect();
        include_str!("../templates/set_weights.c").replace("@LAYOUT@", &layout.join(", "))
    }

    /// What the public header says of its size.
    pub fn sizes(&self) -> String {
        include_str!("../templates/weights_size.h")
            .replace("@BYTES@", &self.bytes.to_string())
            .replace("@ALIGNMENT@", &self.alignment.to_string())
            .replace("@LAYOUT@", &self.layout)
    }
}

impl Blob {
    /// The file of a library called `name`.
    pub(crate) fn new(places: &Places, program: &Program, name: &str, model_sha256: &str) -> Blob {
        let path = |end: &str| std::path::PathBuf::from(format!("{FOLDER}/{name}_weights.{end}"));
        Blob { file: path("bin"), bytes: places.file(program, model_sha256), source: path("c") }
    }
}

/// `NAME_weights.h` and `NAME_weights.c` of a file: the same bytes as an array.
pub fn files(places: &Places, bytes: &[u8]) -> (String, String) {
    let fill = |template: &str| template.replace("@ALIGNMENT@", &places.alignment.to_string());
    let (words, _) = bytes.as_chunks::<8>();
    let mut text = String::new();
    for line in words.chunks(4) {
        let words: Vec<String> =
            line.iter().map(|word| format!("0x{:016x}U,", u64::from_le_bytes(*word))).collect();
        text += &format!("    {}\n", words.join(" "));
    }
    let source = fill(include_str!("../templates/weights.c")).replace("@WORDS@\n", &text);
    (fill(include_str!("../templates/weights.h")), source)
}

/// The program with numbers for the names of what its users do not see. Inputs and outputs keep theirs: they are what a user tells them by.
fn nameless(program: &Program) -> Program {
    let mut program = program.clone();
    program.name = ANY.into();
    for (position, buffer) in program.buffers.iter_mut().enumerate() {
        if matches!(buffer.role, Role::Constant(_) | Role::Local | Role::State(_)) {
            buffer.name = format!("b{position}");
        }
    }
    let mut count = 0;
    rename(&mut program.steps, &mut count);
    program
}

fn rename(steps: &mut [Step], count: &mut usize) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => {
                kernel.name = format!("k{count}");
                kernel.laws.clear();
                *count += 1;
            }
            Step::Repeat(repeat) => rename(&mut repeat.body, count),
            Step::Receive(_) => {}
            Step::Branch { then, otherwise, .. } => {
                rename(then, count);
                rename(otherwise, count);
            }
        }
    }
}
