//! Loop nests as text. `parse(print(p)) == p`.
//!
//! Owns the layout of the text; the grammar stands in `parse`, and expressions are index notation's.

use std::collections::BTreeMap;
use std::fmt;

use nablac_index::lexer::name_text;
use nablac_index::{Array, Element, Index, KEYWORDS, Scope, State, TensorId, array_text, is_inline};

use crate::instruction::{Argument, Instruction, Library, Parameter, Vector};
use crate::plan::Proof;
use crate::program::{Buffer, Delivery, For, Kernel, Kind, Program, Receive, Repeat, Role, Statement, Step};

impl Program {
    /// What the expressions of a kernel can name: the buffers, the kernel's registers, and all of its variables.
    pub fn scope<'a>(&'a self, kernel: &'a Kernel) -> Scope<'a> {
        let buffers = self.buffers.iter().map(|b| Element { name: &b.name, dtype: b.dtype, shape: &b.shape });
        let registers =
            kernel.registers.iter().map(|r| Element { name: &r.name, dtype: r.dtype, shape: &r.shape });
        Scope {
            tensors: buffers.chain(registers).collect(),
            loops: kernel.variables.iter().map(String::as_str).collect(),
        }
    }

    /// The constants that the text names by hash only: what a reader needs beside it.
    pub fn constants(&self) -> BTreeMap<String, Array> {
        let arrays = self.buffers.iter().filter_map(|buffer| match &buffer.role {
            Role::Constant(array) | Role::State(State { initial: array, .. }) if !is_inline(array) => {
                Some(array)
            }
            _ => None,
        });
        arrays.map(|array| (array.hash(), array.clone())).collect()
    }

    fn print_steps<'a>(
        &'a self,
        f: &mut fmt::Formatter,
        steps: &'a [Step],
        counters: &mut Vec<&'a str>,
        indent: &str,
    ) -> fmt::Result {
        let deeper = format!("{indent}  ");
        let name = |id: &TensorId| name_text(&self.buffer(*id).name, KEYWORDS);
        for step in steps {
            match step {
                Step::Kernel(kernel) => self.print_kernel(f, kernel, indent)?,
                Step::Repeat(Repeat { counter, extent, within, carried, body }) => {
                    write!(f, "{indent}repeat {}:{extent}", name_text(counter, KEYWORDS))?;
                    if let Some((low, high)) = within {
                        let scope = counters_scope(counters);
                        write!(f, " in {}..{}", scope.index_text(low), scope.index_text(high))?;
                    }
                    for (position, (state, initial, next)) in carried.iter().enumerate() {
                        let before = if position == 0 { " carrying" } else { "," };
                        write!(f, "{before} {} = {} then {}", name(state), name(initial), name(next))?;
                    }
                    writeln!(f, " {{")?;
                    counters.push(counter);
                    self.print_steps(f, body, counters, &deeper)?;
                    counters.pop();
                    writeln!(f, "{indent}}}")?;
                }
                Step::Receive(Receive { input, along, position, buffer, slot }) => {
                    let scope = counters_scope(counters);
                    let (position, slot) = (scope.index_text(position), scope.index_text(slot));
                    let (input, buffer) = (name(input), name(buffer));
                    writeln!(
                        f,
                        "{indent}receive {input} along {along} at {position} into {buffer} at {slot}"
                    )?;
                }
                Step::Branch { condition, then, otherwise } => {
                    writeln!(f, "{indent}if {} {{", name(condition))?;
                    self.print_steps(f, then, counters, &deeper)?;
                    writeln!(f, "{indent}}} else {{")?;
                    self.print_steps(f, otherwise, counters, &deeper)?;
                    writeln!(f, "{indent}}}")?;
                }
            }
        }
        Ok(())
    }

    fn print_kernel(&self, f: &mut fmt::Formatter, kernel: &Kernel, indent: &str) -> fmt::Result {
        writeln!(f, "{indent}kernel {} {{", name_text(&kernel.name, KEYWORDS))?;
        for law in &kernel.laws {
            writeln!(f, "{indent}  law {}", quoted_text(law))?;
        }
        if kernel.macs > 0 {
            writeln!(f, "{indent}  macs {}", kernel.macs)?;
        }
        for register in &kernel.registers {
            let name = name_text(&register.name, KEYWORDS);
            let vector = if register.vector { " vector" } else { "" };
            writeln!(f, "{indent}  register {name}: {}{:?}{vector}", register.dtype, register.shape)?;
        }
        print_lines(f, &self.scope(kernel), &kernel.body, &format!("{indent}  "))?;
        writeln!(f, "{indent}}}")
    }
}

/// What the bounds of a repetition can name.
fn counters_scope<'a>(counters: &[&'a str]) -> Scope<'a> {
    Scope { tensors: vec![], loops: counters.to_vec() }
}

/// A text in quotes, whatever it holds.
fn quoted_text(text: &str) -> String {
    let bare = name_text(text, &[]);
    if bare.starts_with('"') { bare } else { format!("\"{bare}\"") }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let arena = match (self.arena_bytes, self.proof) {
            (0, None) => String::new(),
            (bytes, None) => format!(" in {bytes} bytes"),
            (bytes, Some(Proof { this_order, any_order })) => {
                format!(" in {bytes} bytes, at least {this_order} in this order and {any_order} in any")
            }
        };
        writeln!(f, "loops {}{arena} {{", name_text(&self.name, KEYWORDS))?;
        if let Some(library) = &self.library {
            writeln!(f, "{library}")?;
        }
        self.buffers.iter().try_for_each(|buffer| writeln!(f, "  {}", buffer_text(self, buffer)))?;
        self.print_steps(f, &self.steps, &mut vec![], "  ")?;
        writeln!(f, "}}")
    }
}

fn buffer_text(program: &Program, buffer: &Buffer) -> String {
    let (role, value) = match &buffer.role {
        Role::Input(Delivery::Whole) => ("input ", String::new()),
        Role::Input(Delivery::Rows) => ("input ", " by rows".into()),
        Role::Input(Delivery::External) => ("input ", " external".into()),
        Role::Output => ("output", String::new()),
        Role::Constant(array) => ("const ", format!(" = {}", array_text(array))),
        Role::Local => ("local ", String::new()),
        Role::State(State { initial, next }) => {
            let next = name_text(program.buffers.get(next.0 as usize).map_or("", |b| &b.name), KEYWORDS);
            ("state ", format!(" = {} then {next}", array_text(initial)))
        }
    };
    let place = buffer.offset.map_or(String::new(), |offset| format!(" in arena at {offset}"));
    let name = name_text(&buffer.name, KEYWORDS);
    format!("{role} {name}: {}{:?}{value}{place}", buffer.dtype, buffer.shape)
}

fn print_lines(f: &mut fmt::Formatter, scope: &Scope, body: &[Statement], indent: &str) -> fmt::Result {
    let deeper = format!("{indent}  ");
    for statement in body {
        match statement {
            Statement::For(nest) => {
                writeln!(f, "{indent}{} {{", for_text(scope, nest))?;
                print_lines(f, scope, &nest.body, &deeper)?;
                writeln!(f, "{indent}}}")?;
            }
            Statement::Use { instruction, body } => {
                writeln!(f, "{indent}use {} {{", name_text(instruction, KEYWORDS))?;
                print_lines(f, scope, body, &deeper)?;
                writeln!(f, "{indent}}}")?;
            }
            Statement::If { condition, body } => {
                writeln!(f, "{indent}if {} {{", scope.expression_text(condition))?;
                print_lines(f, scope, body, &deeper)?;
                writeln!(f, "{indent}}}")?;
            }
            Statement::Store { .. } => writeln!(f, "{indent}{}", store_text(scope, statement))?,
        }
    }
    Ok(())
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let header =
            if self.header.is_empty() { String::new() } else { format!(" in {}", quoted_text(&self.header)) };
        writeln!(f, "library {}{header} {{", quoted_text(&self.condition))?;
        for Vector { dtype, lanes, c_type } in &self.vectors {
            writeln!(f, "  vector {dtype}[{lanes}] {}", quoted_text(c_type))?;
        }
        for instruction in &self.instructions {
            let parameter = |p: &Parameter| {
                let memory = if p.memory { "memory " } else { "" };
                format!("{memory}{}: {}{:?}", name_text(&p.name, KEYWORDS), p.dtype, p.shape)
            };
            let parameters: Vec<String> = instruction.parameters.iter().map(parameter).collect();
            let name = name_text(&instruction.name, KEYWORDS);
            let code = quoted_text(&instruction.code);
            let takes =
                if instruction.takes == 1 { String::new() } else { format!(" takes {}", instruction.takes) };
            writeln!(f, "  instruction {name}({}) {code}{takes} {{", parameters.join(", "))?;
            print_lines(f, &instruction.scope(), &instruction.body, "    ")?;
            writeln!(f, "  }}")?;
        }
        for function in &self.functions {
            let parameter = |p: &Argument| {
                let declared = format!("{}: {}", name_text(&p.name, KEYWORDS), p.dtype);
                match &p.constant {
                    Some(range) => format!("constant {declared} in {}..{}", range.start, range.end),
                    None => declared,
                }
            };
            let parameters: Vec<String> = function.parameters.iter().map(parameter).collect();
            let (name, code) = (name_text(&function.name, KEYWORDS), quoted_text(&function.code));
            let value = function.scope().expression_text(&function.value);
            writeln!(f, "  function {name}({}) {code} = {value}", parameters.join(", "))?;
        }
        write!(f, "}}")
    }
}

impl Instruction {
    /// What the meaning's expressions name.
    pub fn scope(&self) -> Scope<'_> {
        let element = |p| {
            let Parameter { name, dtype, shape, .. }: &Parameter = p;
            Element { name, dtype: *dtype, shape }
        };
        let tensors = self.parameters.iter().map(element).collect();
        Scope { tensors, loops: self.variables.iter().map(String::as_str).collect() }
    }
}

/// `for i in 0..8 step 2 unroll`.
fn for_text(scope: &Scope, nest: &For) -> String {
    let bound = |function: &str, bounds: &[Index]| {
        let texts: Vec<String> = bounds.iter().map(|bound| scope.index_text(bound)).collect();
        if let [one] = &texts[..] { one.clone() } else { format!("{function}({})", texts.join(", ")) }
    };
    let name =
        scope.loops.get(nest.variable.0 as usize).map_or(String::new(), |name| name_text(name, KEYWORDS));
    let step = if nest.step == 1 { String::new() } else { format!(" step {}", nest.step) };
    let kind = match nest.kind {
        Kind::Serial => String::new(),
        Kind::Unroll => " unroll".into(),
        Kind::Parallel(parts) => format!(" parallel {parts}"),
    };
    format!("for {name} in {}..{}{step}{kind}", bound("max", &nest.lower), bound("min", &nest.upper))
}

/// `y[i] += x[i]`; of other statements nothing.
pub(crate) fn store_text(scope: &Scope, statement: &Statement) -> String {
    let Statement::Store { target, at, reduce, value } = statement else { return String::new() };
    format!("{} {} {}", scope.element_text(*target, at), reduce.name(), scope.expression_text(value))
}
