//! The names of everything in the generated files.
//!
//! Owns which model name becomes which C name, once for all files.

use std::collections::BTreeMap;

use nablac_index::TensorId;
use nablac_loops::{Family, Parts, Program, Role, Statement};

use crate::instruction;
use crate::name::{Names, identifier};
use crate::part::PartNames;

/// The C names of a program.
#[derive(Clone, Debug)]
pub struct Identifiers {
    /// In front of everything that is seen outside: `kws`.
    pub prefix: String,
    /// In front of macros: `KWS`.
    pub upper: String,
    /// The name of each buffer's pointer, or of each constant's array.
    pub buffers: Vec<String>,
    /// The array of a state's initial value.
    pub initials: BTreeMap<TensorId, String>,
    /// The function of each kernel; those that are alike have one.
    pub kernels: BTreeMap<String, String>,
    /// The parallel loops of each family's first kernel.
    pub parts: BTreeMap<String, Vec<PartNames>>,
    /// What names inside of functions must not hide.
    pub file: Names,
    paths: Paths,
}

impl Identifiers {
    /// Chooses the names of `program`, each family of whose kernels is a function; `name` is what the whole is called.
    pub fn new(program: &Program, families: &[Family], name: &str) -> Identifiers {
        let prefix = prefix(name);
        let mut file = Names::default();
        let own = ["init", "run", "reset", "selftest", "ctx_t", "status_t"];
        let blob = ["set_weights", "blob_word", "blob_crc"];
        own.into_iter().chain(blob).for_each(|name| _ = file.claim(&format!("{prefix}_{name}")));
        let pool = ["pool_t", "pool_run", "pool_start", "pool_stop", "set_pool", "part_t", "worker_t"];
        let pool = pool.into_iter().filter(|_| program.threads() > 1);
        pool.for_each(|name| _ = file.claim(&format!("{prefix}_{name}")));
        for k in 0..program.inputs().len() {
            let names = [format!("input{k}"), format!("set_input{k}"), format!("input{k}_row_t")];
            names.into_iter().for_each(|name| _ = file.claim(&format!("{prefix}_{name}")));
        }
        (0..program.outputs().len()).for_each(|k| _ = file.claim(&format!("{prefix}_output{k}")));
        let library = program.library.iter();
        library.clone().flat_map(|l| &l.functions).for_each(|f| _ = file.claim(&f.name));
        library.clone().flat_map(|l| &l.instructions).for_each(|i| _ = file.claim(&i.name));
        library.flat_map(|l| &l.vectors).for_each(|v| _ = file.claim(&instruction::vector_type(v)));
        let paths = Paths::new(program);
        let mut kernels = BTreeMap::new();
        for family in families {
            let wanted = format!("{prefix}_{}", identifier(paths.own(&family.kernel.name), "kernel"));
            let name = file.claim(&wanted);
            kernels.extend(family.calls.iter().map(|call| (call.kernel.clone(), name.clone())));
        }
        let parts = families.iter().filter(|family| family.kernel.parts() > 1);
        let parts = parts.map(|family| (family.kernel.name.clone(), part_names(family, &kernels, &mut file)));
        let parts = parts.collect();
        let mut buffers = vec![];
        let mut pointers = file.clone();
        for buffer in &program.buffers {
            let stem = identifier(paths.own(&buffer.name), "t");
            buffers.push(match buffer.role {
                Role::Constant(_) => {
                    let name = file.claim(&format!("{prefix}_weights_{stem}"));
                    pointers.claim(&name)
                }
                _ => pointers.claim(&stem),
            });
        }
        let mut initials = BTreeMap::new();
        for (id, _) in program.states() {
            let stem = identifier(paths.own(&program.buffer(id).name), "t");
            initials.insert(id, file.claim(&format!("{prefix}_weights_{stem}_initial")));
        }
        Identifiers {
            upper: prefix.to_ascii_uppercase(),
            prefix,
            buffers,
            initials,
            kernels,
            parts,
            file,
            paths,
        }
    }
}

/// The names of a family's parallel loops.
fn part_names(family: &Family, kernels: &BTreeMap<String, String>, file: &mut Names) -> Vec<PartNames> {
    let mut names = vec![];
    family.kernel.visit(&mut |statement| {
        if matches!(statement, Statement::For(nest) if Parts::of(nest).is_some()) {
            let kernel = &kernels[&family.kernel.name];
            let function = file.claim(&format!("{kernel}_part"));
            let [structure, thread] = ["t", "run"].map(|end| file.claim(&format!("{function}_{end}")));
            names.push(PartNames { function, structure, thread });
        }
    });
    names
}

/// What everything in the library of this name begins with. Two underscores in a row are C++'s own.
pub fn prefix(name: &str) -> String {
    let prefix = identifier(name, "model");
    if prefix.ends_with('_') { format!("model_{}", prefix.trim_end_matches('_')) } else { prefix }
}

impl Identifiers {
    /// A law with identifiers for the names that stand in quotes, so that it reads like the code below it.
    pub fn law(&self, law: &str) -> String {
        let mut text = String::new();
        let mut rest = law;
        while let Some((before, quoted)) = rest.split_once('"') {
            text += before;
            let (name, behind) = match quoted.find('"') {
                Some(end) if !quoted[..end].ends_with('\\') => (&quoted[..end], &quoted[end + 1..]),
                _ => return text + "\"" + quoted, // a name with a quote in it: left as it is
            };
            text += &identifier(self.paths.own(name), "t");
            rest = behind;
        }
        text + rest
    }
}

/// Names that are paths, as frameworks write them: `model/conv_1/Relu;model/conv_1/BiasAdd`.
#[derive(Clone, Debug)]
struct Paths {
    /// What all of them begin with, up to and with a `/`.
    common: String,
}

impl Paths {
    fn new(program: &Program) -> Paths {
        let kernels = program.kernels();
        let buffers = program.buffers.iter().map(|buffer| &buffer.name);
        let all = buffers.chain(kernels.iter().map(|kernel| &kernel.name));
        let names: Vec<&str> = all.map(String::as_str).filter(|name| name.contains('/')).collect();
        let [first, others @ ..] = &names[..] else { return Paths { common: String::new() } };
        let common = others.iter().fold(*first, |common, name| {
            let same = common.char_indices().zip(name.chars()).take_while(|((_, a), b)| a == b);
            &common[..same.last().map_or(0, |((at, c), _)| at + c.len_utf8())]
        });
        let folder = common.rfind('/').filter(|_| !others.is_empty()).map_or("", |slash| &common[..=slash]);
        Paths { common: folder.into() }
    }

    /// The part of a name that tells it from the others.
    fn own<'a>(&self, name: &'a str) -> &'a str {
        let own = name.strip_prefix(&self.common).unwrap_or(name);
        own.split(';').next().unwrap_or(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_index::DType;
    use nablac_loops::Buffer;

    #[test]
    fn what_all_paths_share_is_left_out() {
        let buffer = |name: &str| Buffer {
            name: name.into(),
            dtype: DType::F32,
            shape: vec![],
            role: Role::Local,
            offset: None,
        };
        let names = ["net/a/Relu;net/a/BiasAdd", "net/b/Relu", "input", "net/b/Relu;other"];
        let program = Program { buffers: names.map(buffer).to_vec(), ..Program::default() };
        assert_eq!(Identifiers::new(&program, &[], "n").buffers, ["a_relu", "b_relu", "input", "b_relu_2"]);
        let identifiers = Identifiers::new(&program, &[], "n");
        assert_eq!(identifiers.law("\"net/a/Relu;x\"[i] = y[i] * \"net/w\"[i]"), "a_relu[i] = y[i] * w[i]");
        assert_eq!(identifiers.law("\"a\\\"b\"[i] = 1"), "\"a\\\"b\"[i] = 1");
    }
}
