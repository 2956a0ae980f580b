//! Expressions as C text, with exactly the meaning of `nablac_index::arithmetic`.
//!
//! Owns which C operator or function an operation becomes. Where C's own operator is exact it is written; elsewhere a small
//! function of `helper` stands for it.

use nablac_index::{Binary, DType, Expr, Unary, Value, largest, smallest};

use crate::error::Error;
use crate::instruction;
use crate::literal::{c_type, is_narrow, number};
use crate::writer::{Level, Text, Writer};

impl Writer<'_> {
    /// An expression as C text.
    pub fn expression(&mut self, expression: &Expr) -> Result<Text, Error> {
        if let Some((function, operands)) = self.function(expression)? {
            return self.call(&function, &operands.iter().collect::<Vec<_>>());
        }
        match expression {
            Expr::Literal(dtype, value) => {
                let text = number(*dtype, *value, &mut self.helpers.math);
                let level = if text.starts_with('-') { Level::Prefix } else { Level::Name };
                Ok(Text::new(text, level))
            }
            Expr::Index(index) => {
                let text = self.index(index)?;
                Ok(Text::new(format!("(int64_t){}", text.at(Level::Prefix)), Level::Prefix))
            }
            Expr::Read(access) => self.read(access),
            Expr::Unary(operation, a) => self.unary(*operation, a),
            Expr::Binary(operation, a, b) if operation.is_comparison() => self.comparison(*operation, a, b),
            Expr::Binary(operation, a, b) => self.binary(*operation, a, b),
            Expr::Select(abc) => {
                let [condition, then, otherwise] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                let [then, otherwise] = [then, otherwise].map(|text| text.behind(Level::Choice));
                let text = format!("{} ? {then} : {otherwise}", condition.behind(Level::Choice));
                Ok(Text::widened(text, Level::Choice))
            }
            Expr::Cast(to, a) => self.cast(*to, a),
            Expr::MultiplyAdd(abc) => {
                let dtype = self.scope.type_of(&abc[0]);
                if !dtype.is_float() {
                    let [a, b, c] = abc.as_ref().clone();
                    return self.expression(&(a * b + c));
                }
                self.call_math("fma", dtype, &abc.each_ref())
            }
            Expr::Requantize(rounding, abc) => {
                let function = self.helpers.requantize(*rounding);
                self.call(&function, &abc.each_ref())
            }
            Expr::Stop(a) => self.expression(a),
        }
    }

    /// An expression whose C type is the one of its element type, so that it can be passed or stored without a conversion.
    pub fn typed(&mut self, expression: &Expr) -> Result<Text, Error> {
        let dtype = self.scope.type_of(expression);
        let text = self.expression(expression)?;
        Ok(match !text.exact && is_narrow(dtype) {
            true => Text::new(format!("({}){}", c_type(dtype), text.at(Level::Prefix)), Level::Prefix),
            false => text,
        })
    }

    /// The hardware instruction that means the same as an expression, with its operands.
    fn function(&mut self, expression: &Expr) -> Result<Option<(String, Vec<Expr>)>, Error> {
        let Some(library) = &self.program.library else { return Ok(None) };
        let bind =
            |function: &'_ nablac_loops::Function| function.bind(expression, &|e| self.scope.type_of(e));
        let found = library.functions.iter().find_map(|function| Some((function, bind(function)?)));
        found
            .map(|(known, operands)| instruction::function(library, known, operands, self.helpers))
            .transpose()
    }

    fn call(&mut self, function: &str, operands: &[&Expr]) -> Result<Text, Error> {
        let operands = operands.iter().map(|e| Ok(self.typed(e)?.text)).collect::<Result<Vec<_>, Error>>()?;
        Ok(Text::new(format!("{function}({})", operands.join(", ")), Level::Name))
    }

    fn call_math(&mut self, function: &str, dtype: DType, operands: &[&Expr]) -> Result<Text, Error> {
        self.helpers.math = true;
        let suffix = if dtype == DType::F32 { "f" } else { "" };
        self.call(&format!("{function}{suffix}"), operands)
    }

    fn unary(&mut self, operation: Unary, a: &Expr) -> Result<Text, Error> {
        let dtype = self.scope.type_of(a);
        let function = match operation {
            Unary::Neg if dtype.is_float() => {
                let operand = self.expression(a)?;
                let text = if operand.text.starts_with('-') {
                    format!("({})", operand.text)
                } else {
                    operand.at(Level::Prefix)
                };
                return Ok(Text::new(format!("-{text}"), Level::Prefix));
            }
            Unary::Abs if dtype.kind() == nablac_index::Kind::Unsigned => return self.expression(a),
            Unary::IsNan | Unary::Neg | Unary::Abs if !dtype.is_float() || operation == Unary::IsNan => {
                let function = self.helpers.unary(operation, dtype);
                let call = self.call(&function, &[a])?;
                return Ok(Text { exact: operation != Unary::IsNan, ..call });
            }
            Unary::Not => return self.not(a, dtype),
            Unary::Abs => "fabs",
            Unary::Round => "rint",
            Unary::RoundAway => "round",
            other => other.name(),
        };
        self.call_math(function, dtype, &[a])
    }

    fn not(&mut self, a: &Expr, dtype: DType) -> Result<Text, Error> {
        let operand = self.expression(a)?;
        if dtype == DType::Bool {
            return Ok(Text::widened(format!("!{}", operand.at(Level::Name)), Level::Prefix));
        }
        let text = format!("~{}", operand.at(Level::Prefix));
        Ok(match is_narrow(dtype) {
            true => Text::new(format!("({}){text}", c_type(dtype)), Level::Prefix),
            false => Text::new(text, Level::Prefix),
        })
    }

    fn binary(&mut self, operation: Binary, a: &Expr, b: &Expr) -> Result<Text, Error> {
        let dtype = self.scope.type_of(a);
        if dtype == DType::Bool {
            return self.logical(operation, a, b);
        }
        let infix = match operation {
            Binary::Add => Some(Level::Sum),
            Binary::Sub => Some(Level::Sum),
            Binary::Mul => Some(Level::Product),
            Binary::Div if dtype.is_float() => Some(Level::Product),
            Binary::And | Binary::Or | Binary::Xor => return self.bits(operation, dtype, a, b),
            _ => None,
        };
        let whole = || Expr::Binary(operation, Box::new(a.clone()), Box::new(b.clone()));
        match infix {
            Some(level) if dtype.is_float() || self.stays_inside(&whole(), dtype) => {
                if let (Binary::Add, Some(b)) = (operation, negated(b)) {
                    return self.binary(Binary::Sub, a, &b);
                }
                let text = self.expression(a)?.at(level);
                Ok(Text::new(
                    format!("{text} {} {}", operation.name(), self.expression(b)?.behind(level)),
                    level,
                ))
            }
            None if dtype.is_float() => match operation {
                Binary::Rem => self.call_math("fmod", dtype, &[a, b]),
                Binary::Pow => self.call_math("pow", dtype, &[a, b]),
                _ => self.call_helper(operation, dtype, a, b),
            },
            _ => self.call_helper(operation, dtype, a, b),
        }
    }

    fn call_helper(&mut self, operation: Binary, dtype: DType, a: &Expr, b: &Expr) -> Result<Text, Error> {
        let function = self.helpers.binary(operation, dtype);
        self.call(&function, &[a, b])
    }

    fn bits(&mut self, operation: Binary, dtype: DType, a: &Expr, b: &Expr) -> Result<Text, Error> {
        let (a, b) = (self.expression(a)?.at(Level::Prefix), self.expression(b)?.at(Level::Prefix));
        let text = format!("{a} {} {b}", bit_sign(operation));
        Ok(match is_narrow(dtype) {
            true => Text::new(format!("({})({text})", c_type(dtype)), Level::Prefix),
            false => Text::new(text, Level::Bits),
        })
    }

    /// Booleans are 0 or 1. Compilers warn about `&&` beside a constant.
    fn logical(&mut self, operation: Binary, a: &Expr, b: &Expr) -> Result<Text, Error> {
        let operation = match operation {
            Binary::Min | Binary::Mul => Binary::And,
            Binary::Max | Binary::Add => Binary::Or,
            other => other,
        };
        let constant = matches!(a, Expr::Literal(..)) || matches!(b, Expr::Literal(..));
        let (sign, level) = match operation {
            Binary::Xor => ("^", Level::Bits),
            _ if constant => (bit_sign(operation), Level::Bits),
            Binary::And => ("&&", Level::And),
            _ => ("||", Level::Or),
        };
        let mut operand = |e: &Expr| -> Result<String, Error> {
            let text = self.expression(e)?;
            let tighter = if sign == "&&" || sign == "||" { Level::Comparison } else { Level::Prefix };
            Ok(if text.level == level && level < Level::Bits { text.text } else { text.at(tighter) })
        };
        let text = format!("{} {sign} {}", operand(a)?, operand(b)?);
        Ok(Text::widened(text, level))
    }

    fn comparison(&mut self, operation: Binary, a: &Expr, b: &Expr) -> Result<Text, Error> {
        let dtype = self.scope.type_of(a);
        let sign = operation.name();
        if let (Some(x), Some(y)) = (small_index(a), small_index(b)) {
            let (x, y) = (self.index(&x)?.at(Level::Sum), self.index(&y)?.at(Level::Sum));
            return Ok(Text::widened(format!("{x} {sign} {y}"), Level::Comparison));
        }
        let (x, y) = (self.expression(a)?, self.expression(b)?);
        // Compilers warn where they see that a comparison is always true or false.
        let extreme = |e: &Expr| matches!(e, Expr::Literal(_, Value::Int(v)) if *v == smallest(dtype) || *v == largest(dtype));
        let apart = match (self.interval(a), self.interval(b)) {
            (Some((a_low, a_high)), Some((b_low, b_high))) => a_high <= b_low || a_low >= b_high,
            _ => false,
        };
        let decided = apart || extreme(a) || extreme(b) || x.text == y.text;
        if !dtype.is_float() && decided {
            let call = self.call_helper(operation, dtype, a, b)?;
            return Ok(Text { exact: false, ..call });
        }
        let [x, y] = [x, y].map(|text| text.behind(Level::Comparison));
        Ok(Text::widened(format!("{x} {sign} {y}"), Level::Comparison))
    }

    fn cast(&mut self, to: DType, a: &Expr) -> Result<Text, Error> {
        let from = self.scope.type_of(a);
        if from == to {
            return self.expression(a);
        }
        if to == DType::Bool {
            let text = self.expression(a)?.behind(Level::Comparison);
            let zero = number(from, Value::from_f64(from, 0.0), &mut false);
            return Ok(Text::widened(format!("{text} != {zero}"), Level::Comparison));
        }
        if let (Expr::Unary(round @ (Unary::Round | Unary::RoundAway), real), DType::I32) = (a, to)
            && from == DType::F32
            && self.is_small(real)
        {
            let function = self.helpers.nearest(*round);
            return self.call(&function, &[real]);
        }
        if from.is_float() && !to.is_float() {
            let function = self.helpers.saturate(from, to);
            return self.call(&function, &[a]);
        }
        // An index fits in 32 bits, and needs no detour through 64.
        let text = match a {
            Expr::Index(index) => self.index(index)?,
            _ => self.expression(a)?,
        };
        Ok(Text::new(format!("({}){}", c_type(to), text.at(Level::Prefix)), Level::Prefix))
    }

    /// Whether a real is bounded so that a float still counts halves between its integers, and is a number: the first operand of
    /// each bound wins over what is none.
    fn is_small(&self, expression: &Expr) -> bool {
        let small = |e: &Expr| match e {
            Expr::Literal(_, value) => value.as_f64().abs() <= f64::from(1 << 21),
            _ => false,
        };
        match expression {
            Expr::Binary(Binary::Min, high, inner) => match inner.as_ref() {
                Expr::Binary(Binary::Max, low, _) => small(high) && small(low),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether C's own operator can't overflow, for all that the operands' types and the loops say.
    fn stays_inside(&self, expression: &Expr, dtype: DType) -> bool {
        let exact = matches!(dtype, DType::I32 | DType::I64);
        let limits = (i128::from(smallest(dtype)), i128::from(largest(dtype)));
        exact && self.interval(expression).is_some_and(|(low, high)| low >= limits.0 && high <= limits.1)
    }

    /// The values that an integer expression can take, where that is easily seen.
    fn interval(&self, expression: &Expr) -> Option<(i128, i128)> {
        let dtype = self.scope.type_of(expression);
        let of_type = |dtype: DType| {
            let narrow = dtype.bytes() <= 4 && !dtype.is_float();
            narrow.then(|| (i128::from(smallest(dtype)), i128::from(largest(dtype))))
        };
        match expression {
            Expr::Literal(DType::U64, _) => None,
            Expr::Literal(_, Value::Int(x)) => Some((i128::from(*x), i128::from(*x))),
            Expr::Index(index) => self.bounds.range(index).map(|(low, high)| (low.into(), high.into())),
            Expr::Cast(to, a) => {
                let inner = self.interval(a).filter(|_| !self.scope.type_of(a).is_float())?;
                let outer =
                    of_type(*to).or((*to == DType::I64).then_some((i64::MIN.into(), i64::MAX.into())))?;
                (inner.0 >= outer.0 && inner.1 <= outer.1).then_some(inner)
            }
            Expr::Binary(operation @ (Binary::Add | Binary::Sub | Binary::Mul), a, b)
                if matches!(dtype, DType::I32 | DType::I64) =>
            {
                let ((a, b), (c, d)) = (self.interval(a)?, self.interval(b)?);
                let ends = match operation {
                    Binary::Add => [a + c, b + d, a + c, b + d],
                    Binary::Sub => [a - d, b - c, a - d, b - c],
                    _ => [a * c, a * d, b * c, b * d],
                };
                let (low, high) = (*ends.iter().min()?, *ends.iter().max()?);
                let fits = low >= i128::from(smallest(dtype)) && high <= i128::from(largest(dtype));
                fits.then_some((low, high))
            }
            Expr::Binary(operation @ (Binary::Min | Binary::Max), a, b) if dtype.is_integer() => {
                let ((a, b), (c, d)) = (self.interval(a)?, self.interval(b)?);
                Some(if *operation == Binary::Min { (a.min(c), b.min(d)) } else { (a.max(c), b.max(d)) })
            }
            _ => of_type(dtype),
        }
    }
}

/// The number whose negative stands there: `x + -128` is written `x - 128`.
fn negated(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::Literal(dtype, Value::Int(x)) if *x < 0 && *x > smallest(*dtype) => {
            Some(Expr::integer(*dtype, -x))
        }
        _ => None,
    }
}

fn bit_sign(operation: Binary) -> &'static str {
    match operation {
        Binary::And => "&",
        Binary::Or => "|",
        _ => "^",
    }
}

/// An index that is compared in 32 bits, as those of loops are.
fn small_index(expression: &Expr) -> Option<nablac_index::Index> {
    match expression {
        Expr::Index(index) => Some(index.clone()),
        Expr::Literal(DType::I64, Value::Int(x)) if i32::try_from(*x).is_ok() => Some((*x).into()),
        _ => None,
    }
}
