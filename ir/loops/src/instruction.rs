//! Hardware instructions as a library: each is its meaning, and the C that reaches it.
//!
//! Owns what an instruction is and the proof that statements mean the same as one. The compiler knows no instruction by name: a
//! schedule asks for a meaning, `Library::find` gives the instruction that has it, and engines that lack it run the meaning.

use std::ops::Range;

use nablac_index::{Access, DType, Element, Expr, Index, LoopId, Scope, TensorId};

use crate::flatten::flatten;
use crate::program::{For, Kernel, Program, Statement};

/// Instructions that are there under one condition, with the types of their registers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Library {
    /// When a C compiler has them: an expression of its preprocessor.
    pub condition: String,
    /// The header that declares them; may be empty.
    pub header: String,
    /// The registers that hold several elements.
    pub vectors: Vec<Vector>,
    /// The instructions that registers of several elements, or memory, take part in.
    pub instructions: Vec<Instruction>,
    /// Those that compute one value.
    pub functions: Vec<Function>,
}

/// A register that holds several elements.
#[derive(Clone, PartialEq, Debug)]
pub struct Vector {
    /// The elements' type.
    pub dtype: DType,
    /// How many there are.
    pub lanes: usize,
    /// What C calls it where the library is there.
    pub c_type: String,
}

/// `instruction name(parameters) "code" takes 2 { meaning }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Instruction {
    /// Unique within the library; a C identifier.
    pub name: String,
    /// What it works on; the meaning's ids name them by position.
    pub parameters: Vec<Parameter>,
    /// The names of the meaning's loops.
    pub variables: Vec<String>,
    /// The meaning.
    pub body: Vec<Statement>,
    /// The body of a C function with these parameters.
    pub code: String,
    /// How many operations a processor starts for the code; 1 where the text says nothing.
    pub takes: usize,
}

/// `function name(parameters) "code" = value`: an instruction that stands for a part of an expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// Unique within the library; a C identifier.
    pub name: String,
    /// What it works on; the value's reads name them by position.
    pub parameters: Vec<Argument>,
    /// What it gives.
    pub value: Expr,
    /// The body of a C function with these parameters that sets `result`; `{name}` stands for a constant one.
    pub code: String,
}

/// What a function works on.
#[derive(Clone, PartialEq, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// Which values it may have where it is part of the instruction, and so must be known; nothing where it may be any.
    pub constant: Option<Range<i64>>,
}

impl Function {
    /// What stands for each parameter if an expression means the same. `type_of` gives the types of its parts.
    pub fn bind(&self, expression: &Expr, type_of: &dyn Fn(&Expr) -> DType) -> Option<Vec<Expr>> {
        let mut operands = vec![None; self.parameters.len()];
        self.unify(&self.value, expression, type_of, &mut operands)?;
        operands.into_iter().collect()
    }

    fn unify(
        &self,
        meaning: &Expr,
        actual: &Expr,
        type_of: &dyn Fn(&Expr) -> DType,
        operands: &mut [Option<Expr>],
    ) -> Option<()> {
        let mut both = |a: &Expr, b: &Expr| self.unify(a, b, type_of, operands);
        match (meaning, actual) {
            (Expr::Read(formal), _) => {
                let parameter = &self.parameters[formal.tensor.0 as usize];
                let known = |range: &Range<i64>| matches!(actual, Expr::Literal(_, value) if range.contains(&value.as_i64()));
                let fits = parameter.constant.as_ref().is_none_or(known);
                (type_of(actual) == parameter.dtype && fits).then_some(())?;
                let operand = operands[formal.tensor.0 as usize].get_or_insert_with(|| actual.clone());
                (operand == actual).then_some(())
            }
            (Expr::Literal(..), _) => (meaning == actual).then_some(()),
            (Expr::Unary(operation, a), Expr::Unary(own, b)) if operation == own => both(a, b),
            (Expr::Cast(to, a), Expr::Cast(own, b)) if to == own => both(a, b),
            (Expr::Binary(operation, a, b), Expr::Binary(own, c, d)) if operation == own => {
                both(a, c)?;
                both(b, d)
            }
            _ => None,
        }
    }

    /// What the value's expressions name.
    pub fn scope(&self) -> Scope<'_> {
        let element = |p| {
            let Argument { name, dtype, .. }: &Argument = p;
            Element { name, dtype: *dtype, shape: &[] }
        };
        Scope { tensors: self.parameters.iter().map(element).collect(), loops: vec![] }
    }
}

/// What an instruction works on.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Its name in the meaning and in the code.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The lanes; empty for one scalar.
    pub shape: Vec<usize>,
    /// Whether it is in memory, from an address on; otherwise it is one register.
    pub memory: bool,
}

/// What stands for a parameter: the element of `tensor` at which it begins, counted row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Operand {
    /// A buffer, or a register of the kernel.
    pub tensor: TensorId,
    /// The position.
    pub position: Index,
}

impl Library {
    /// The instruction of this name.
    pub fn instruction(&self, name: &str) -> Option<&Instruction> {
        self.instructions.iter().find(|instruction| instruction.name == name)
    }

    /// The first instruction that means what `body` does, in a kernel of a program.
    pub fn find(&self, program: &Program, kernel: &Kernel, body: &[Statement]) -> Option<&Instruction> {
        self.instructions.iter().find(|instruction| instruction.bind(program, kernel, body).is_some())
    }
}

impl Instruction {
    /// The parameter that the meaning writes.
    pub fn written(&self) -> Vec<TensorId> {
        self.kernel().writes(self.parameters.len())
    }

    /// Whether the meaning reads the parameter.
    pub fn reads(&self, id: TensorId) -> bool {
        self.kernel().reads(self.parameters.len()).contains(&id)
    }

    /// The meaning as a kernel.
    pub fn kernel(&self) -> Kernel {
        let (name, variables, body) = (self.name.clone(), self.variables.clone(), self.body.clone());
        Kernel { name, variables, body, ..Kernel::default() }
    }

    /// What stands for each parameter if `body`, in a kernel of a program, means the same; `None` if it does not.
    pub fn bind(&self, program: &Program, kernel: &Kernel, body: &[Statement]) -> Option<Vec<Operand>> {
        let mut binding = Binding {
            instruction: self,
            program,
            kernel,
            loops: vec![None; self.variables.len()],
            operands: vec![None; self.parameters.len()],
        };
        binding.body(&self.body, body)?;
        binding.operands.into_iter().collect()
    }
}

/// An instruction's meaning laid over statements.
struct Binding<'a> {
    instruction: &'a Instruction,
    program: &'a Program,
    kernel: &'a Kernel,
    /// The kernel's variable that stands for each of the meaning's loops.
    loops: Vec<Option<LoopId>>,
    operands: Vec<Option<Operand>>,
}

impl Binding<'_> {
    fn body(&mut self, meaning: &[Statement], body: &[Statement]) -> Option<()> {
        (meaning.len() == body.len()).then_some(())?;
        meaning.iter().zip(body).try_for_each(|(meaning, statement)| self.statement(meaning, statement))
    }

    fn statement(&mut self, meaning: &Statement, statement: &Statement) -> Option<()> {
        match (meaning, statement) {
            (Statement::For(a), Statement::For(b)) => {
                let range = |f: &For| Some((constant(&f.lower)?, constant(&f.upper)?, f.step));
                (range(a)? == range(b)?).then_some(())?;
                self.loops[a.variable.0 as usize] = Some(b.variable);
                self.body(&a.body, &b.body)
            }
            (
                Statement::Store { target: formal, at: lanes, reduce, value },
                Statement::Store { target, at, reduce: own, value: actual },
            ) => {
                (reduce == own).then_some(())?;
                self.access(*formal, lanes, *target, at)?;
                self.expression(value, actual)
            }
            _ => None,
        }
    }

    fn expression(&mut self, meaning: &Expr, actual: &Expr) -> Option<()> {
        match (meaning, actual) {
            (Expr::Read(formal), Expr::Read(own)) => {
                let Access { tensor, at, outside: None } = own else { return None };
                self.access(formal.tensor, &formal.at, *tensor, at)
            }
            (Expr::Literal(..), Expr::Literal(..)) => (meaning == actual).then_some(()),
            (Expr::Cast(to, a), Expr::Cast(own, b)) => {
                (to == own).then_some(())?;
                self.expression(a, b)
            }
            (Expr::Unary(operation, a), Expr::Unary(own, b)) => {
                (operation == own).then_some(())?;
                self.expression(a, b)
            }
            (Expr::Binary(operation, a, b), Expr::Binary(own, c, d)) => {
                (operation == own).then_some(())?;
                self.expression(a, c)?;
                self.expression(b, d)
            }
            (Expr::MultiplyAdd(formal), Expr::MultiplyAdd(own)) => {
                formal.iter().zip(own.iter()).try_for_each(|(a, b)| self.expression(a, b))
            }
            _ => None,
        }
    }

    /// A parameter at `lanes` stands for `tensor` at `at`: their positions differ by what no lane changes.
    fn access(&mut self, formal: TensorId, lanes: &[Index], tensor: TensorId, at: &[Index]) -> Option<()> {
        let parameter = &self.instruction.parameters[formal.0 as usize];
        let (_, dtype, shape) = self.program.place(self.kernel, tensor);
        let register = self.program.register(self.kernel, tensor);
        let fits = match register {
            Some(register) => !parameter.memory && register.vector != parameter.shape.is_empty(),
            None => parameter.memory,
        };
        (fits && dtype == parameter.dtype).then_some(())?;
        let renamed: Option<Vec<Index>> = lanes.iter().map(|index| self.renamed(index)).collect();
        let position = flatten(at, shape, &[]) - flatten(&renamed?, &parameter.shape, &[]);
        let lane = |id: &LoopId| self.loops.contains(&Some(*id));
        (!position.loops().iter().any(lane)).then_some(())?;
        // A register is taken whole.
        let lanes: i64 = parameter.shape.iter().product::<usize>() as i64;
        let whole = position.offset() % lanes == 0 && position.terms().iter().all(|(_, f)| f % lanes == 0);
        (parameter.memory || whole).then_some(())?;
        let operand = Operand { tensor, position };
        let known = self.operands[formal.0 as usize].get_or_insert_with(|| operand.clone());
        (*known == operand).then_some(())
    }

    /// An index of the meaning's loops in the kernel's variables.
    fn renamed(&self, index: &Index) -> Option<Index> {
        index.loops().iter().try_for_each(|id| self.loops[id.0 as usize].map(|_| ()))?;
        Some(index.substitute(&|id| Index::of_loop(self.loops[id.0 as usize].unwrap_or(id))))
    }
}

fn constant(bounds: &[Index]) -> Option<i64> {
    match bounds {
        [one] => one.as_constant(),
        _ => None,
    }
}
