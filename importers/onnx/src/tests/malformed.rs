//! Bytes that are no model: an error with a reason, never a panic and never a long wait.

use super::*;

fn read_bytes(bytes: &[u8]) -> Result<SourceModel, Error> {
    parse(bytes, None, &Limits::default())
}

#[test]
fn empty_and_foreign_files_are_malformed() {
    assert_fails(read_bytes(b""), Fault::Malformed, &["the file is empty"]);
    assert_fails(read_bytes(b"not a model at all"), Fault::Malformed, &["at byte"]);
    assert_fails(read_bytes(b"\x1c\0\0\0TFL3\x14\0\x20\0"), Fault::Malformed, &["at byte"]);
    assert_fails(read_bytes(&[0x08, 0x08]), Fault::Malformed, &["no graph"]);
    assert_fails(read_bytes(&[0xff; 64]), Fault::Malformed, &["longer than ten bytes"]);
}

#[test]
fn every_truncation_is_malformed() {
    // The graph comes last, so that no truncation leaves a whole model.
    let mut model = small();
    let graph = model.graph.take();
    let mut bytes = model.encode_to_vec();
    bytes.extend(Model { graph, ..Model::default() }.encode_to_vec());
    assert!(read_bytes(&bytes).is_ok());
    for length in 0..bytes.len() {
        let error = read_bytes(&bytes[..length]).expect_err("a truncated model");
        assert_eq!(error.fault(), Fault::Malformed, "{length}: {error}");
    }
    let text = read_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(text.contains("ModelProto.graph") && text.contains("are left"), "{text}");
}

#[test]
fn changed_bytes_give_a_model_or_an_error() {
    let bytes = small().encode_to_vec();
    let (mut models, mut errors) = (0, 0);
    for position in 0..bytes.len() {
        for pattern in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x55, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= pattern;
            match read_bytes(&changed) {
                Ok(_) => models += 1,
                Err(error) => {
                    assert_ne!(error.fault(), Fault::Io, "{error}");
                    errors += 1;
                }
            }
        }
    }
    assert!(models > 0 && errors > 0, "{models} models, {errors} errors");
}

#[test]
fn random_bytes_give_an_error() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..256)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        assert_eq!(read_bytes(&bytes).unwrap_err().fault(), Fault::Malformed);
    }
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

#[test]
fn a_small_file_cannot_ask_for_a_large_memory() {
    let nodes = field(7, &[0x0a, 0x00].repeat(100_001));
    assert_fails(read_bytes(&nodes), Fault::Limit, &["100001 nodes", "--limit-nodes 100001"]);
    let inputs = field(7, &[0x5a, 0x00].repeat(7_000_000));
    assert_fails(read_bytes(&inputs), Fault::Limit, &["messages", "--limit-nodes"]);
}

#[test]
fn deep_nesting_ends() {
    let nested = |levels: usize| {
        let mut graph = Vec::new();
        for _ in 0..levels {
            graph = field(1, &field(5, &field(6, &graph)));
        }
        field(7, &graph)
    };
    assert_fails(read_bytes(&nested(17)), Fault::Limit, &["--limit-nesting 17"]);
    assert_fails(read_bytes(&nested(5000)), Fault::Limit, &["--limit-nesting 17"]);
    let limits = Limits { nesting: 1_000_000, ..Limits::default() };
    assert_fails(parse(&nested(5000), None, &limits), Fault::Unsupported, &["nested 31 deep"]);
    // As deep as the scan lets through, prost still follows: what is missing is the version.
    assert_fails(parse(&nested(30), None, &limits), Fault::Malformed, &["ir_version"]);
}

#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = small().encode_to_vec();
    bytes.extend(field(15, b"unknown"));
    bytes.extend([0x9d, 0x06, 1, 2, 3, 4]); // field 99, 32 bits
    assert!(read_bytes(&bytes).is_ok());
    bytes.extend([0x0b, 0x0c]); // a group, which ONNX does not have
    assert_fails(read_bytes(&bytes), Fault::Malformed, &["wire type 3"]);
}

#[test]
fn texts_that_are_not_utf8_are_malformed() {
    let mut bytes = small().encode_to_vec();
    let at = bytes.windows(4).position(|w| w == b"plus").unwrap();
    bytes[at] = 0xff;
    assert_fails(read_bytes(&bytes), Fault::Malformed, &["UTF-8"]);
}
