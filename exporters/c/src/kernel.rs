//! Kernels that are alike as one C function.
//!
//! Owns the function's blocks and its stores. Its loops are `nest`'s matter, what expressions look like `expression`'s, which variables
//! the registers become `scalar`'s.

use std::collections::BTreeSet;

use nablac_index::{Expr, Index, LoopId, Reduce, TensorId};
use nablac_loops::{Bounds, Family, Kernel, Program, Role, Statement, expand, operation_of, prune};

use crate::error::Error;
use crate::helper::Helpers;
use crate::identifiers::Identifiers;
use crate::instruction;
use crate::literal::{c_type, comment_text, is_narrow};
use crate::name::{Names, identifier};
use crate::part::Around;
use crate::scalar::{Place, Scalar, Scalars, lanes};
use crate::signature::{parameters, signature};
use crate::writer::{Used, Writer};

/// The widest line of a comment.
const COMMENT_WIDTH: usize = 110;

/// Kernels that are alike as one C function.
pub struct Function<'a> {
    /// The kernels.
    pub family: &'a Family,
    /// Its definition, with the first one's laws above it.
    pub text: String,
    /// The counters that it is passed, outermost first.
    pub counters: Vec<usize>,
    /// The buffers that it is passed, behind the counters, as the first kernel names them.
    pub buffers: Vec<TensorId>,
    /// The numbers that it is passed, behind the buffers, as positions among those of a call.
    pub numbers: Vec<usize>,
}

/// The function of a family, which is passed all its constants if they are `apart` from the code.
pub fn function<'a>(
    program: &Program,
    family: &'a Family,
    identifiers: &Identifiers,
    apart: bool,
    helpers: &mut Helpers,
) -> Result<Function<'a>, Error> {
    let (kernel, counters) = (&family.kernel, &family.counters);
    let mut names = identifiers.file.clone();
    let mut parameters = parameters(program, family, identifiers, apart, &mut names)?;
    let mut buffers = identifiers.buffers.clone();
    parameters.iter().for_each(|p| buffers[p.buffer.0 as usize].clone_from(&p.name));
    let expanded = prune(program, &expand(kernel)?, counters);
    let variables = variables(kernel, counters.len(), &mut names);
    let elements = elements(kernel, &mut names);
    let writer = Writer {
        program,
        kernel: &kernel.name,
        scope: &program.scope(kernel),
        buffers: &buffers,
        by_value: false,
        elements: &elements,
        variables,
        bounds: Bounds::new(kernel.variables.len(), counters),
        anchors: vec![],
        repeated: vec![],
        helpers,
        used: Used::default(),
    };
    let pool = (kernel.parts() > 1).then(|| names.claim("pool"));
    let around = pool.as_ref().map(|pool| Around {
        parameters: &parameters,
        names: &identifiers.parts[&kernel.name],
        pool,
        upper: &identifiers.upper,
    });
    let is_constant = |id: &TensorId| matches!(program.buffer(*id).role, Role::Constant(_));
    let passed_constants = parameters.iter().map(|p| p.buffer).filter(is_constant).collect();
    let body = Body::new(program, kernel, writer, names);
    let mut body = Body { passed_numbers: family.numbers, passed_constants, around, ..body };
    body.lines(&expanded.body)?;
    let Body { text, functions, read, writer: Writer { used, variables, .. }, .. } = body;
    parameters.retain(|p| used.buffers.contains(&p.buffer));
    let counters: Vec<usize> =
        (0..counters.len()).filter(|&c| used.variables.contains(&LoopId(c as u32))).collect();
    let own = kernel.registers.len() - family.numbers;
    let numbers: Vec<usize> = (0..family.numbers).filter(|n| read.contains(&(own + n, 0))).collect();
    let number = |&n: &usize| (kernel.registers[own + n].dtype, elements[own + n][0].as_str());
    let signature = signature(
        program,
        &counters.iter().map(|&c| variables[c].as_str()).collect::<Vec<_>>(),
        &parameters,
        &numbers.iter().map(number).collect::<Vec<_>>(),
        &identifiers.upper,
    );
    let (upper, name) = (&identifiers.upper, &identifiers.kernels[&kernel.name]);
    let pool = pool.map_or(String::new(), |pool| format!("@NAME@_pool_t *{pool}, "));
    let text = format!(
        "{}{functions}{upper}_KERNEL static void {name}({pool}{signature})\n{{\n{text}}}\n",
        comment(family, identifiers)
    );
    let buffers = parameters.iter().map(|p| p.buffer).collect();
    Ok(Function { family, text, counters, buffers, numbers })
}

/// The names of a kernel's variables; only the first, the counters, have one before the body begins.
fn variables(kernel: &Kernel, counters: usize, names: &mut Names) -> Vec<String> {
    let mut variables = vec![String::new(); kernel.variables.len()];
    for (variable, name) in variables.iter_mut().zip(&kernel.variables).take(counters) {
        *variable = names.claim(&identifier(name, "t"));
    }
    variables
}

/// The laws of a family's first kernel as a comment, and the names of the others.
fn comment(family: &Family, identifiers: &Identifiers) -> String {
    let others: Vec<String> =
        family.calls[1..].iter().map(|call| identifiers.law(&format!("\"{}\"", call.kernel))).collect();
    let also = format!("With other buffers and constants: {}.", others.join(", "));
    let laws = family.kernel.laws.iter().map(|law| identifiers.law(law));
    let mut lines = vec![];
    for sentence in laws.chain((!others.is_empty()).then_some(also)) {
        let mut line = String::new();
        for word in comment_text(&sentence).split(' ') {
            if line.len() + word.len() >= COMMENT_WIDTH && !line.trim().is_empty() {
                lines.push(std::mem::replace(&mut line, "   ".into()));
            }
            line += if line.is_empty() { "" } else { " " };
            line += word;
        }
        lines.push(line);
    }
    if lines.is_empty() { String::new() } else { format!("/* {} */\n", lines.join("\n * ")) }
}

/// The C names of every register's elements: `acc_0_1` for `acc[0, 1]`.
fn elements(kernel: &Kernel, names: &mut Names) -> Vec<Vec<String>> {
    let of = |register: &nablac_loops::Register| {
        let stem = identifier(&register.name, "r");
        // One name for all elements of one machine register.
        let shape =
            if register.vector { &register.shape[..register.shape.len() - 1] } else { &register.shape };
        let count: usize = shape.iter().product();
        (0..count)
            .map(|position| {
                let mut rest = position;
                let mut place: Vec<String> = vec![];
                for extent in shape.iter().rev() {
                    place.push((rest % extent).to_string());
                    rest /= extent;
                }
                place.push(stem.clone());
                place.reverse();
                names.claim(&place.join("_"))
            })
            .collect()
    };
    kernel.registers.iter().map(of).collect()
}

/// The text of a function's body as it grows.
pub struct Body<'a, 'w> {
    pub kernel: &'a Kernel,
    pub scalars: Scalars<'a>,
    /// The scalars whose values are read somewhere.
    read: BTreeSet<Scalar>,
    pub writer: Writer<'w>,
    pub names: Names,
    pub text: String,
    pub depth: usize,
    /// The functions of its parallel loops, and how many of these there are so far.
    pub functions: String,
    pub parallel_loops: usize,
    /// What those need to know of the function, if there are any.
    pub around: Option<Around<'w>>,
    /// How many registers, the last ones, are passed.
    passed_numbers: usize,
    /// The constants that are passed.
    pub passed_constants: Vec<TensorId>,
}

impl<'a, 'w> Body<'a, 'w> {
    /// An empty body; `names` are those that it must not take.
    pub fn new(program: &'a Program, kernel: &'a Kernel, writer: Writer<'w>, names: Names) -> Body<'a, 'w> {
        let scalars = Scalars::new(program, kernel);
        Body {
            kernel,
            scalars,
            read: BTreeSet::new(),
            writer,
            names,
            text: String::new(),
            depth: 1,
            functions: String::new(),
            parallel_loops: 0,
            around: None,
            passed_numbers: 0,
            passed_constants: vec![],
        }
    }

    /// All statements of a function.
    pub fn lines(&mut self, body: &[Statement]) -> Result<(), Error> {
        self.read = body.iter().flat_map(|statement| self.scalars.reads(statement)).collect();
        let own = self.kernel.registers.len() - self.passed_numbers;
        let uses = body.iter().flat_map(|statement| self.scalars.uses(statement));
        let pending = uses.filter(|(register, _)| *register < own).collect();
        self.block(body, pending)
    }

    /// The text so far.
    pub fn text(self) -> String {
        self.text
    }

    /// One line of text.
    pub fn line(&mut self, line: &str) {
        self.text += &"    ".repeat(self.depth);
        self.text += line;
        self.text.push('\n');
    }

    /// The statements of one block; `pending` are the scalars that it declares, or blocks inside of it do.
    pub fn block(&mut self, body: &[Statement], pending: BTreeSet<Scalar>) -> Result<(), Error> {
        let mark = self.names.mark();
        let declared = self.scalars.declared(&pending, body);
        let top = declared.iter().filter(|(_, place)| *place == Place::Top);
        top.for_each(|(scalar, _)| self.declare(*scalar));
        let (outer_anchors, outer_repeated) = (self.writer.anchors.len(), self.writer.repeated.len());
        let first_use = body.iter().position(|statement| matches!(statement, Statement::Use { .. }));
        let mut inside = pending;
        declared.iter().for_each(|(scalar, _)| _ = inside.remove(scalar));
        for (position, statement) in body.iter().enumerate() {
            if Some(position) == first_use {
                self.anchor(body)?;
            }
            match statement {
                Statement::For(nest) => {
                    let used = self.scalars.uses(statement);
                    self.nest(nest, inside.intersection(&used).copied().collect())?;
                }
                Statement::If { condition, body } => {
                    let used = self.scalars.uses(statement);
                    let text = self.writer.expression(condition)?.text;
                    self.line(&format!("if ({text}) {{"));
                    let outside = self.writer.bounds.clone();
                    self.writer.bounds = outside.given(condition);
                    self.depth += 1;
                    self.block(body, inside.intersection(&used).copied().collect())?;
                    self.depth -= 1;
                    self.writer.bounds = outside;
                    self.line("}");
                }
                Statement::Use { instruction, body } => {
                    let new = declared.iter().any(|(_, place)| *place == Place::Store(position));
                    self.instruction(instruction, body, new)?;
                }
                Statement::Store { target, at, reduce, value } => {
                    if position == 0 || !matches!(body[position - 1], Statement::Store { .. }) {
                        self.writer.repeated.truncate(outer_repeated);
                        self.repeated(&body[position..])?;
                    }
                    let new =
                        declared.iter().find(|(_, place)| *place == Place::Store(position)).map(|(s, _)| *s);
                    self.store(*target, at, *reduce, value, new)?;
                }
            }
        }
        self.writer.anchors.truncate(outer_anchors);
        self.writer.repeated.truncate(outer_repeated);
        self.names.release(mark);
        Ok(())
    }

    /// Declares a scalar that no store declares.
    pub fn declare(&mut self, scalar: Scalar) {
        if let Some(vector) = self.vector_type(scalar) {
            self.line(&format!("{vector} {};", self.name(scalar)));
            return;
        }
        let zero = nablac_index::Value::from_f64(self.dtype(scalar), 0.0);
        let zero = crate::literal::number(self.dtype(scalar), zero, &mut self.writer.helpers.math);
        self.line(&format!("{} {} = {zero};", c_type(self.dtype(scalar)), self.name(scalar)));
        self.never_read(scalar);
    }

    /// Whether a register is one that is passed.
    pub fn is_passed(&self, register: usize) -> bool {
        register + self.passed_numbers >= self.kernel.registers.len()
    }

    pub fn dtype(&self, (register, _): Scalar) -> nablac_index::DType {
        self.kernel.registers[register].dtype
    }

    /// The type of a register with several elements.
    fn vector_type(&self, (register, _): Scalar) -> Option<String> {
        let register = &self.kernel.registers[register];
        register.vector.then(|| format!("{}x{}", register.dtype, lanes(register)))
    }

    pub fn name(&self, (register, position): Scalar) -> String {
        self.writer.elements[register][position].clone()
    }

    /// Compilers warn about a variable that is only set.
    fn never_read(&mut self, scalar: Scalar) {
        if !self.read.contains(&scalar) {
            self.line(&format!("(void){};", self.name(scalar)));
        }
    }

    /// One instruction; `new` says whether it declares the register that it writes.
    fn instruction(&mut self, name: &str, body: &[Statement], new: bool) -> Result<(), Error> {
        let operands = self.scalars.operands(name, body);
        let Some((known, ..)) = operands.first() else { return Ok(()) };
        let known = *known;
        let mut texts = vec![];
        for (_, p, operand) in &operands {
            texts.push(match self.scalars.of_operand(operand) {
                Some(scalar) => self.name(scalar),
                None => {
                    let position = operand.position.simplify_in(self.writer.bounds.ranges());
                    debug_assert!(known.parameters[*p].memory);
                    self.writer.address(operand.tensor, &position)?
                }
            });
        }
        let passed: Vec<&str> = instruction::passed(known).into_iter().map(|p| texts[p].as_str()).collect();
        let call = format!("{name}({})", passed.join(", "));
        let Some(id) = instruction::result(known) else {
            self.line(&format!("{call};"));
            return Ok(());
        };
        let parameter = &known.parameters[id.0 as usize];
        let declaration = if new { format!("{} ", instruction::type_of(parameter)) } else { String::new() };
        self.line(&format!("{declaration}{} = {call};", texts[id.0 as usize]));
        Ok(())
    }

    /// A store; `new` is the scalar that it declares.
    fn store(
        &mut self,
        target: TensorId,
        at: &[Index],
        reduce: Reduce,
        value: &Expr,
        new: Option<Scalar>,
    ) -> Result<(), Error> {
        let place = self.writer.element(target, at)?;
        let dtype = self.writer.scope.tensor(target).dtype;
        let Some(operation) = operation_of(reduce) else {
            let value = self.writer.typed(value)?.text;
            let declaration = new.map_or(String::new(), |_| format!("{} ", c_type(dtype)));
            self.line(&format!("{declaration}{place} = {value};"));
            new.into_iter().for_each(|scalar| self.never_read(scalar));
            return Ok(());
        };
        let infix = match reduce {
            Reduce::Sum | Reduce::Product => dtype.is_float(),
            Reduce::Or => dtype != nablac_index::DType::Bool && !is_narrow(dtype),
            _ => false,
        };
        if infix {
            let value = self.writer.expression(value)?.text;
            self.line(&format!("{place} {} {value};", reduce.name()));
            return Ok(());
        }
        let before = Expr::read(target, at);
        let combined = self.writer.typed(&before.binary(operation, value.clone()))?.text;
        self.line(&format!("{place} = {combined};"));
        Ok(())
    }
}
