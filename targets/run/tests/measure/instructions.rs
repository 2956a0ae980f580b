//! Every instruction and function of every built-in library gives what its meaning does: on a processor that has it, and in plain C.
//!
//! The data say what is tried: a new line in a library is tried as it is, and a new library on the first machine that names it and
//! that can run here. What is expected is what the interpreter computes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::{has_tools, work};
use crate::trials::{CASES, Trial, trials};
use nablac_index::{Array, DType, TensorId, Value, largest, smallest};
use nablac_loops::{Library, Program, run};
use nablac_machine::Machine;
use nablac_run::{Artifact, Error, Optimize, Options, execute};

/// How many runs there are: all that instructions of three operands can be given of the edges of a type, and as many random ones.
const RUNS: u64 = 12;

/// Numbers in no order that are the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Any number of a type, small ones as often as large ones; of an edge of the type every other time.
    fn value(&mut self, dtype: DType) -> Value {
        let edges = edges(dtype);
        if self.next().is_multiple_of(2) {
            return edges[self.next() as usize % edges.len()];
        }
        let bits = self.next();
        if dtype.is_float() {
            let exponent = (self.next() % 41) as i32 - 20;
            return Value::from_f64(dtype, (bits as i64 as f64 / 2f64.powi(63)) * 2f64.powi(exponent));
        }
        Value::from_i64(dtype, bits as i64 >> (self.next() % 64))
    }
}

/// Where operations on a type change their ways. Numbers below the normal ones are left out: vectors of floats may take them for zero.
fn edges(dtype: DType) -> Vec<Value> {
    if dtype.is_float() {
        let largest = if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
        let values = [0.0, -0.0, 1.0, -1.0, largest, -largest, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        return values.into_iter().map(|x| Value::from_f64(dtype, x)).collect();
    }
    let values = [smallest(dtype), largest(dtype), 0, 1, -1, smallest(dtype) + 1];
    values.into_iter().map(|x| Value::from_i64(dtype, x)).collect()
}

/// What one run is given: in the first runs each operand has one edge in all lanes, and cases go through all combinations.
fn inputs(program: &Program, trials: &[Trial], round: u64) -> Vec<Array> {
    let mut random = Random(round);
    let mut found = BTreeMap::new();
    for trial in trials {
        for (position, id) in trial.before.iter().enumerate() {
            let buffer = program.buffer(*id);
            let edges = edges(buffer.dtype);
            let period = (0..position).fold(1, |n, p| n * self::edges(dtype(program, trial.before[p])).len());
            let value = |case: usize| match round < RUNS / 2 {
                true => Some(edges[(round as usize * CASES + case) / period % edges.len()]),
                false => None,
            };
            let row = buffer.shape[1];
            let values: Vec<Value> = (0..CASES * row)
                .map(|n| value(n / row).unwrap_or_else(|| random.value(buffer.dtype)))
                .collect();
            found.insert(*id, Array::from_values(buffer.dtype, &buffer.shape, values));
        }
    }
    program.inputs().iter().map(|id| found[id].clone()).collect()
}

fn dtype(program: &Program, id: TensorId) -> DType {
    program.buffer(id).dtype
}

/// Integers are the same bit for bit. Of floats any two that are no number are the same, and one below the normal ones may be zero.
fn same(expected: Value, found: Value) -> bool {
    let tiny = match expected {
        Value::F32(x) => x.is_subnormal(),
        Value::F64(x) => x.is_subnormal(),
        Value::Int(_) => false,
    };
    let no_number = expected.as_f64().is_nan() && found.as_f64().is_nan();
    expected == found || no_number || tiny && found.as_f64() == 0.0
}

/// The instructions of a library that do not give what they mean on a machine, with the first case of each.
fn wrong(
    library: &Library,
    machine: &Machine,
    options: &Options,
    runs: std::ops::Range<u64>,
    test: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let (program, trials) = trials(library);
    let folder = nablac_c::export(&program, &nablac_c::Options::default()).unwrap();
    each_is_used(&folder, &trials);
    let root = work(&format!("{test}-{}", machine.name)).join("artifact");
    for (path, text) in &folder.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let bytes = |ids: Vec<TensorId>| ids.into_iter().map(|id| program.buffer(id).bytes()).collect();
    let artifact = Artifact {
        folder: root,
        name: folder.name.clone(),
        sources: folder.sources.clone(),
        include: folder.include.clone() as Vec<PathBuf>,
        input_bytes: bytes(program.inputs()),
        feeds: vec![],
        output_bytes: bytes(program.outputs()),
        arena_bytes: program.arena_bytes,
        steps: folder.steps.clone(),
        threads: folder.threads,
        blob: false,
    };
    let given: Vec<Vec<Array>> = runs.map(|round| inputs(&program, &trials, round)).collect();
    let samples: Vec<Vec<Vec<u8>>> =
        given.iter().map(|arrays| arrays.iter().map(|a| a.bytes().to_vec()).collect()).collect();
    let build = work(&format!("{test}-{}", machine.name)).join("build");
    let ran = execute(machine, &artifact, &samples, &build, options)?;
    let mut wrong = BTreeMap::new();
    for (inputs, outputs) in given.iter().zip(&ran.outputs) {
        let expected = self::run(&program, inputs).unwrap();
        let ids = program.outputs();
        for ((id, expected), bytes) in ids.into_iter().zip(&expected).zip(outputs) {
            let found = Array::from_bytes(expected.dtype(), expected.shape(), bytes.as_slice()).unwrap();
            let differ = |n: &usize| !same(expected.get(*n), found.get(*n));
            if let Some(n) = (0..expected.len()).find(differ) {
                let trial = trials.iter().find(|trial| trial.after.contains(&id)).unwrap();
                let text = difference(&program, trial, inputs, id, n, (expected.get(n), found.get(n)));
                wrong.entry(trial.instruction.clone()).or_insert(text);
            }
        }
    }
    Ok(wrong)
}

/// The kernel that tries an instruction calls it: no other means the same, and stands before it.
fn each_is_used(folder: &nablac_c::Folder, trials: &[Trial]) {
    let source = &folder.files.iter().find(|(path, _)| *path == folder.sources[0]).unwrap().1;
    for name in trials.iter().map(Trial::name) {
        let begin = source.find(&format!("void {}(", folder.functions[&name])).unwrap();
        let body = source[begin..].split("\n}\n").next().unwrap();
        assert!(body.contains(&format!(" {name}(")), "`{name}` is not found\n{body}");
    }
}

fn difference(
    program: &Program,
    trial: &Trial,
    inputs: &[Array],
    id: TensorId,
    position: usize,
    (expected, found): (Value, Value),
) -> String {
    let row = program.buffer(id).shape[1];
    let case = position / row;
    let given = program.inputs();
    let operand = |id: &TensorId| {
        let array = &inputs[given.iter().position(|input| input == id).unwrap()];
        let own = array.shape()[1];
        let values: Vec<Value> = (0..own).map(|n| array.get(case * own + n)).collect();
        format!("{} = {values:?}", program.buffer(*id).name)
    };
    let operands: Vec<String> = trial.before.iter().map(operand).collect();
    let name = &program.buffer(id).name;
    format!("{name}[{}] is {found:?}, not {expected:?}, of {}", position % row, operands.join(", "))
}

/// Every built-in library with the machines that name it, in the order of their files.
fn libraries() -> BTreeMap<String, Vec<Machine>> {
    let mut found: BTreeMap<String, Vec<Machine>> = BTreeMap::new();
    for machine in Machine::all().unwrap() {
        if let Some(name) = machine.instructions.clone() {
            found.entry(name).or_default().push(machine);
        }
    }
    found
}

/// What `wrong` gives on the first of the machines that can run here; says loudly where none can.
fn wrong_where_it_runs(
    name: &str,
    library: &Library,
    machines: &[Machine],
    runs: std::ops::Range<u64>,
    test: &str,
) -> Option<BTreeMap<String, String>> {
    for machine in machines.iter().filter(|machine| has_tools(&machine.name)) {
        match wrong(library, machine, &Options::default(), runs.clone(), test) {
            Err(Error::Processor { missing, .. }) => {
                eprintln!("SKIPPED on {}: this processor lacks {}", machine.name, missing.join(", "));
            }
            result => return Some(result.unwrap_or_else(|e| panic!("`{name}` on {}: {e}", machine.name))),
        }
    }
    eprintln!("SKIPPED: nothing here runs the instructions `{name}`");
    None
}

#[test]
fn instructions_give_what_they_mean() {
    for (name, machines) in libraries() {
        let library = machines[0].library().unwrap().unwrap();
        let wrong = wrong_where_it_runs(&name, &library, &machines, 0..RUNS, "instructions");
        assert_eq!(wrong.unwrap_or_default(), BTreeMap::new(), "{name}");
    }
}

#[test]
fn meanings_in_plain_c_give_the_same() {
    let host = Machine::load("host").unwrap();
    for (name, machines) in libraries() {
        let library = Library { condition: "0".into(), ..machines[0].library().unwrap().unwrap() };
        let options = Options { sanitize: true, optimize: Optimize::Size, ..Options::default() }; // builds in half the time
        let wrong = wrong(&library, &host, &options, 0..RUNS, &format!("meanings-{name}")).unwrap();
        assert_eq!(wrong, BTreeMap::new(), "{name}");
    }
}

/// The library with one bit of whatever an instruction gives turned around.
fn spoiled(library: &Library) -> Library {
    let mut library = library.clone();
    let turned = |name: &str| {
        format!("((unsigned char *){name})[0] = (unsigned char)(((unsigned char *){name})[0] ^ 1u);")
    };
    for instruction in &mut library.instructions {
        for id in instruction.written() {
            let p = &instruction.parameters[id.0 as usize];
            let address = if p.memory { p.name.clone() } else { format!("&{}", p.name) };
            instruction.code += &format!("\n{}", turned(&address));
        }
    }
    library
        .functions
        .iter_mut()
        .for_each(|function| function.code += &format!("\n    {}", turned("&result")));
    library
}

#[test]
fn whatever_gives_something_else_is_found() {
    for (name, machines) in libraries() {
        let library = machines[0].library().unwrap().unwrap();
        let runs = RUNS - 1..RUNS;
        let wrong = wrong_where_it_runs(&name, &spoiled(&library), &machines, runs, "spoiled");
        let Some(wrong) = wrong else { continue };
        let instructions = library.instructions.iter().map(|i| &i.name);
        let all: Vec<&String> = instructions.chain(library.functions.iter().map(|f| &f.name)).collect();
        assert_eq!(all.iter().filter(|name| !wrong.contains_key(**name)).count(), 0, "{all:?} {wrong:?}");
    }
}
