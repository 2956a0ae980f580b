//! What a straight line of statements does.
//!
//! Owns how many instructions a statement becomes, and of which kind: a hardware instruction is one, an expression has one for each of
//! its operations, and what a C compiler surely does is taken for done (a value is loaded once, a constant stays in its register).

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{Access, Atom, Binary, Expr, Index, Reduce, TensorId, Unary};
use nablac_loops::{Kernel, Program, Statement};
use nablac_machine::Pipeline;

/// Instructions by kind.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Counts {
    /// All of them.
    pub instructions: f64,
    /// Loads.
    pub loads: f64,
    /// Loads that no load stands in front of.
    pub first_loads: f64,
    /// Stores.
    pub stores: f64,
    /// Multiplications, with or without an addition.
    pub multiplies: f64,
    /// Jumps that are taken.
    pub branches: f64,
}

impl Counts {
    pub(crate) fn times(&self, times: f64) -> Counts {
        let mut product = Counts::default();
        product.add(self, times);
        product
    }

    /// Adds so many times the counts of others.
    pub(crate) fn add(&mut self, other: &Counts, times: f64) {
        self.instructions += other.instructions * times;
        self.loads += other.loads * times;
        self.first_loads += other.first_loads * times;
        self.stores += other.stores * times;
        self.multiplies += other.multiplies * times;
        self.branches += other.branches * times;
    }
}

/// What a call of a mathematical function of the C library runs, in instructions: newlib's `expf` takes about so many.
const CALL: f64 = 60.0;

/// Instructions of a division, where there is none for a whole register.
const DIVISION: f64 = 14.0;

/// Instructions of a requantization: a doubled product's upper word with its rounding, a shift with its rounding.
const REQUANTIZATION: f64 = 8.0;

/// A straight line as it is counted.
pub(crate) struct Block<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    pub counts: Counts,
    /// What is in a register already.
    known: Vec<Access>,
    /// The buffers that are touched.
    pointers: BTreeSet<TensorId>,
    /// How often each register's element goes on from its last value.
    chains: BTreeMap<(TensorId, String), f64>,
    /// Whether the last instruction was a load.
    behind_load: bool,
}

impl<'a> Block<'a> {
    pub(crate) fn new(program: &'a Program, kernel: &'a Kernel) -> Block<'a> {
        let counts = Counts::default();
        Block {
            program,
            kernel,
            counts,
            known: vec![],
            pointers: BTreeSet::new(),
            chains: BTreeMap::new(),
            behind_load: false,
        }
    }

    /// The updates of the sum that is updated most often.
    pub(crate) fn longest_chain(&self) -> f64 {
        self.chains.values().copied().fold(0.0, f64::max)
    }

    /// How many values go on from one update to the next.
    pub(crate) fn sums(&self) -> usize {
        self.chains.len()
    }

    /// Adds instructions of a loop's end: a pointer to each buffer goes on, a comparison, a jump.
    pub(crate) fn end_of_loop(&mut self) {
        self.other(2.0 + self.pointers.len() as f64);
        self.counts.branches += 1.0;
    }

    /// Adds a condition with its jump.
    pub(crate) fn condition(&mut self, condition: &Expr) {
        self.expression(condition);
        self.other(1.0);
        self.counts.branches += 0.5;
    }

    /// Adds `target[at] reduce value`.
    pub(crate) fn store(&mut self, target: TensorId, at: &[Index], reduce: Reduce, value: &Expr) {
        let in_register = self.program.is_register(target);
        self.expression(value);
        if reduce != Reduce::Set {
            self.other(1.0);
            if in_register {
                self.goes_on(target, at);
            } else {
                self.load(&Access { tensor: target, at: at.to_vec(), outside: None });
            }
        }
        if in_register {
            return;
        }
        self.pointers.insert(target);
        self.addresses(at);
        self.counts.stores += 1.0;
        self.other(1.0);
        self.known.retain(|access| access.tensor != target);
    }

    /// Adds what one hardware instruction does.
    pub(crate) fn instruction(&mut self, name: &str, body: &[Statement]) {
        let (mut loads, mut stores, mut multiplies) = (vec![], false, false);
        visit_stores(body, &mut |target, at, reduce, value| {
            let reads = value.accesses();
            loads.extend(reads.iter().filter(|a| !self.program.is_register(a.tensor)).map(|a| (*a).clone()));
            stores |= !self.program.is_register(target);
            let buffers = loads.iter().map(|access: &Access| access.tensor).chain([target]);
            self.pointers.extend(buffers.filter(|id| !self.program.is_register(*id)));
            value.visit(&mut |part| {
                multiplies |= matches!(part, Expr::MultiplyAdd(_) | Expr::Binary(Binary::Mul, ..));
            });
            let own = reads.iter().any(|access| access.tensor == target && access.at == *at);
            if (own || reduce != Reduce::Set) && self.program.is_register(target) {
                self.goes_on(target, &row(self.program, self.kernel, target, at));
            }
        });
        match loads.first() {
            Some(access) if self.known.contains(access) => return,
            Some(access) => {
                self.known.push(access.clone());
                self.count_load();
            }
            None => self.behind_load = false,
        }
        let known = self.program.library.as_ref().and_then(|library| library.instruction(name));
        self.counts.instructions += known.map_or(1, |instruction| instruction.takes) as f64;
        self.counts.stores += f64::from(u8::from(stores));
        self.counts.multiplies += f64::from(u8::from(multiplies));
    }

    fn goes_on(&mut self, target: TensorId, at: &[Index]) {
        *self.chains.entry((target, format!("{at:?}"))).or_default() += 1.0;
    }

    /// So many instructions that are no loads.
    fn other(&mut self, count: f64) {
        self.counts.instructions += count;
        self.behind_load &= count == 0.0;
    }

    fn count_load(&mut self) {
        self.counts.loads += 1.0;
        self.counts.first_loads += f64::from(u8::from(!self.behind_load));
        self.behind_load = true;
    }

    fn load(&mut self, access: &Access) {
        if self.program.is_register(access.tensor) || self.known.contains(access) {
            return;
        }
        self.pointers.insert(access.tensor);
        self.addresses(&access.at);
        if access.outside.is_some() {
            self.other(2.0); // a test that it is inside
        }
        self.known.push(access.clone());
        self.counts.instructions += 1.0;
        self.count_load();
    }

    /// What indices that no pointer follows take: quotients and remainders, and elements that are indices.
    fn addresses(&mut self, at: &[Index]) {
        for index in at {
            index.visit_atoms(&mut |atom| match atom {
                Atom::Loop(_) => {}
                Atom::Read(..) => {
                    self.counts.instructions += 1.0;
                    self.count_load();
                }
                _ => self.other(2.0),
            });
        }
    }

    fn expression(&mut self, expression: &Expr) {
        if let Expr::Read(access) = expression {
            return self.load(access);
        }
        expression.children().into_iter().for_each(|child| self.expression(child));
        match expression {
            Expr::Read(_) | Expr::Literal(..) | Expr::Stop(_) => {}
            // A load widens what it loads.
            Expr::Cast(_, inner) if matches!(inner.as_ref(), Expr::Read(_)) => {}
            Expr::MultiplyAdd(_) => self.multiply(),
            Expr::Binary(Binary::Mul, ..) => self.multiply(),
            Expr::Binary(Binary::Div | Binary::Rem, ..) => self.other(DIVISION),
            Expr::Unary(operation, _) if is_call(*operation) => self.other(CALL),
            Expr::Requantize(..) => self.other(REQUANTIZATION),
            // The upper word of a product, which an addition may go with.
            Expr::Binary(Binary::MulHigh | Binary::HighWord | Binary::HighWordRound, ..) => self.multiply(),
            _ => self.other(1.0),
        }
    }

    fn multiply(&mut self) {
        self.counts.multiplies += 1.0;
        self.other(1.0);
    }
}

/// A register that holds several elements is one.
fn row(program: &Program, kernel: &Kernel, target: TensorId, at: &[Index]) -> Vec<Index> {
    let vector = program.register(kernel, target).is_some_and(|register| register.vector);
    at[..at.len() - usize::from(vector && !at.is_empty())].to_vec()
}

/// What is called with a store's target, place, way to combine and value.
type OfStore<'f> = dyn FnMut(TensorId, &Vec<Index>, Reduce, &Expr) + 'f;

/// Calls `f` with every store, whatever stands around it.
fn visit_stores(body: &[Statement], f: &mut OfStore) {
    for statement in body {
        match statement {
            Statement::Store { target, at, reduce, value } => f(*target, at, *reduce, value),
            Statement::For(nablac_loops::For { body, .. })
            | Statement::If { body, .. }
            | Statement::Use { body, .. } => visit_stores(body, f),
        }
    }
}

/// The cycles that a straight line's counts keep each part of a pipeline busy, and those that it takes.
pub(crate) fn cycles(counts: &Counts, chain: f64, pipeline: &Pipeline) -> (crate::Parts, f64) {
    let of = |count: f64, at_once: u32| count / f64::from(at_once.max(1));
    let parts = crate::Parts {
        issue: of(counts.instructions, pipeline.issues),
        loads: of(counts.loads, pipeline.loads),
        stores: of(counts.stores, pipeline.stores),
        multiplies: of(counts.multiplies, pipeline.multiplies),
        latency: chain * f64::from(pipeline.latency),
        refills: vec![],
    };
    let stalls =
        counts.first_loads * f64::from(pipeline.first_load) + counts.branches * f64::from(pipeline.branch);
    let busy = parts.limit().1 + stalls;
    (parts, busy)
}

fn is_call(operation: Unary) -> bool {
    matches!(operation, Unary::Exp | Unary::Log | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Erf)
}
