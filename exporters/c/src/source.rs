//! The C file that runs the network.
//!
//! Owns `NAME.c`: the small functions, one function per kernel, and the interface with the steps in order.

use std::collections::BTreeSet;

use nablac_index::{Binary, DType, Index, TensorId};
use nablac_loops::{Bounds, Delivery, Family, Kernel, Program, Repeat, Role, Step};

use crate::blob::Places;
use crate::error::Error;
use crate::helper::Helpers;
use crate::identifiers::Identifiers;
use crate::kernel::{self, Function};
use crate::literal::{c_type, number};
use crate::name::{Names, identifier};
use crate::writer::{Used, Writer};
use crate::{blob, delivery, instruction, pool, state, weights};

/// The text of `NAME.c`; `blob` has the places of constants that are not part of the code.
pub fn source(
    program: &Program,
    families: &[Family],
    identifiers: &Identifiers,
    blob: Option<&Places>,
) -> Result<String, Error> {
    let mut helpers = Helpers::default();
    let instructions = instruction::definitions(program, &mut helpers)?;
    let function = |family| kernel::function(program, family, identifiers, blob.is_some(), &mut helpers);
    let functions = families.iter().map(function).collect::<Result<Vec<_>, _>>()?;
    let run = run(program, identifiers, blob, &functions, &mut helpers)?;
    let reset = state::reset(program, identifiers, blob, &mut helpers);
    let Identifiers { prefix, upper, .. } = identifiers;
    let mut includes = format!("#include \"{prefix}.h\"\n\n");
    includes += pool::only(program, "#include \"@NAME@_pool.h\"\n");
    includes += &format!("#include \"{prefix}_port.h\"\n");
    if blob.is_none() && weights::exist(program) {
        includes += &format!("#include \"{prefix}_weights.h\"\n");
    }
    if helpers.math || helpers.string {
        includes.push('\n');
    }
    includes += if helpers.math { "#include <math.h>\n" } else { "" };
    includes += if helpers.string { "#include <string.h>\n" } else { "" };
    let mut text = include_str!("../templates/source.c").replace("@INCLUDES@\n", &includes);
    for definition in helpers.definitions() {
        text += definition;
        text.push('\n');
    }
    text += &instructions;
    for function in &functions {
        text += &function.text;
        text.push('\n');
    }
    text += &reset;
    text += &interface(program, identifiers, blob);
    text += &run;
    Ok(text.replace("@NAME@", prefix).replace("@UPPER@", upper))
}

/// `NAME_init` and the places of inputs and outputs.
fn interface(program: &Program, identifiers: &Identifiers, blob: Option<&Places>) -> String {
    let size = match program.arena_bytes {
        0 => "    (void)size;\n",
        _ => "    if (size < @UPPER@_ARENA_SIZE) {\n        return @UPPER@_ERROR_ARENA;\n    }\n",
    };
    let reset = if state::exists(program) { "    @NAME@_reset(ctx);\n" } else { "" };
    // Without weights there is no initial state.
    let begin = if blob.is_some() { "    ctx->weights = NULL;\n" } else { reset };
    let mut text = include_str!("../templates/init.c")
        .replace("@CHECK_SIZE@\n", size)
        .replace("@POOL@\n", pool::only(program, pool::INIT))
        .replace("@INPUTS@\n", &delivery::clear(program))
        .replace("@RESET@\n", begin);
    let mut place = |id: TensorId, function: String, constant: &str| {
        let buffer = program.buffer(id);
        let t = c_type(buffer.dtype);
        text += &format!(
            "{constant}{t} *{}_{function}({constant}{}_ctx_t *ctx)\n{{\n    return ({constant}{t} *)({constant}void *){};\n}}\n\n",
            identifiers.prefix,
            identifiers.prefix,
            address("ctx->arena", buffer.offset.unwrap_or(0)),
        );
    };
    let inputs = program.inputs().into_iter().enumerate();
    let (kept, whole): (Vec<_>, Vec<_>) =
        inputs.partition(|(_, id)| delivery::of(program.buffer(*id)) != Delivery::Whole);
    whole.into_iter().for_each(|(k, id)| place(id, format!("input{k}"), ""));
    program.outputs().into_iter().enumerate().for_each(|(k, id)| place(id, format!("output{k}"), "const "));
    text.extend(kept.into_iter().filter_map(|(k, id)| delivery::definition(program, k, id)));
    text += &blob.map_or(String::new(), |blob| blob.definition().replace("@RESET@\n", reset));
    text + pool::only(program, pool::DEFINITION)
}

/// Where a buffer begins, as C text.
pub fn address(arena: &str, offset: usize) -> String {
    if offset == 0 { arena.into() } else { format!("({arena} + {offset})") }
}

/// `NAME_run`.
fn run(
    program: &Program,
    identifiers: &Identifiers,
    blob: Option<&Places>,
    functions: &[Function],
    helpers: &mut Helpers,
) -> Result<String, Error> {
    let mut names = identifiers.file.clone();
    identifiers.buffers.iter().for_each(|name| _ = names.claim(name));
    let mut used = BTreeSet::new();
    let text = String::new();
    let (position, extents) = (0, vec![]);
    let (apart, used_buffers) = (blob.is_some(), &mut used);
    let mut steps = Steps {
        program,
        identifiers,
        apart,
        functions,
        helpers,
        used: used_buffers,
        position,
        extents,
        text,
    };
    steps.write(&program.steps, &mut vec![], &mut names, 1)?;
    steps.mark("    ");
    program.states().for_each(|(id, state)| steps.copy(id, state.next, "    "));
    let body = steps.text;
    let mut text = include_str!("../templates/run.c").to_string() + blob.map_or("", |_| blob::CHECK);
    text += &delivery::check(program);
    text += &delivery::external(program, identifiers);
    if used.iter().any(|id| program.buffer(*id).offset.is_some()) {
        text += "    uint8_t *const arena = ctx->arena;\n";
    }
    for id in used {
        if let (Some(blob), None) = (blob, program.buffer(id).offset) {
            text += &blob.declaration(program, id, &identifiers.buffers[id.0 as usize]);
            continue;
        }
        let buffer = program.buffer(id);
        let t = c_type(buffer.dtype);
        let name = &identifiers.buffers[id.0 as usize];
        let place = address("arena", buffer.offset.unwrap_or(0));
        text += &format!("    {t} *const {name} = ({t} *)(void *){place};\n");
    }
    Ok(format!("{text}\n{body}    return @UPPER@_OK;\n}}\n"))
}

/// The steps as statements of `NAME_run`.
pub struct Steps<'a> {
    pub program: &'a Program,
    identifiers: &'a Identifiers,
    /// Whether constants are apart from the code.
    apart: bool,
    functions: &'a [Function<'a>],
    helpers: &'a mut Helpers,
    used: &'a mut BTreeSet<TensorId>,
    /// How many kernels have been written.
    position: usize,
    /// What the counters of the repetitions around stay below.
    extents: Vec<usize>,
    pub text: String,
}

impl Steps<'_> {
    /// Tells the port that the next kernel begins, or that the last has ended.
    fn mark(&mut self, indent: &str) {
        self.text += &format!("{indent}@UPPER@_STEP({}U);\n", self.position);
        self.position += 1;
    }

    fn write(
        &mut self,
        steps: &[Step],
        counters: &mut Vec<String>,
        names: &mut Names,
        depth: usize,
    ) -> Result<(), Error> {
        let indent = "    ".repeat(depth);
        for step in steps {
            match step {
                Step::Kernel(kernel) => {
                    self.mark(&indent);
                    let arguments = self.arguments(&kernel.name, counters).join(", ");
                    self.text +=
                        &format!("{indent}{}({arguments});\n", self.identifiers.kernels[&kernel.name]);
                }
                Step::Receive(receive) => self.receive(receive, counters, &indent)?,
                Step::Repeat(repeat) => {
                    let Repeat { counter, carried, body, .. } = repeat;
                    carried.iter().for_each(|(state, initial, _)| self.copy(*state, *initial, &indent));
                    let mark = names.mark();
                    let name = names.claim(&identifier(counter, "t"));
                    let (begin, end) = self.range(repeat, counters)?;
                    self.text +=
                        &format!("{indent}for (int32_t {name} = {begin}; {name} < {end}; {name}++) {{\n");
                    counters.push(name);
                    self.extents.push(repeat.extent);
                    self.write(body, counters, names, depth + 1)?;
                    self.extents.pop();
                    counters.pop();
                    let inner = "    ".repeat(depth + 1);
                    carried.iter().for_each(|(state, _, next)| self.copy(*state, *next, &inner));
                    self.text += &format!("{indent}}}\n");
                    names.release(mark);
                }
                Step::Branch { condition, then, otherwise } => {
                    let condition = self.buffer(*condition);
                    self.text += &format!("{indent}if ({condition}[0] != 0) {{\n");
                    self.write(then, counters, names, depth + 1)?;
                    if !otherwise.is_empty() {
                        self.text += &format!("{indent}}} else {{\n");
                        self.write(otherwise, counters, names, depth + 1)?;
                    }
                    self.text += &format!("{indent}}}\n");
                }
            }
        }
        Ok(())
    }

    /// An index of counters.
    pub fn counted(&mut self, index: &Index, counters: &[String]) -> Result<String, Error> {
        let bounds = Bounds::new(counters.len(), &self.extents);
        let nothing = Kernel::default();
        let scope = self.program.scope(&nothing);
        let mut writer = Writer {
            program: self.program,
            kernel: "",
            scope: &scope,
            buffers: &self.identifiers.buffers,
            by_value: false,
            elements: &[],
            variables: counters.to_vec(),
            bounds,
            anchors: vec![],
            repeated: vec![],
            helpers: self.helpers,
            used: Used::default(),
        };
        Ok(writer.index(&index.simplify(&self.extents))?.text)
    }

    /// The first value of a repetition's counter, and the one behind its last.
    fn range(&mut self, repeat: &Repeat, counters: &[String]) -> Result<(String, String), Error> {
        let extent = repeat.extent as i64;
        let Some((low, high)) = &repeat.within else { return Ok(("0".into(), extent.to_string())) };
        let bounds = Bounds::new(counters.len(), &self.extents);
        let begin = match bounds.lowest(low) {
            Some(least) if least >= 0 => self.counted(low, counters)?,
            _ => {
                let maximum = self.helpers.binary(Binary::Max, DType::I32);
                format!("{maximum}({}, 0)", self.counted(low, counters)?)
            }
        };
        let end = match bounds.highest(high) {
            Some(most) if most <= extent => self.counted(high, counters)?,
            _ => {
                let minimum = self.helpers.binary(Binary::Min, DType::I32);
                format!("{minimum}({}, {extent})", self.counted(high, counters)?)
            }
        };
        Ok((begin, end))
    }

    /// What a kernel's function is called with.
    fn arguments(&mut self, kernel: &str, counters: &[String]) -> Vec<String> {
        let call = |function: &'_ Function<'_>| function.family.calls.iter().position(|c| c.kernel == kernel);
        let found = self.functions.iter().find_map(|function| Some((function, call(function)?)));
        let Some((function, position)) = found else { return vec![] };
        let (family, call) = (function.family, &function.family.calls[position]);
        let pool = (family.kernel.parts() > 1).then(|| "ctx->pool".to_string());
        let mut arguments: Vec<String> = pool.into_iter().collect();
        arguments.extend(function.counters.iter().map(|&counter| counters[counter].clone()));
        arguments.extend(function.buffers.iter().map(|id| self.buffer(family.buffer(call, *id))));
        let first = family.kernel.registers.len() - family.numbers;
        for &n in &function.numbers {
            let dtype = family.kernel.registers[first + n].dtype;
            arguments.push(number(dtype, call.numbers[n], &mut self.helpers.math));
        }
        arguments
    }

    pub fn buffer(&mut self, id: TensorId) -> String {
        let buffer = self.program.buffer(id);
        if buffer.offset.is_some() || (self.apart && matches!(buffer.role, Role::Constant(_))) {
            self.used.insert(id);
        }
        self.identifiers.buffers[id.0 as usize].clone()
    }

    /// Carried state goes from one buffer to another, unless they are at the same place.
    fn copy(&mut self, to: TensorId, from: TensorId, indent: &str) {
        let (target, source) = (self.program.buffer(to), self.program.buffer(from));
        if target.offset == source.offset || target.is_empty() {
            return;
        }
        self.helpers.string = true;
        let share = match (target.offset, source.offset) {
            (Some(a), Some(b)) => a.abs_diff(b) < target.bytes(),
            _ => false,
        };
        let function = if share { "memmove" } else { "memcpy" };
        let bytes = target.bytes();
        let (to, from) = (self.buffer(to), self.buffer(from));
        self.text += &format!("{indent}{function}({to}, {from}, {bytes}U);\n");
    }
}
