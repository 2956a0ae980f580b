//! Samples: what a model is run on, and what comes out.
//!
//! Owns how arrays of a file are cut into samples and put together again, and samples at random. An array of the model's
//! own shape is one sample. One with more along the first axis is cut there: `[10, 8, 8]` is ten samples of `[1, 8, 8]`. One
//! with an axis more is cut along that: `[10, 640]` is ten samples of `[640]`.

use std::collections::BTreeMap;

use nablac_index::{Array, DType, Program, TensorId, Value};

use crate::failure::{Code, Failure, Result};

/// An input or output of a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Port {
    /// Its name in the model.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<usize>,
}

/// One array per input or output, in the model's order.
pub type Sample = Vec<Array>;

/// How arrays hold several samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stacking {
    /// One sample, in the model's own shape.
    Alone,
    /// Joined along the first axis.
    Joined,
    /// Along an axis of their own, in front.
    Added,
}

impl Port {
    fn of(program: &Program, ids: Vec<TensorId>) -> Vec<Port> {
        let tensors = ids.into_iter().map(|id| program.tensor(id));
        tensors.map(|t| Port { name: t.name.clone(), dtype: t.dtype, shape: t.shape.clone() }).collect()
    }

    /// The inputs of a program.
    pub fn inputs(program: &Program) -> Vec<Port> {
        Port::of(program, program.inputs())
    }

    /// The outputs of a program.
    pub fn outputs(program: &Program) -> Vec<Port> {
        Port::of(program, program.outputs())
    }

    /// The size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }

    /// How an array of this shape holds samples, and how many.
    fn stacking(&self, shape: &[usize]) -> Option<(Stacking, usize)> {
        if shape == self.shape {
            return Some((Stacking::Alone, 1));
        }
        let (&first, rest) = shape.split_first()?;
        if rest == self.shape {
            return Some((Stacking::Added, first));
        }
        let (&own, own_rest) = self.shape.split_first()?;
        (rest == own_rest && own > 0 && first % own == 0).then(|| (Stacking::Joined, first / own))
    }

    fn cut(&self, array: &Array, samples: usize) -> Vec<Array> {
        let bytes = self.bytes();
        let piece =
            |n: usize| Array::from_bytes(self.dtype, &self.shape, &array.bytes()[n * bytes..][..bytes]);
        (0..samples).filter_map(piece).collect()
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}{:?}", self.name, self.dtype, self.shape)
    }
}

/// The samples in the arrays of a file. `what` says what they are: `input`, `output`.
pub fn cut(ports: &[Port], arrays: &BTreeMap<String, Array>, what: &str) -> Result<(Vec<Sample>, Stacking)> {
    let wrong =
        |message: String| Failure::new(Code::Samples, message).help(format!("the model has {}", list(ports)));
    let mut found: Option<(Stacking, usize)> = None;
    let mut columns = vec![];
    for port in ports {
        let Some(array) = arrays.get(&port.name) else {
            let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
            let message = format!("{what} `{}` is missing; the file holds {}", port.name, names.join(", "));
            return Err(wrong(message));
        };
        if array.dtype() != port.dtype {
            let (given, own) = (array.dtype(), port.dtype);
            return Err(wrong(format!("{what} `{}` is {own}, but the file's array is {given}", port.name)));
        }
        let (stacking, count) = port.stacking(array.shape()).ok_or_else(|| {
            let (own, given) = (&port.shape, array.shape());
            wrong(format!("{what} `{}` is {own:?}, but the file's array is {given:?}", port.name))
        })?;
        let others = found.get_or_insert((stacking, count)).1;
        if others != count {
            return Err(wrong(format!("{what} `{}` has {count} samples, others have {others}", port.name)));
        }
        columns.push(port.cut(array, count));
    }
    if let Some(name) = arrays.keys().find(|name| ports.iter().all(|port| port.name != **name)) {
        return Err(wrong(format!("the model has no {what} `{name}`")));
    }
    let (stacking, count) = found.unwrap_or((Stacking::Alone, 1));
    if count == 0 {
        return Err(wrong("the file holds no sample".into()));
    }
    let sample = |n: usize| columns.iter().map(|column| column[n].clone()).collect();
    Ok(((0..count).map(sample).collect(), stacking))
}

fn list(ports: &[Port]) -> String {
    ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ")
}

/// The arrays that hold `samples`, as a file would.
pub fn join(ports: &[Port], samples: &[Sample], stacking: Stacking) -> Vec<(String, Array)> {
    let joined = |(position, port): (usize, &Port)| {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample[position].bytes().to_vec()).collect();
        let mut shape = port.shape.clone();
        match (stacking, shape.first_mut()) {
            (Stacking::Alone, _) => {}
            (Stacking::Joined, Some(first)) => *first *= samples.len(),
            _ => shape.insert(0, samples.len()),
        }
        Array::from_bytes(port.dtype, &shape, bytes).map(|array| (port.name.clone(), array))
    };
    ports.iter().enumerate().filter_map(joined).collect()
}

/// `count` samples from a seed, the same on every computer: floats in -1…1, 8-bit integers over their whole range, wider
/// integers 0 or 1 (they are often indices), booleans either.
pub fn random(ports: &[Port], count: usize, seed: u64) -> Vec<Sample> {
    let mut state = seed;
    let mut array = |port: &Port| {
        let elements = port.shape.iter().product::<usize>();
        let values: Vec<Value> = (0..elements).map(|_| random_value(port.dtype, &mut state)).collect();
        Array::from_values(port.dtype, &port.shape, values)
    };
    (0..count).map(|_| ports.iter().map(&mut array).collect()).collect()
}

fn random_value(dtype: DType, state: &mut u64) -> Value {
    let bits = split_mix(state);
    match dtype {
        // 24 bits are exact in f32: multiples of 2^-23 from -1 to 1.
        DType::F32 | DType::F64 => Value::from_f64(dtype, (bits >> 40) as f64 / f64::from(1 << 23) - 1.0),
        DType::I8 | DType::U8 => Value::from_i64(dtype, (bits >> 56) as i64),
        _ => Value::from_i64(dtype, (bits >> 63) as i64),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to spread test values.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(shape: &[usize]) -> Port {
        Port { name: "x".into(), dtype: DType::F32, shape: shape.to_vec() }
    }

    fn cut_one(own: &[usize], given: &[usize]) -> Result<(Vec<Sample>, Stacking)> {
        let values: Vec<f32> = (0..given.iter().product()).map(|n: usize| n as f32).collect();
        cut(&[port(own)], &BTreeMap::from([("x".into(), Array::from_f32(given, &values))]), "input")
    }

    #[test]
    fn arrays_are_cut_along_the_first_axis_and_joined_again() {
        for (own, given, stacking, count) in [
            (&[1, 2][..], &[1, 2][..], Stacking::Alone, 1),
            (&[1, 2], &[3, 2], Stacking::Joined, 3),
            (&[2, 2], &[6, 2], Stacking::Joined, 3),
            (&[2], &[3, 2], Stacking::Added, 3),
            (&[], &[3], Stacking::Added, 3),
            (&[1, 2], &[1, 1, 2], Stacking::Added, 1),
        ] {
            let (samples, found) = cut_one(own, given).unwrap();
            assert_eq!((found, samples.len()), (stacking, count), "{own:?} {given:?}");
            let joined = join(&[port(own)], &samples, stacking);
            assert_eq!(joined[0].1.shape(), given);
            let expected: Vec<f64> = (0..joined[0].1.len()).map(|n| n as f64).collect();
            assert_eq!(joined[0].1.to_f64(), expected);
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused_by_name() {
        for (own, given) in [(&[1, 2][..], &[3, 3][..]), (&[2, 2], &[3, 2]), (&[2], &[3]), (&[1, 2], &[0, 2])]
        {
            assert_eq!(cut_one(own, given).unwrap_err().code, Code::Samples, "{own:?} {given:?}");
        }
        let error = cut(&[port(&[1])], &BTreeMap::new(), "input").unwrap_err();
        assert_eq!(error.message, "input `x` is missing; the file holds ");
        let extra = BTreeMap::from([
            ("x".to_string(), Array::from_f32(&[1], &[0.0])),
            ("y".to_string(), Array::from_f32(&[1], &[0.0])),
        ]);
        assert_eq!(cut(&[port(&[1])], &extra, "input").unwrap_err().message, "the model has no input `y`");
    }

    #[test]
    fn random_samples_follow_from_the_seed_and_stay_in_range() {
        let ports: Vec<Port> = DType::ALL
            .iter()
            .map(|&dtype| Port { name: dtype.to_string(), dtype, shape: vec![50] })
            .collect();
        let samples = random(&ports, 2, 7);
        assert_eq!(samples, random(&ports, 2, 7));
        assert_ne!(samples, random(&ports, 2, 8));
        assert_ne!(samples[0], samples[1]);
        for array in samples[0].iter().filter(|array| array.dtype().is_float()) {
            assert!(array.to_f64().iter().all(|x| x.abs() <= 1.0));
            assert!(array.to_f64().iter().any(|&x| x < -0.5) && array.to_f64().iter().any(|&x| x > 0.5));
        }
    }
}
