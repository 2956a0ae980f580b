//! Loop nests to plain C: a folder that a C or C++ project takes in as it is.
//!
//! Owns the text of every generated file: the library with one function per kernel, its header and port macros, weights,
//! self-test, CMake file and metadata. It decides nothing: loops, their order, registers and places in memory are the
//! program's. Nothing is written to disk here, and the same program gives the same bytes.

mod anchor;
mod array;
mod blob;
mod delivery;
mod error;
mod expression;
mod header;
mod helper;
mod identifiers;
mod instruction;
mod kernel;
mod literal;
mod metadata;
mod name;
mod nest;
mod part;
mod pool;
mod repeated;
mod scalar;
mod selftest;
mod signature;
mod source;
mod state;
mod weights;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use nablac_index::Array;
use nablac_loops::{Feed, Optimize, Program};
use serde::Serialize;

pub use blob::Blob;
use blob::Places;
pub use error::Error;
use identifiers::Identifiers;

/// What the program itself does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the library is called; the program's name where this is empty. Its C identifier begins every name.
    pub name: String,
    /// The version of the generator.
    pub version: String,
    /// The SHA-256 of the model file, in hexadecimal digits; may be empty.
    pub model_sha256: String,
    /// What the self-test compares with. Without any, there is no self-test.
    pub vectors: Vec<Vector>,
    /// How the integers of inputs and outputs stand for reals, by name, for those that do.
    pub scales: BTreeMap<String, Scale>,
    /// What the code is to be, which a C compiler's flags say too.
    pub optimize: Optimize,
    /// Where the constants are.
    pub weights: Weights,
}

/// Where the constants are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Weights {
    /// Among the code, as arrays of their own.
    #[default]
    Code,
    /// In a file of their own, whose address every instance of the network is given.
    Blob,
}

impl Weights {
    /// Every place.
    pub const ALL: &[Weights] = &[Weights::Code, Weights::Blob];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Weights::Code => "code",
            Weights::Blob => "blob",
        }
    }

    /// The place called `name`.
    pub fn from_name(name: &str) -> Option<Weights> {
        Weights::ALL.iter().copied().find(|place| place.name() == name)
    }
}

/// `real = scale * (integer - zero_point)`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Scale {
    /// What one step is worth.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero_point: i64,
}

/// Inputs, and the outputs that belong to them, in the program's order.
#[derive(Clone, Debug)]
pub struct Vector {
    /// One array per input.
    pub inputs: Vec<Array>,
    /// One array per output.
    pub outputs: Vec<Array>,
}

/// A folder of C.
#[derive(Clone, PartialEq, Debug)]
pub struct Folder {
    /// The C identifier that every name begins with, and the files' names too.
    pub name: String,
    /// Every file: its path within the folder, and its text.
    pub files: Vec<(PathBuf, String)>,
    /// The library's C files among them.
    pub sources: Vec<PathBuf>,
    /// The folders that the library's C files include from; the first is for its users too.
    pub include: Vec<PathBuf>,
    /// The C function of each kernel, by the kernel's name.
    pub functions: BTreeMap<String, String>,
    /// The C function of each kernel, in the order in which `NAME_run` calls them.
    pub steps: Vec<String>,
    /// How the caller gives each input.
    pub feeds: Vec<Feed>,
    /// How many threads it has work for; more than 1 where it comes with a pool of them.
    pub threads: usize,
    /// The bytes of all constants.
    pub weight_bytes: usize,
    /// The file of the constants, where they are not part of the code; nothing if there are none.
    pub blob: Option<Box<Blob>>,
}

/// The folder of C that runs a program whose buffers have their places in the arena.
pub fn export(program: &Program, options: &Options) -> Result<Folder, Error> {
    check(program, options)?;
    let wanted = if options.name.is_empty() { &program.name } else { &options.name };
    let families = nablac_loops::families(program, options.optimize);
    let identifiers = Identifiers::new(program, &families, wanted);
    let name = identifiers.prefix.clone();
    let places = match options.weights {
        Weights::Blob => Places::new(program)?.map(|own| own.identified(program, options)).transpose()?,
        Weights::Code => None,
    };
    let apart = places.as_ref();
    let fill = |template: &str| template.replace("@NAME@", &name).replace("@UPPER@", &identifiers.upper);
    let mut files = vec![
        (format!("include/{name}.h"), header::header(program, &identifiers, options, apart)),
        (format!("src/{name}.c"), source::source(program, &families, &identifiers, apart)?),
        (format!("port/{name}_port.h"), fill(include_str!("../templates/port.h"))),
    ];
    let mut sources = vec![format!("src/{name}.c")];
    let blob = apart.map(|own| Box::new(Blob::new(own, program, &name, &options.model_sha256)));
    if let (Some(places), Some(blob)) = (apart, &blob) {
        let (header, source) = blob::files(places, &blob.bytes);
        files.push((format!("{}/{name}_weights.h", blob::FOLDER), fill(&header)));
        files.push((blob.source.display().to_string(), fill(&source)));
    } else if let Some((header, source)) = weights::files(program, &identifiers) {
        sources.push(format!("src/{name}_weights.c"));
        files.push((format!("src/{name}_weights.h"), header));
        files.push((format!("src/{name}_weights.c"), source));
    }
    if pool::exists(program) {
        sources.push(format!("port/{name}_pool.c"));
        files.push((format!("include/{name}_pool.h"), fill(pool::HEADER)));
        files.push((format!("port/{name}_pool.c"), fill(pool::SOURCE)));
    }
    let mut cmake =
        include_str!("../templates/CMakeLists.txt").to_string() + pool::only(program, pool::CMAKE);
    cmake += apart.map_or("", |_| blob::CMAKE);
    if options.optimize == Optimize::Size {
        cmake += include_str!("../templates/size.cmake");
    }
    // Where nothing comes out there is nothing to compare.
    let outputs = program.outputs().iter().any(|id| !program.buffer(*id).is_empty());
    if outputs && !options.vectors.is_empty() {
        files.extend(selftest::files(program, &identifiers, &options.vectors, apart.is_some()));
        let linked = apart.map_or("", |_| blob::TEST_CMAKE);
        cmake += &include_str!("../templates/test.cmake").replace("@WEIGHTS@\n", linked);
    }
    files.push(("CMakeLists.txt".into(), fill(&cmake.replace("@SOURCES@", &sources.join(" ")))));
    files.push(("metadata.json".into(), metadata::metadata(program, &identifiers, options, apart)));
    files.push(("LICENSE".into(), include_str!("../templates/LICENSE").into()));
    Ok(Folder {
        files: files.into_iter().map(|(path, text)| (path.into(), text)).collect(),
        sources: sources.into_iter().map(PathBuf::from).collect(),
        include: ["include", "port", "src"]
            .into_iter()
            .chain(apart.map(|_| blob::FOLDER))
            .map(PathBuf::from)
            .collect(),
        blob,
        steps: program.kernels().iter().map(|kernel| identifiers.kernels[&kernel.name].clone()).collect(),
        functions: identifiers.kernels,
        feeds: program.feeds(),
        threads: program.threads(),
        weight_bytes: weights::bytes(program),
        name,
    })
}

/// The C identifier that a library of this name has.
pub fn identifier(name: &str) -> String {
    identifiers::prefix(name)
}

/// What printing takes for granted.
fn check(program: &Program, options: &Options) -> Result<(), Error> {
    nablac_loops::verify(program)?;
    for buffer in program.buffers.iter().filter(|b| b.is_planned()) {
        let Some(offset) = buffer.offset else {
            return Err(Error::Unplanned { buffer: buffer.name.clone() });
        };
        if offset % buffer.dtype.bytes() != 0 {
            return Err(Error::Misaligned { buffer: buffer.name.clone(), dtype: buffer.dtype, offset });
        }
    }
    let plain = |text: &str, also: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c));
    if !plain(&options.version, ".-+") {
        let rule = "letters, digits and `.`, `-`, `+`";
        return Err(Error::Option { option: "version", value: options.version.clone(), rule });
    }
    if !plain(&options.model_sha256, "") {
        let (value, rule) = (options.model_sha256.clone(), "hexadecimal digits");
        return Err(Error::Option { option: "model_sha256", value, rule });
    }
    for (position, vector) in options.vectors.iter().enumerate() {
        let fits = |ids: Vec<nablac_index::TensorId>, arrays: &[Array]| {
            let buffers = ids.iter().map(|id| program.buffer(*id));
            ids.len() == arrays.len()
                && buffers.zip(arrays).all(|(b, a)| (a.dtype(), a.shape()) == (b.dtype, &b.shape[..]))
        };
        if !fits(program.inputs(), &vector.inputs) || !fits(program.outputs(), &vector.outputs) {
            return Err(Error::Vector { position });
        }
    }
    Ok(())
}
