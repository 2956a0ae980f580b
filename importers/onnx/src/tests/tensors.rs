//! Element types, data fields and lengths of constants.

use nablac_index::{DType, Value};

use super::*;

fn constant(tensor: Tensor) -> Result<nablac_index::Array, Error> {
    let mut model = small();
    model.graph.as_mut().unwrap().initializer[0] = Tensor { name: "w".into(), ..tensor };
    Ok(import(&model)?.constants["w"].clone())
}

fn of(data_type: i32, dims: &[i64]) -> Tensor {
    Tensor { data_type, dims: dims.to_vec(), ..Tensor::default() }
}

#[test]
fn every_typed_field_is_read() {
    let int32 = |data_type, values: &[i32]| Tensor { int32_data: values.to_vec(), ..of(data_type, &[2]) };
    let uint64 = |data_type, values: &[u64]| Tensor { uint64_data: values.to_vec(), ..of(data_type, &[2]) };
    let cases = [
        (Tensor { float_data: vec![0.5, -1.0], ..of(1, &[2]) }, DType::F32, [0.5, -1.0]),
        (int32(2, &[255, 0]), DType::U8, [255.0, 0.0]),
        (int32(3, &[-128, 127]), DType::I8, [-128.0, 127.0]),
        (int32(4, &[65535, 1]), DType::U16, [65535.0, 1.0]),
        (int32(5, &[-32768, 32767]), DType::I16, [-32768.0, 32767.0]),
        (int32(6, &[i32::MIN, i32::MAX]), DType::I32, [i32::MIN as f64, i32::MAX as f64]),
        (Tensor { int64_data: vec![-5, 1 << 40], ..of(7, &[2]) }, DType::I64, [-5.0, 1099511627776.0]),
        (int32(9, &[0, 1]), DType::Bool, [0.0, 1.0]),
        (int32(10, &[0x3c00, 0xc000]), DType::F32, [1.0, -2.0]),
        (Tensor { double_data: vec![0.1, 3.0], ..of(11, &[2]) }, DType::F64, [0.1, 3.0]),
        (uint64(12, &[0, u32::MAX as u64]), DType::U32, [0.0, u32::MAX as f64]),
        (uint64(13, &[7, 8]), DType::U64, [7.0, 8.0]),
        (int32(16, &[0x3f80, 0xc000]), DType::F32, [1.0, -2.0]),
    ];
    for (tensor, dtype, values) in cases {
        let array = constant(tensor).unwrap();
        assert_eq!((array.dtype(), array.shape(), array.to_f64()), (dtype, &[2][..], values.to_vec()));
    }
}

#[test]
fn raw_data_is_little_endian() {
    let raw = |data_type, bytes: &[u8], dims: &[i64]| {
        constant(Tensor { raw_data: Some(bytes.to_vec()), ..of(data_type, dims) }).unwrap()
    };
    assert_eq!(raw(5, &[1, 2, 0xff, 0xff], &[2]).to_i64(), [0x0201, -1]);
    assert_eq!(raw(10, &[0x00, 0x3e], &[1]).get(0), Value::F32(1.5));
    assert_eq!(raw(16, &[0xc0, 0x3f], &[]).get(0), Value::F32(1.5));
    assert_eq!(raw(9, &[0, 2], &[2]).bytes(), [0, 1]);
    assert_eq!(raw(1, &[], &[0, 4]).shape(), [0, 4]);
}

#[test]
fn narrow_integers_are_unpacked_from_the_lowest_bits_on() {
    let raw = |data_type, bytes: &[u8], dims: &[i64]| {
        constant(Tensor { raw_data: Some(bytes.to_vec()), ..of(data_type, dims) })
    };
    let cases = [
        (21, DType::U8, &[0xf1, 0x09][..], &[1, 15, 9][..]),
        (22, DType::I8, &[0x87, 0x0f], &[7, -8, -1]),
        (25, DType::U8, &[0b11_10_01_00, 0b11], &[0, 1, 2, 3, 3]),
        (26, DType::I8, &[0b11_10_01_00, 0b10], &[0, 1, -2, -1, -2]),
    ];
    for (data_type, dtype, bytes, values) in cases {
        let dims = [values.len() as i64];
        let array = raw(data_type, bytes, &dims).unwrap();
        assert_eq!((array.dtype(), array.to_i64()), (dtype, values.to_vec()));
        let entries = bytes.iter().map(|&byte| i32::from(byte)).collect();
        let typed = constant(Tensor { int32_data: entries, ..of(data_type, &dims) }).unwrap();
        assert_eq!(typed, array);
        let error = raw(data_type, &bytes[1..], &dims).unwrap_err().to_string();
        assert!(error.contains("2 bytes are expected"), "{error}");
    }
    let mut model = small();
    model.graph.as_mut().unwrap().initializer[0] =
        Tensor { name: "w".into(), raw_data: Some(vec![0x21]), ..of(22, &[2]) };
    assert!(import(&model).unwrap().packed.contains("w"));
}

#[test]
fn lengths_and_ranges_are_checked() {
    let raw = |bytes: usize| Tensor { raw_data: Some(vec![0; bytes]), ..of(1, &[2, 2]) };
    for (tensor, parts) in [
        (raw(15), vec!["`w`", "16 bytes", "15 are there"]),
        (Tensor { float_data: vec![1.0], ..of(1, &[2]) }, vec!["`w`", "float_data", "1 are there"]),
        (Tensor { int32_data: vec![256], ..of(2, &[1]) }, vec!["`w`", "256", "out of the range"]),
        (Tensor { int32_data: vec![-1], ..of(10, &[1]) }, vec!["`w`", "-1", "out of the range"]),
        (Tensor { uint64_data: vec![1 << 32], ..of(12, &[1]) }, vec!["`w`", "out of the range"]),
        (of(1, &[-3]), vec!["`w`", "-3"]),
        (of(0, &[1]), vec!["`w`", "data_type is 0"]),
        (of(77, &[1]), vec!["`w`", "data_type is 77"]),
    ] {
        let error = constant(tensor).unwrap_err();
        assert_eq!(error.fault(), Fault::Malformed);
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
}

#[test]
fn huge_shapes_are_limited_before_anything_is_allocated() {
    for (dims, flag) in
        [(vec![1 << 31, 1 << 31, 1 << 31], "--limit-elements"), (vec![1; 9], "--limit-rank 9")]
    {
        let error = constant(of(1, &dims)).unwrap_err();
        assert_eq!(error.fault(), Fault::Limit);
        assert!(error.to_string().contains(flag) && error.to_string().contains("`w`"), "{error}");
    }
}

#[test]
fn unsupported_types_are_named_all_at_once() {
    let mut model = small();
    let graph = model.graph.as_mut().unwrap();
    graph.initializer = vec![
        Tensor { name: "w".into(), ..of(8, &[1]) },
        Tensor { name: "eight".into(), ..of(17, &[1]) },
        Tensor { name: "four".into(), ..of(23, &[1]) },
        Tensor { name: "pieces".into(), segment: Some(Segment {}), ..of(1, &[1]) },
    ];
    let values = Tensor { name: "sparse".into(), ..of(1, &[1]) };
    graph.sparse_initializer = vec![SparseTensor { values: Some(values) }];
    let parts = [
        "`w` has element type STRING",
        "`eight`",
        "FLOAT8E4M3FN",
        "`four`",
        "FLOAT4E2M1",
        "`pieces`",
        "`sparse`",
    ];
    assert_fails(import(&model), Fault::Unsupported, &parts);
}
