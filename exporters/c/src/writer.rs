//! What the text of an expression depends on: names, types, what is known of variables, and the functions used so far.
//!
//! Owns the C text of indices and accesses, and the parentheses around operands.

use std::collections::BTreeSet;

use nablac_index::{Access, Atom, DType, Index, LoopId, Scope, TensorId, row_major_strides};
use nablac_loops::{Bounds, Program, Role, flatten};

use crate::error::Error;
use crate::helper::Helpers;
use crate::literal::number;
use crate::repeated::Repeated;

/// How tightly a C expression binds, from `a ? b : c` to a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Choice,
    Or,
    And,
    Bits,
    Comparison,
    Sum,
    Product,
    Prefix,
    Name,
}

/// A C expression.
#[derive(Clone, Debug)]
pub struct Text {
    pub text: String,
    pub level: Level,
    /// Whether its C type is the one of its element type; `false` where C has widened it to `int`.
    pub exact: bool,
}

impl Text {
    pub fn new(text: impl Into<String>, level: Level) -> Text {
        Text { text: text.into(), level, exact: true }
    }

    pub fn widened(text: impl Into<String>, level: Level) -> Text {
        Text { text: text.into(), level, exact: false }
    }

    /// The text where an operator of `level` stands beside it.
    pub fn at(&self, level: Level) -> String {
        if self.level < level { format!("({})", self.text) } else { self.text.clone() }
    }

    /// The text behind an operator of `level`: one that binds no tighter is set in parentheses.
    pub fn behind(&self, level: Level) -> String {
        if self.level <= level { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// Writes the expressions of one kernel.
pub struct Writer<'a> {
    /// The program, whose inputs the caller fills: a boolean there may be any byte.
    pub program: &'a Program,
    /// The kernel's name, for errors.
    pub kernel: &'a str,
    /// Types and shapes of buffers and registers.
    pub scope: &'a Scope<'a>,
    /// The C name of each buffer, and for each register the C names of its elements.
    pub buffers: &'a [String],
    pub elements: &'a [Vec<String>],
    /// Whether a buffer without dimensions is a variable; otherwise it is a pointer to one element.
    pub by_value: bool,
    /// The C name of each variable, and what is known of them here.
    pub variables: Vec<String>,
    pub bounds: Bounds,
    /// Pointers into buffers that the blocks around have set.
    pub anchors: Vec<Anchor>,
    /// Elements that have been read into variables.
    pub repeated: Vec<Repeated>,
    pub helpers: &'a mut Helpers,
    /// What the text has named so far: a parameter that it does not name is not passed.
    pub used: Used,
}

/// A pointer to the element at `rest + base`.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// The buffer.
    pub tensor: TensorId,
    /// The part of the position that loops move.
    pub rest: Index,
    /// The part of it that is constant.
    pub base: i64,
    /// What C calls it.
    pub name: String,
    /// Whether it moves along with the loop around the place.
    pub moves: bool,
}

/// The buffers and variables that a text names.
#[derive(Clone, Debug, Default)]
pub struct Used {
    pub buffers: BTreeSet<TensorId>,
    pub variables: BTreeSet<LoopId>,
}

impl Writer<'_> {
    /// An index as C text, computed in 32 bits; in 64 where it reads a tensor, whose values may be any.
    pub fn index(&mut self, index: &Index) -> Result<Text, Error> {
        self.fits(index)?;
        let mut text = String::new();
        // Positive terms first: `4 - 2 * i` rather than `-2 * i + 4`.
        let (positive, negative): (Vec<_>, Vec<_>) =
            index.terms().iter().partition(|(_, factor)| *factor > 0);
        for (atom, factor) in &positive {
            let joint = if text.is_empty() { "" } else { " + " };
            text += &format!("{joint}{}", self.term(atom, factor.unsigned_abs())?);
        }
        let offset = index.offset();
        if offset > 0 && positive.is_empty() || index.terms().is_empty() {
            text = offset.to_string();
        }
        for (atom, factor) in &negative {
            let joint = if text.is_empty() { "-" } else { " - " };
            text += &format!("{joint}{}", self.term(atom, factor.unsigned_abs())?);
        }
        if !index.terms().is_empty() {
            match offset {
                0 => {}
                n if n < 0 => text += &format!(" - {}", n.unsigned_abs()),
                _ if positive.is_empty() => {}
                n => text += &format!(" + {n}"),
            }
        }
        Ok(Text::new(text, level_of(index)))
    }

    fn term(&mut self, atom: &Atom, factor: u64) -> Result<String, Error> {
        let text = self.atom(atom)?;
        Ok(if factor == 1 {
            text.at(Level::Product)
        } else {
            format!("{factor} * {}", text.behind(Level::Product))
        })
    }

    fn atom(&mut self, atom: &Atom) -> Result<Text, Error> {
        match atom {
            Atom::Loop(id) => {
                self.used.variables.insert(*id);
                Ok(Text::new(&self.variables[id.0 as usize], Level::Name))
            }
            Atom::Div(inner, n) => self.quotient(inner, *n, "/"),
            Atom::Mod(inner, n) => self.quotient(inner, *n, "%"),
            Atom::Read(tensor, at) => {
                let element = self.element(*tensor, at)?;
                Ok(Text::new(format!("(int64_t){element}"), Level::Prefix))
            }
        }
    }

    /// C rounds towards zero: the same where nothing is negative.
    fn quotient(&mut self, inner: &Index, n: i64, sign: &str) -> Result<Text, Error> {
        let text = self.index(inner)?;
        if self.bounds.lowest(inner).is_some_and(|low| low >= 0) {
            return Ok(Text::new(format!("{} {sign} {n}", text.at(Level::Product)), Level::Product));
        }
        // Shifts and masks round down.
        if n > 0 && n.count_ones() == 1 {
            let text = text.at(Level::Prefix);
            return Ok(match sign {
                "/" => Text::new(format!("({text} >> {})", n.trailing_zeros()), Level::Name),
                _ => Text::new(format!("({text} & {})", n - 1), Level::Name),
            });
        }
        let dtype = if is_wide(inner) { DType::I64 } else { DType::I32 };
        let function = match sign {
            "/" => self.helpers.floor_quotient(dtype),
            _ => self.helpers.floor_remainder(dtype),
        };
        Ok(Text::new(format!("{function}({}, {n})", text.text), Level::Name))
    }

    /// No part of an index leaves 32 bits.
    fn fits(&self, index: &Index) -> Result<(), Error> {
        let ranges = self.bounds.ranges();
        let magnitude = |(atom, factor): &(Atom, i64)| -> Option<i64> {
            if matches!(atom, Atom::Read(..)) {
                return Some(0);
            }
            let (low, high) = match atom {
                Atom::Loop(id) => ranges[id.0 as usize],
                Atom::Div(inner, n) => match inner.range_in(ranges) {
                    Some((low, high)) => (low.div_euclid(*n), high.div_euclid(*n)),
                    None => (0, 0), // it reads a tensor, and is computed in 64 bits
                },
                _ => (0, 0), // less than the divisor, which is checked with what it divides
            };
            low.abs().max(high.abs()).checked_mul(factor.checked_abs()?)
        };
        let sum =
            index.terms().iter().try_fold(index.offset().checked_abs().unwrap_or(i64::MAX), |sum, term| {
                sum.checked_add(magnitude(term)?)
            });
        if sum.is_some_and(|sum| sum <= i64::from(i32::MAX)) {
            return Ok(());
        }
        Err(Error::TooLarge { kernel: self.kernel.into(), index: self.scope.index_text(index) })
    }

    /// `x[flat]`, or the scalar that a register's element has become.
    pub fn element(&mut self, tensor: TensorId, at: &[Index]) -> Result<String, Error> {
        if let Some(register) = (tensor.0 as usize).checked_sub(self.buffers.len()) {
            let position = constant_position(at, self.scope.tensor(tensor).shape);
            return Ok(self.elements[register][position].clone());
        }
        if self.by_value && self.scope.tensor(tensor).shape.is_empty() {
            return Ok(self.buffers[tensor.0 as usize].clone());
        }
        self.used.buffers.insert(tensor);
        let flat = flatten(at, self.scope.tensor(tensor).shape, self.bounds.ranges());
        if let Some(own) = self.repeated.iter().find(|own| own.tensor == tensor && own.position == flat) {
            return Ok(own.name.clone());
        }
        let text = self.index(&flat)?;
        let position = if is_wide(&flat) { format!("(int32_t)({})", text.text) } else { text.text };
        Ok(format!("{}[{position}]", self.buffers[tensor.0 as usize]))
    }

    /// The address of an element: `&x[flat]`, or behind a pointer that is there already.
    pub fn address(&mut self, tensor: TensorId, position: &Index) -> Result<String, Error> {
        let rest = position.clone() - position.offset();
        let anchor = self.anchors.iter().rev().find(|anchor| anchor.tensor == tensor && anchor.rest == rest);
        let (name, index) = match anchor {
            Some(anchor) => (anchor.name.clone(), Index::constant(position.offset() - anchor.base)),
            None => (self.buffers[tensor.0 as usize].clone(), position.clone()),
        };
        self.used.buffers.insert(tensor);
        let text = self.index(&index)?.text;
        Ok(if text == "0" { name } else { format!("&{name}[{text}]") })
    }

    /// A read, with the tests that keep it inside.
    pub fn read(&mut self, access: &Access) -> Result<Text, Error> {
        let shape = self.scope.tensor(access.tensor).shape;
        let dtype = self.scope.tensor(access.tensor).dtype;
        let mut tests = vec![];
        for (index, &extent) in access.at.iter().zip(shape) {
            let Some(outside) = access.outside else { break };
            let (low, high) = self.bounds.range(index).unwrap_or((i64::MIN, i64::MAX));
            if high < 0 || low >= extent as i64 {
                return Ok(Text::new(number(dtype, outside, &mut self.helpers.math), Level::Prefix));
            }
            let text = self.index(index)?.at(Level::Sum);
            if low < 0 {
                tests.push(format!("{text} >= 0"));
            }
            if high >= extent as i64 {
                tests.push(format!("{text} < {extent}"));
            }
        }
        let element = self.element(access.tensor, &access.at)?;
        let role = self.program.buffers.get(access.tensor.0 as usize).map(|buffer| &buffer.role);
        let foreign = dtype == DType::Bool && matches!(role, Some(Role::Input(_)));
        let element = match foreign {
            true => Text::widened(format!("{element} != 0"), Level::Comparison),
            false => Text::new(element, Level::Name),
        };
        let Some(outside) = access.outside.filter(|_| !tests.is_empty()) else { return Ok(element) };
        let outside = number(dtype, outside, &mut self.helpers.math);
        Ok(Text::widened(
            format!("({}) ? {} : {outside}", tests.join(" && "), element.behind(Level::Choice)),
            Level::Choice,
        ))
    }
}

/// How tightly the text of an index binds.
fn level_of(index: &Index) -> Level {
    match (index.terms(), index.offset()) {
        ([], n) if n < 0 => Level::Prefix,
        ([], _) | ([(Atom::Loop(_), 1)], 0) => Level::Name,
        ([(Atom::Loop(_), -1)], 0) => Level::Prefix,
        ([_], 0) => Level::Product,
        _ => Level::Sum,
    }
}

/// Whether an index is computed in 64 bits, because it depends on data.
pub fn is_wide(index: &Index) -> bool {
    let mut wide = false;
    index.visit_atoms(&mut |atom| wide |= matches!(atom, Atom::Read(..)));
    wide
}

/// The row-major position of a register's element, whose indices are constant once loops are written out.
pub fn constant_position(at: &[Index], shape: &[usize]) -> usize {
    let strides = row_major_strides(shape);
    let position: i64 = at.iter().zip(strides).map(|(index, stride)| index.offset() * stride).sum();
    position as usize
}
