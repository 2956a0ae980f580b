//! Every operation on every type, at the edges of the types, against `nablac_index::arithmetic`.

#![allow(clippy::unwrap_used)]

mod toolchain;

use nablac_index::{
    Array, Binary, DType, Expr, Index, Kind as Family, LoopId, Reduce, Rounding, TensorId, Unary, Value,
    largest, smallest,
};
use nablac_loops::{Buffer, Delivery, For, Kernel, Kind, Program, Role, Statement, Step};

/// The types that are computed with.
fn types() -> Vec<DType> {
    DType::ALL.iter().copied().filter(|dtype| !dtype.is_packed()).collect()
}

/// Values at which operations differ from what C would do.
fn edges(dtype: DType) -> Vec<Value> {
    if dtype.is_float() {
        let near = |power: i32| {
            [2f64.powi(power) - 0.5, 2f64.powi(power), -2f64.powi(power), -2f64.powi(power) - 0.5]
        };
        let mut values: Vec<f64> = vec![
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            0.3,
            -7.75,
            1e-40,
            3e38,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        [7, 8, 15, 16, 31, 32, 63, 64].iter().for_each(|&power| values.extend(near(power)));
        return values.into_iter().map(|x| Value::from_f64(dtype, x)).collect();
    }
    let mut values: Vec<i64> =
        vec![0, 1, 2, 3, 5, 7, 8, 31, 33, 63, 64, 100, 127, 128, 255, 256, 32767, 65535];
    values.extend([
        -1,
        -2,
        -3,
        -8,
        -33,
        -100,
        -128,
        -129,
        i64::from(i32::MIN),
        i64::from(i32::MAX),
        i64::MIN,
        i64::MAX,
    ]);
    values.extend([smallest(dtype), largest(dtype), largest(dtype) - 1]);
    let mut values: Vec<i64> = values.into_iter().map(|x| nablac_index::wrap(dtype, x)).collect();
    values.sort_unstable();
    values.dedup();
    values.into_iter().map(Value::Int).collect()
}

/// A program that grows by one kernel per operation.
struct Table {
    program: Program,
    inputs: Vec<Array>,
}

impl Table {
    fn new() -> Table {
        let mut table =
            Table { program: Program { name: "edges".into(), ..Program::default() }, inputs: vec![] };
        for dtype in &types() {
            let values = edges(*dtype);
            let array = Array::from_values(*dtype, &[values.len()], values);
            table.buffer(dtype.name(), *dtype, array.shape(), Role::Input(Delivery::Whole));
            table.inputs.push(array);
        }
        table
    }

    fn buffer(&mut self, name: &str, dtype: DType, shape: &[usize], role: Role) -> TensorId {
        let offset = self.program.arena_bytes.next_multiple_of(8);
        let buffer =
            Buffer { name: format!("v_{name}"), dtype, shape: shape.to_vec(), role, offset: Some(offset) };
        self.program.arena_bytes = offset + buffer.bytes();
        self.program.buffers.push(buffer);
        TensorId(self.program.buffers.len() as u32 - 1)
    }

    fn edges(&self, dtype: DType) -> (TensorId, usize) {
        let position = types().iter().position(|t| *t == dtype).unwrap();
        (TensorId(position as u32), self.program.buffers[position].len())
    }

    /// `y[i, …] = value(x[i], …)` for the edges of `operands`, first of all with `initial` in `y`.
    fn row(
        &mut self,
        name: &str,
        result: DType,
        operands: &[DType],
        reduce: Option<Reduce>,
        value: impl Fn(&[Expr]) -> Expr,
    ) {
        let sources: Vec<(TensorId, usize)> = operands.iter().map(|dtype| self.edges(*dtype)).collect();
        let shape: Vec<usize> = sources.iter().map(|(_, length)| *length).collect();
        let y = self.buffer(name, result, &shape, Role::Output);
        let at: Vec<Index> = (0..shape.len()).map(|d| Index::of_loop(LoopId(d as u32))).collect();
        let reads: Vec<Expr> =
            sources.iter().zip(&at).map(|((id, _), index)| Expr::read(*id, [index.clone()])).collect();
        let store = |reduce, value| Statement::Store { target: y, at: at.clone(), reduce, value };
        let stores = match reduce {
            None => vec![store(Reduce::Set, value(&reads))],
            Some(reduce) => vec![store(Reduce::Set, reads[0].clone()), store(reduce, value(&reads))],
        };
        let body = shape.iter().enumerate().rev().fold(stores, |body, (d, &extent)| {
            let (variable, upper) = (LoopId(d as u32), vec![Index::constant(extent as i64)]);
            vec![Statement::For(For {
                variable,
                lower: vec![0.into()],
                upper,
                step: 1,
                kind: Kind::Serial,
                body,
            })]
        });
        let variables = (0..shape.len()).map(|d| format!("i{d}")).collect();
        let kernel = Kernel { name: name.into(), variables, body, ..Kernel::default() };
        self.program.steps.push(Step::Kernel(kernel));
    }

    /// Every operation whose result is exact.
    fn fill(&mut self) {
        for &dtype in &types() {
            for &operation in Unary::ALL {
                if unary_fits(operation, dtype) {
                    let result = if operation == Unary::IsNan { DType::Bool } else { dtype };
                    let name = format!("{}_{dtype}", operation.name());
                    self.row(&name, result, &[dtype], None, |x| x[0].clone().unary(operation));
                }
            }
            for &operation in Binary::ALL {
                if binary_fits(operation, dtype) {
                    let result = if operation.is_comparison() { DType::Bool } else { dtype };
                    let name = format!("{operation:?}_{dtype}");
                    self.row(&name, result, &[dtype, dtype], None, |x| {
                        x[0].clone().binary(operation, x[1].clone())
                    });
                }
            }
            for &to in &types() {
                self.row(&format!("{to}_of_{dtype}"), to, &[dtype], None, |x| x[0].clone().cast(to));
            }
            for (reduce, _) in Reduce::ALL.iter().filter(|(reduce, _)| reduce_fits(*reduce, dtype)) {
                let name = format!("reduce_{reduce:?}_{dtype}");
                self.row(&name, dtype, &[dtype, dtype], Some(*reduce), |x| x[1].clone());
            }
            self.mixed(dtype);
        }
        for &rounding in Rounding::ALL {
            // Multipliers at both ends of what a scale becomes, and exponents at both ends of what they may be.
            let largest = (1 << rounding.fraction_bits()) - 1;
            for (place, (multiplier, exponent)) in [
                (largest, 0),
                (largest / 2 + 1, -1),
                (largest - 4321, -7),
                (largest, -31),
                (largest / 3 * 2, 9),
            ]
            .into_iter()
            .enumerate()
            {
                let name = format!("{}_{place}", rounding.name());
                self.row(&name, DType::I32, &[rounding.value_dtype()], None, |x| {
                    let [multiplier, exponent] = [multiplier, exponent].map(|n| Expr::integer(DType::I32, n));
                    x[0].clone().requantize(rounding, multiplier, exponent)
                });
            }
        }
    }

    /// Operations inside of others, where C's precedence and widening come in, and beside constants.
    fn mixed(&mut self, dtype: DType) {
        let name = |what: &str| format!("{what}_{dtype}");
        let edge = |which: usize| Expr::Literal(dtype, *edges(dtype).iter().nth_back(which).unwrap());
        self.row(&name("select"), dtype, &[dtype, dtype], None, |x| {
            let less = x[0].clone().binary(Binary::Ne, x[1].clone());
            let nested = less.clone().select(x[0].clone(), edge(0));
            less.select(nested, x[1].clone().binary(Binary::Eq, edge(1)).select(edge(1), x[0].clone()))
        });
        self.row(&name("same"), DType::Bool, &[dtype], None, |x| {
            x[0].clone().binary(Binary::Eq, x[0].clone())
        });
        self.row(&name("logic"), DType::Bool, &[dtype, dtype], None, |x| {
            let equal = x[0].clone().binary(Binary::Eq, x[1].clone());
            let different = x[0].clone().binary(Binary::Ne, edge(0));
            let both = equal.clone().binary(Binary::And, different.clone().unary(Unary::Not));
            let one = equal.binary(Binary::Xor, different).binary(Binary::Or, both);
            one.binary(Binary::Or, Expr::Literal(DType::Bool, Value::Int(0)))
        });
        if dtype == DType::Bool {
            return;
        }
        self.row(&name("fma"), dtype, &[dtype, dtype], None, |x| {
            Expr::MultiplyAdd(Box::new([x[0].clone(), x[1].clone(), x[0].clone()]))
        });
        self.row(&name("nested"), dtype, &[dtype, dtype], None, |x| {
            let (a, b) = (x[0].clone(), x[1].clone());
            let sum = (a.clone() + b.clone()) * (a.clone() - edge(0));
            -(sum - (b.clone() - -a.clone()).max(b)) + a
        });
        if dtype.is_integer() {
            self.row(&name("bits"), dtype, &[dtype, dtype], None, |x| {
                let (a, b) = (x[0].clone(), x[1].clone());
                let inner = a.clone().binary(Binary::Or, b.clone()).unary(Unary::Not);
                inner.binary(
                    Binary::And,
                    (a + b.clone()).binary(Binary::Xor, b.binary(Binary::Shr, Expr::integer(dtype, 1))),
                )
            });
        }
    }
}

fn unary_fits(operation: Unary, dtype: DType) -> bool {
    match operation {
        Unary::Neg | Unary::Abs => dtype != DType::Bool,
        Unary::Not => !dtype.is_float(),
        // Correctly rounded everywhere; the others depend on the C library.
        Unary::Sqrt | Unary::Floor | Unary::Ceil | Unary::Round | Unary::RoundAway | Unary::IsNan => {
            dtype.is_float()
        }
        _ => false,
    }
}

fn binary_fits(operation: Binary, dtype: DType) -> bool {
    match operation {
        Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
        Binary::Shl | Binary::Shr => dtype.is_integer(),
        Binary::Eq | Binary::Ne => true,
        Binary::Pow => dtype.is_integer(),
        Binary::ShrRound | Binary::MulHigh => matches!(dtype, DType::I16 | DType::I32),
        Binary::HighWord | Binary::HighWordRound => dtype == DType::I32,
        _ => dtype.kind() != Family::Bool,
    }
}

fn reduce_fits(reduce: Reduce, dtype: DType) -> bool {
    match reduce {
        Reduce::ArgMax => false,
        Reduce::Set => true,
        Reduce::Or => !dtype.is_float(),
        _ => dtype != DType::Bool,
    }
}

#[test]
fn operations_mean_what_the_arithmetic_says() {
    let mut table = Table::new();
    table.fill();
    toolchain::check_library("arithmetic", &table.program, vec![table.inputs], false);
}

#[test]
fn functions_of_the_c_library_are_close() {
    let mut table = Table::new();
    let functions = [Unary::Exp, Unary::Log, Unary::Sin, Unary::Cos, Unary::Tanh, Unary::Erf];
    let small = Array::from_f32(&[40], &(0..40).map(|i| i as f32 / 8.0 - 2.0).collect::<Vec<_>>());
    for dtype in [DType::F32, DType::F64] {
        let position = types().iter().position(|t| *t == dtype).unwrap();
        let values = small.values().map(|x| Value::from_f64(dtype, x.as_f64()));
        table.inputs[position] = Array::from_values(dtype, &[40], values);
    }
    // The inputs' lengths are part of the program: begin again with those.
    let inputs = table.inputs;
    let mut table =
        Table { program: Program { name: "library".into(), ..Program::default() }, inputs: vec![] };
    for (dtype, array) in types().iter().zip(inputs) {
        table.buffer(dtype.name(), *dtype, array.shape(), Role::Input(Delivery::Whole));
        table.inputs.push(array);
    }
    for dtype in [DType::F32, DType::F64] {
        for operation in functions {
            table.row(&format!("{}_{dtype}", operation.name()), dtype, &[dtype], None, |x| {
                x[0].clone().unary(operation)
            });
        }
        table.row(&format!("pow_{dtype}"), dtype, &[dtype, dtype], None, |x| {
            x[0].clone().binary(Binary::Pow, x[1].clone())
        });
    }
    let options = toolchain::options(&table.program, vec![table.inputs]);
    let folder = nablac_c::export(&table.program, &options).unwrap();
    let work = toolchain::Work::new("library");
    toolchain::compile_everywhere(&work, &folder, true);
    let (passed, report) = toolchain::selftest(&work, &folder); // it compares within its tolerance
    assert!(passed, "{report}");
}
