//! Element types, buffers and quantization.

use nablac_index::{Array, DType};

use super::*;

/// The import of a constant with a node that reads it.
fn with_constant(kind: i8, shape: &[i32], data: &[u8]) -> Result<Array, Error> {
    let source = changed(|m| {
        let index = m.constant("k", kind, shape, data);
        m.main().operators[1] = operator(1, &[2, index], &[3], vec![]);
    })?;
    Ok(source.constants["k"].clone())
}

#[test]
fn every_element_type_is_read() {
    for (kind, data, dtype, value) in [
        (0, &1.5f32.to_le_bytes()[..], DType::F32, 1.5),
        (1, &[0x00, 0x3e], DType::F32, 1.5),
        (2, &(-7i32).to_le_bytes(), DType::I32, -7.0),
        (3, &[200], DType::U8, 200.0),
        (4, &(-7i64).to_le_bytes(), DType::I64, -7.0),
        (6, &[2], DType::Bool, 1.0),
        (7, &(-7i16).to_le_bytes(), DType::I16, -7.0),
        (9, &[0x80], DType::I8, -128.0),
        (10, &0.1f64.to_le_bytes(), DType::F64, 0.1),
        (12, &7u64.to_le_bytes(), DType::U64, 7.0),
        (15, &u32::MAX.to_le_bytes(), DType::U32, u32::MAX as f64),
        (16, &u16::MAX.to_le_bytes(), DType::U16, u16::MAX as f64),
        (18, &[0xc0, 0x3f], DType::F32, 1.5),
    ] {
        let array = with_constant(kind, &[1], data).unwrap();
        assert_eq!((array.dtype(), array.to_f64()), (dtype, vec![value]));
    }
}

#[test]
fn elements_of_4_bits_are_unpacked_from_the_lower_half_on() {
    let array = with_constant(17, &[3], &[0x87, 0x0f]).unwrap();
    assert_eq!((array.dtype(), array.to_i64()), (DType::I4, vec![7, -8, -1]));
    let error = with_constant(17, &[3], &[0x87, 0x0f, 0]).unwrap_err();
    assert!(error.to_string().contains("`k`"), "{error}");
}

#[test]
fn other_element_types_are_named() {
    for (kind, name) in
        [(5, "STRING"), (8, "COMPLEX64"), (21, "FLOAT8_E4M3FN"), (23, "number 23"), (-1, "number -1")]
    {
        let error = with_constant(kind, &[1], &[0; 8]).unwrap_err();
        assert_eq!(error.fault(), Fault::Unsupported);
        assert!(error.to_string().contains("`k`") && error.to_string().contains(name), "{error}");
    }
    let half = changed(|m| m.main().tensors[2] = tensor("s", 1, &[1, 3], vec![]));
    assert_fails(half, Fault::Unsupported, &["`s`", "FLOAT16"]);
    let unread = changed(|m| m.main().tensors.push(tensor("unused", 5, &[1], vec![])));
    assert!(unread.is_ok(), "what nobody reads does no harm");
}

#[test]
fn the_data_has_the_size_of_the_shape() {
    for (shape, part) in
        [(&[3][..], "12 bytes"), (&[-1], "extents"), (&[1 << 15, 1 << 15], "4294967296 bytes")]
    {
        let error = with_constant(0, shape, &[0; 8]).unwrap_err();
        assert_eq!(error.fault(), Fault::Malformed);
        assert!(error.to_string().contains("`k`") && error.to_string().contains(part), "{error}");
    }
    assert_fails(changed(|m| m.buffers.truncate(1)), Fault::Malformed, &["buffer 1", "there are 1"]);
}

#[test]
fn shapes_are_limited() {
    for (shape, flag) in
        [(&[1; 9][..], "--limit-rank 9"), (&[i32::MAX, i32::MAX, i32::MAX], "--limit-elements")]
    {
        let error = with_constant(0, shape, &[0; 8]).unwrap_err();
        assert_eq!(error.fault(), Fault::Limit);
        assert!(error.to_string().contains("`k`") && error.to_string().contains(flag), "{error}");
    }
}

#[test]
fn a_constant_without_elements_needs_no_data() {
    let source = changed(|m| {
        m.main().tensors.push(tensor("none", 2, &[0], vec![]));
        m.main().operators[1] = operator(1, &[2, 4], &[3], vec![]);
    });
    assert_eq!(source.unwrap().constants["none"].shape(), [0]);
}

#[test]
fn data_behind_the_flatbuffer_is_read() {
    let at = |offset: u64, size: u64| {
        let mut model = small();
        model.buffers[1] = table(vec![(1, U64(offset)), (2, U64(size))]);
        model
    };
    let length = at(2, 12).encode().len() as u64;
    let floats: Vec<u8> = [4.0f32, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let with = |offset: u64, size: u64| {
        let mut bytes = at(offset, size).encode();
        bytes.extend(&floats);
        parse(&bytes, &Limits::default())
    };
    assert_eq!(with(length, 12).unwrap().constants["w"].to_f64(), [4.0, 5.0, 6.0]);
    assert_fails(with(length + 1, 12), Fault::Malformed, &["buffer 1", "beyond"]);
    assert_fails(with(u64::MAX, u64::MAX), Fault::Malformed, &["buffer 1", "beyond"]);
    assert_fails(with(length, 8), Fault::Malformed, &["`w`", "8 are there"]);
}

#[test]
fn what_hides_a_constant_is_named() {
    let sparse = tensor("w", 0, &[3], vec![(2, U32(1)), (6, table(vec![]))]);
    assert_fails(changed(|m| m.main().tensors[1] = sparse), Fault::Unsupported, &["`w`", "sparsely"]);
    let elsewhere = tensor("w", 0, &[3], vec![(10, U32(1))]);
    assert_fails(changed(|m| m.main().tensors[1] = elsewhere), Fault::Unsupported, &["`w`", "another file"]);
}

/// The import of an int8 constant of shape 2×3 with this quantization.
fn quantized(fields: Vec<(usize, Value)>) -> Result<SourceModel, Error> {
    changed(|m| {
        let index = m.constant("k", 9, &[2, 3], &[1; 6]);
        let buffer = m.buffers.len() as u32 - 1;
        m.main().tensors[index as usize] =
            tensor("k", 9, &[2, 3], vec![(2, U32(buffer)), (4, table(fields))]);
        m.main().operators[1] = operator(1, &[2, index], &[3], vec![]);
    })
}

#[test]
fn quantization_comes_beside_the_integers() {
    let source = quantized(vec![(2, F32s(vec![0.5, 0.25])), (3, I64s(vec![3, -3])), (6, I32(0))]).unwrap();
    assert_eq!(source.constants["k"].dtype(), DType::I8);
    let quantization = &source.quantization["k"];
    assert_eq!(
        (&quantization.scales, &quantization.zero_points, quantization.axis),
        (&vec![0.5, 0.25], &vec![3, -3], 0)
    );
    let source = quantized(vec![(2, F32s(vec![0.5]))]).unwrap();
    assert_eq!(source.quantization["k"].zero_points, [0]);
    let ranges_alone = quantized(vec![(0, F32s(vec![0.0])), (1, F32s(vec![1.0]))]).unwrap();
    assert!(ranges_alone.quantization.is_empty());
    let computed =
        tensor("s", 9, &[1, 3], vec![(4, table(vec![(2, F32s(vec![2.0])), (3, I64s(vec![-128]))]))]);
    let source = changed(|m| m.main().tensors[2] = computed).unwrap();
    assert_eq!((source.quantization["s"].zero_points[0], source.dtypes["s"]), (-128, DType::I8));
}

#[test]
fn quantization_is_checked() {
    let scales = |n| (2, F32s(vec![0.5; n]));
    assert_fails(
        quantized(vec![scales(2), (3, I64s(vec![0]))]),
        Fault::Malformed,
        &["`k`", "2 scales and 1 zero"],
    );
    assert_fails(
        quantized(vec![scales(2), (6, I32(1))]),
        Fault::Malformed,
        &["`k`", "2 scales along axis 1"],
    );
    assert_fails(quantized(vec![scales(2), (6, I32(2))]), Fault::Malformed, &["axis 2"]);
    assert_fails(quantized(vec![scales(2), (6, I32(-1))]), Fault::Malformed, &["axis -1"]);
    assert_fails(quantized(vec![(2, F32s(vec![f32::NAN]))]), Fault::Malformed, &["NaN"]);
    assert_fails(quantized(vec![scales(1), (4, U8(2))]), Fault::Unsupported, &["`k`", "quantization"]);
}
