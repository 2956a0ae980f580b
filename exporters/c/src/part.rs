//! A parallel loop as a function of its bounds, which the threads of a pool call part by part.
//!
//! Owns that function, what it is passed and how it travels: the kernel sets it down in a structure, of which each thread takes it up.

use std::collections::BTreeSet;
use std::mem::{replace, take};

use nablac_index::DType;
use nablac_loops::{For, Parts};

use crate::error::Error;
use crate::kernel::Body;
use crate::literal::c_type;
use crate::repeated::Repeated;
use crate::scalar::Scalar;
use crate::signature::{Parameter, pointer, signature};
use crate::writer::{Anchor, Used};

/// The names that a parallel loop has in the file.
#[derive(Clone, Debug)]
pub struct PartNames {
    /// The function of the loop.
    pub function: String,
    /// What it is passed, as a structure.
    pub structure: String,
    /// The function that a thread calls.
    pub thread: String,
}

/// What the parallel loops of a function need to know of it.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// What the function is passed.
    pub parameters: &'a [Parameter],
    /// The names of its parallel loops.
    pub names: &'a [PartNames],
    /// Its pool.
    pub pool: &'a str,
    /// In front of macros.
    pub upper: &'a str,
}

impl Body<'_, '_> {
    /// A parallel loop: its functions stand in front of the one that is being written.
    pub fn parallel(
        &mut self,
        nest: &For,
        parts: Parts,
        around: Around,
        pending: BTreeSet<Scalar>,
    ) -> Result<(), Error> {
        let names = &around.names[self.parallel_loops];
        self.parallel_loops += 1;
        let stem = self.stem(nest);
        let mark = self.names.mark();
        let [begin, end] = ["begin", "end"].map(|which| self.names.claim(&format!("{stem}_{which}")));
        let outside = self.begin_function();
        let carried = self.scalars.carried(&pending, &nest.body);
        carried.iter().for_each(|scalar| self.declare(*scalar));
        let inside = pending.difference(&carried).copied().collect();
        self.counted(nest, &stem, [&begin, &end], vec![], inside)?;
        let (body, used) = self.end_function(outside);
        let variables: Vec<String> =
            used.variables.iter().map(|id| self.writer.variables[id.0 as usize].clone()).collect();
        let buffers: Vec<Parameter> =
            around.parameters.iter().filter(|p| used.buffers.contains(&p.buffer)).cloned().collect();
        let numbers = self.passed(nest);
        let numbers: Vec<(DType, &str)> =
            numbers.iter().map(|(dtype, name)| (*dtype, name.as_str())).collect();
        let own: Vec<&str> = [&begin, &end].into_iter().chain(&variables).map(String::as_str).collect();
        let signature = signature(self.writer.program, &own, &buffers, &numbers, around.upper);
        let fields = variables.iter().map(|name| format!("int32_t {name}"));
        let fields = fields.chain(buffers.iter().map(|p| pointer(self.writer.program, p, "")));
        let fields: Vec<String> =
            fields.chain(numbers.iter().map(|(dtype, name)| format!("{} {name}", c_type(*dtype)))).collect();
        let passed: Vec<&str> = variables
            .iter()
            .map(String::as_str)
            .chain(buffers.iter().map(|p| p.name.as_str()))
            .chain(numbers.iter().map(|(_, name)| *name))
            .collect();
        self.functions += &functions(names, parts, &signature, &body, &fields, &passed, around.upper);
        self.names.release(mark);
        let work = self.names.claim("work");
        self.line(&format!("const {} {work} = {{{}}};", names.structure, passed.join(", ")));
        let (pool, thread, count) = (around.pool, &names.thread, parts.count);
        self.line(&format!("@NAME@_pool_run({pool}, {thread}, &{work}, {count});"));
        Ok(())
    }

    /// The numbers that a loop reads of those that the function is passed.
    fn passed(&self, nest: &For) -> Vec<(DType, String)> {
        let read = nest.body.iter().flat_map(|statement| self.scalars.reads(statement));
        let read: BTreeSet<Scalar> = read.filter(|(register, _)| self.is_passed(*register)).collect();
        read.into_iter().map(|scalar| (self.dtype(scalar), self.name(scalar))).collect()
    }
}

/// The loop's function, the structure of what it is passed, and the function that a thread calls.
fn functions(
    names: &PartNames,
    parts: Parts,
    signature: &str,
    body: &str,
    fields: &[String],
    passed: &[&str],
    upper: &str,
) -> String {
    let PartNames { function, structure, thread } = names;
    let fields: String = fields.iter().map(|field| format!("    {field};\n")).collect();
    let begin = match (parts.begin, parts.stride) {
        (0, 1) => "part".to_string(),
        (0, stride) => format!("{stride} * part"),
        (begin, stride) if begin < 0 => format!("{stride} * part - {}", begin.unsigned_abs()),
        (begin, stride) => format!("{stride} * part + {begin}"),
    };
    let (last, _) = parts.range(parts.count - 1);
    let whole = last + parts.stride == parts.end;
    let end = match whole {
        true => format!("begin + {}", parts.stride),
        false => format!("part < {} ? begin + {} : {}", parts.count - 1, parts.stride, parts.end),
    };
    let passed: String = passed.iter().map(|name| format!(", all->{name}")).collect();
    format!(
        "{upper}_KERNEL static void {function}({signature})\n{{\n{body}}}\n\n\
         typedef struct {{\n{fields}}} {structure};\n\n\
         static void {thread}(const void *arguments, int32_t part)\n{{\n    \
         const {structure} *const all = (const {structure} *)arguments;\n    \
         const int32_t begin = {begin};\n    \
         {function}(begin, {end}{passed});\n}}\n\n"
    )
}

/// What belongs to the function around while another one is written.
struct Outside {
    text: String,
    depth: usize,
    used: Used,
    anchors: Vec<Anchor>,
    repeated: Vec<Repeated>,
}

impl Body<'_, '_> {
    fn begin_function(&mut self) -> Outside {
        let writer = &mut self.writer;
        Outside {
            text: take(&mut self.text),
            depth: replace(&mut self.depth, 1),
            used: take(&mut writer.used),
            anchors: take(&mut writer.anchors),
            repeated: take(&mut writer.repeated),
        }
    }

    /// The text of the function that ends here, and what it names of the one around.
    fn end_function(&mut self, outside: Outside) -> (String, Used) {
        let writer = &mut self.writer;
        let mut used = replace(&mut writer.used, outside.used);
        used.variables.retain(|id| writer.bounds.is_open(*id));
        writer.used.buffers.extend(&used.buffers);
        writer.used.variables.extend(&used.variables);
        (writer.anchors, writer.repeated) = (outside.anchors, outside.repeated);
        self.depth = outside.depth;
        (replace(&mut self.text, outside.text), used)
    }
}
