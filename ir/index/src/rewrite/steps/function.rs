//! An expression as a function of a few unknowns, with constants that depend on some loops.
//!
//! Owns the unknowns' stand-ins and the evaluation at a *channel*, which is a position of the loops that constants are indexed by. Whether
//! the function rises is `rising`'s matter.

use crate::dtype::{DType, Value};
use crate::evaluate::{Code, Compiler, Elements};
use crate::expression::{Access, Binary, Expr};
use crate::program::{LoopId, Program, Role, Statement, TensorId, largest, smallest};
use crate::scope::Element;

/// The most channels of a function; beyond, its constants are no channels' parameters.
const CHANNELS: usize = 1 << 16;

/// An expression of a statement whose unknowns are `unknown(program, 0)`, `unknown(program, 1)`, …
#[derive(Debug)]
pub(super) struct Function<'a> {
    program: &'a Program,
    code: Code,
    /// The loops that constants are indexed by, with their extents.
    pub loops: Vec<(LoopId, usize)>,
    /// How many loops the statement has.
    depth: usize,
}

/// The stand-in for unknown number `n`: a scalar behind all tensors of the program.
pub(super) fn unknown(program: &Program, n: usize) -> Expr {
    Expr::read(TensorId((program.tensors.len() + n) as u32), [])
}

/// Whether an expression is known at compile time for each position of the loops.
pub(super) fn is_known(program: &Program, expression: &Expr) -> bool {
    let constant = |access: &&Access| {
        let tensor = program.tensors.get(access.tensor.0 as usize); // an unknown is none
        tensor.is_some_and(|t| matches!(t.role, Role::Constant(_))) && access.outside.is_none()
    };
    expression.accesses().iter().all(constant) && expression.indices().iter().all(|i| i.is_affine())
}

impl<'a> Function<'a> {
    /// A function whose unknowns are of the types `unknowns`; nothing if counters around the statement occur.
    pub fn new(
        program: &'a Program,
        statement: &Statement,
        expression: &Expr,
        unknowns: &[DType],
    ) -> Option<Function<'a>> {
        let mut scope = program.scope();
        scope.tensors.extend(unknowns.iter().map(|&dtype| Element { name: "", dtype, shape: &[] }));
        let mut loops: Vec<LoopId> = expression.indices().into_iter().flat_map(|i| i.loops()).collect();
        loops.sort();
        loops.dedup();
        let extent = |id: LoopId| Some((id, statement.loops.get(id.0 as usize)?.extent));
        let loops = loops.into_iter().map(extent).collect::<Option<Vec<_>>>()?;
        let code = Compiler { scope: &scope }.code(expression);
        Some(Function { program, code, loops, depth: statement.loops.len() })
    }

    /// Every channel, as positions of the statement's loops, the last of the function's own loops the fastest; nothing if there are
    /// too many.
    pub fn channels(&self) -> Option<Vec<Vec<i64>>> {
        let count = self.loops.iter().try_fold(1usize, |n, l| n.checked_mul(l.1))?;
        let mut channels = vec![];
        for_each_position(&self.loops, self.depth, &mut |position| {
            channels.push(position.to_vec());
            (count <= CHANNELS).then_some(())
        })?;
        Some(channels)
    }

    /// The value for these unknowns, where it is an integer.
    pub fn integer(&self, channel: &[i64], unknowns: &[i64]) -> Option<i64> {
        let known = Known { program: self.program, unknowns };
        match self.code.evaluate(&known, channel) {
            Ok(Value::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// The values at both ends of a range of the only unknown, if the function rises in between: if it never falls.
    pub fn rising(&self, channel: &[i64], range: (i64, i64)) -> Option<(Value, Value)> {
        if range.0 == range.1 {
            let value = Value::Int(self.integer(channel, &[range.0])?);
            return Some((value, value));
        }
        super::rising::ends(&self.code, self, channel, range)
    }

    /// The real factors of two unknowns, were nothing rounded or bounded: a guess, to be tried.
    pub fn slopes(&self, channel: &[i64]) -> Option<[f64; 2]> {
        let slopes = self.affine(&self.code, channel)?;
        slopes.iter().all(|slope| slope.is_finite()).then_some(slopes)
    }

    /// Between which integers the value lies where the unknowns lie in `ranges`.
    pub fn interval(&self, channel: &[i64], ranges: &[(i64, i64)]) -> Option<(i64, i64)> {
        self.interval_of(&self.code, channel, ranges)
    }

    /// Which unknown a tensor stands for.
    pub fn unknown(&self, tensor: TensorId) -> Option<usize> {
        (tensor.0 as usize).checked_sub(self.program.tensors.len())
    }

    /// The value of a part without unknowns.
    pub fn constant(&self, code: &Code, channel: &[i64]) -> Option<Value> {
        code.evaluate(&Known { program: self.program, unknowns: &[] }, channel).ok()
    }

    fn interval_of(&self, code: &Code, channel: &[i64], ranges: &[(i64, i64)]) -> Option<(i64, i64)> {
        let of = |code: &Code| self.interval_of(code, channel, ranges);
        let (dtype, ends) = match code {
            Code::Read(tensor, ..) if self.unknown(*tensor).is_some() => {
                return ranges.get(self.unknown(*tensor)?).copied();
            }
            Code::Literal(_) | Code::Index(_) | Code::Read(..) => match self.constant(code, channel)? {
                Value::Int(value) => return Some((value, value)),
                _ => return None,
            },
            Code::Cast(from, to, a) if from.is_integer() && to.is_integer() => (to, of(a)?),
            Code::Binary(operation, dtype, ab) => {
                let [a, b] = [of(&ab[0])?, of(&ab[1])?];
                (dtype, combined(*operation, a, b)?)
            }
            _ => return None,
        };
        // Beyond, it would wrap.
        let inside = |x: i64| dtype.bytes() <= 4 && (smallest(*dtype)..=largest(*dtype)).contains(&x);
        (inside(ends.0) && inside(ends.1)).then_some(ends)
    }

    fn affine(&self, code: &Code, channel: &[i64]) -> Option<[f64; 2]> {
        use Binary::*;
        let of = |code: &Code| self.affine(code, channel);
        let constant = |code: &Code| Some(self.constant(code, channel)?.as_f64());
        let scaled = |slopes: [f64; 2], factor: f64| slopes.map(|slope| slope * factor);
        Some(match code {
            _ if self.constant(code, channel).is_some() => [0.0; 2],
            Code::Read(tensor, ..) => match self.unknown(*tensor)? {
                0 => [1.0, 0.0],
                _ => [0.0, 1.0],
            },
            Code::Cast(_, _, a) | Code::Unary(_, _, a) => of(a)?,
            Code::Requantize(rounding, abc) => {
                let exponent = constant(&abc[2])? - rounding.fraction_bits() as f64;
                scaled(of(&abc[0])?, constant(&abc[1])? * exponent.exp2())
            }
            Code::Binary(operation, dtype, ab) => {
                let [a, b] = [of(&ab[0])?, of(&ab[1])?];
                match operation {
                    Add => [a[0] + b[0], a[1] + b[1]],
                    Sub => [a[0] - b[0], a[1] - b[1]],
                    Mul if b == [0.0; 2] => scaled(a, constant(&ab[1])?),
                    Mul => scaled(b, constant(&ab[0])?),
                    Div => scaled(a, 1.0 / constant(&ab[1])?),
                    Shl => scaled(a, constant(&ab[1])?.exp2()),
                    Shr | ShrRound => scaled(a, (-constant(&ab[1])?).exp2()),
                    MulHigh => scaled(a, constant(&ab[1])? / (dtype.bytes() as f64 * 8.0 - 1.0).exp2()),
                    Min | Max if b == [0.0; 2] => a,
                    Min | Max if a == [0.0; 2] => b,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// Between which integers a sum, a difference or a product lies.
fn combined(operation: Binary, a: (i64, i64), b: (i64, i64)) -> Option<(i64, i64)> {
    match operation {
        Binary::Add => Some((a.0.checked_add(b.0)?, a.1.checked_add(b.1)?)),
        Binary::Sub => Some((a.0.checked_sub(b.1)?, a.1.checked_sub(b.0)?)),
        Binary::Mul => {
            let product = |x: i64, y: i64| x.checked_mul(y);
            let all = [product(a.0, b.0)?, product(a.0, b.1)?, product(a.1, b.0)?, product(a.1, b.1)?];
            Some((*all.iter().min()?, *all.iter().max()?))
        }
        _ => None,
    }
}

/// Constants, and values for the unknowns.
struct Known<'a> {
    program: &'a Program,
    unknowns: &'a [i64],
}

impl Elements for Known<'_> {
    fn get(&self, tensor: TensorId, offset: i64) -> Option<Value> {
        match self.program.tensors.get(tensor.0 as usize) {
            Some(found) => match &found.role {
                Role::Constant(array) => {
                    usize::try_from(offset).ok().filter(|&o| o < array.len()).map(|o| array.get(o))
                }
                _ => None,
            },
            None => self.unknowns.get(tensor.0 as usize - self.program.tensors.len()).map(|&x| Value::Int(x)),
        }
    }
}

/// Calls `f` with every position of `loops` among `depth` loops, the others at 0, until it gives nothing; the last one is the fastest.
pub(super) fn for_each_position(
    loops: &[(LoopId, usize)],
    depth: usize,
    f: &mut dyn FnMut(&[i64]) -> Option<()>,
) -> Option<()> {
    let mut position = vec![0; depth];
    if loops.iter().any(|l| l.1 == 0) {
        return Some(());
    }
    loop {
        f(&position)?;
        let next = |&&(id, extent): &&(LoopId, usize)| position[id.0 as usize] + 1 < extent as i64;
        let Some(moved) = loops.iter().rposition(|l| next(&l)) else { return Some(()) };
        position[loops[moved].0.0 as usize] += 1;
        loops[moved + 1..].iter().for_each(|l| position[l.0.0 as usize] = 0);
    }
}
