//! Bytes that are no model: an error with a reason, never a panic and never a long wait.

use super::*;

fn read_bytes(bytes: &[u8]) -> Result<SourceModel, Error> {
    parse(bytes, &Limits::default())
}

/// A model with subgraphs, quantization and options.
fn rich() -> Vec<u8> {
    let mut model = small();
    let scale = table(vec![(2, F32s(vec![0.5; 3])), (3, I64s(vec![0; 3])), (6, I32(0))]);
    let index = model.constant("k", 9, &[3], &[1, 2, 3]);
    let buffer = model.buffers.len() as u32 - 1;
    model.main().tensors[index as usize] = tensor("k", 9, &[3], vec![(2, U32(buffer)), (4, scale)]);
    let pool = table(vec![(0, I8(1)), (1, I32(2)), (3, I32(5))]);
    model.main().operators[1] = operator(1, &[2, index, -1], &[3], vec![(3, U8(5)), (4, pool)]);
    model.encode()
}

#[test]
fn empty_and_foreign_files_are_malformed() {
    assert_fails(read_bytes(b""), Fault::Malformed, &["the file is empty"]);
    assert_fails(read_bytes(b"TFL"), Fault::Malformed, &["ends after 3 bytes"]);
    assert_fails(read_bytes(&[8; 100]), Fault::Malformed, &["at byte 4", "TFL3"]);
    assert_fails(read_bytes(b"\xff\xff\xff\xffTFL3"), Fault::Malformed, &["at byte 0", "4294967295"]);
    assert_fails(read_bytes(b"\0\0\0\0TFL3"), Fault::Malformed, &["at byte 0", "offset of 0"]);
}

#[test]
fn every_truncation_is_malformed() {
    let bytes = rich();
    assert!(read_bytes(&bytes).is_ok());
    for length in 0..bytes.len() {
        let error = read_bytes(&bytes[..length]).expect_err("a truncated model");
        assert_eq!(error.fault(), Fault::Malformed, "{length}: {error}");
    }
}

#[test]
fn changed_bytes_give_a_model_or_an_error() {
    let bytes = rich();
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
fn random_bytes_behind_the_mark_give_an_error() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..2000 {
        let mut bytes = b"\x10\0\0\0TFL3".to_vec();
        bytes.extend((0..256).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8 & 0x1f // small numbers, so that offsets stay within the file
        }));
        assert!(read_bytes(&bytes).is_err());
    }
}

/// A file whose one subgraph has `count` operators or tensors that are all the same table.
fn repeated(slot: usize, count: u32) -> Vec<u8> {
    let mut bytes = small().encode();
    let root = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    let follow =
        |bytes: &[u8], at: usize| at + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let field = |bytes: &[u8], table: usize, slot: usize| {
        let vtable = table - i32::from_le_bytes(bytes[table..table + 4].try_into().unwrap()) as usize;
        let entry = vtable + 4 + 2 * slot;
        table + u16::from_le_bytes(bytes[entry..entry + 2].try_into().unwrap()) as usize
    };
    let subgraphs = follow(&bytes, field(&bytes, root, 2));
    let subgraph = follow(&bytes, subgraphs + 4);
    let list = field(&bytes, subgraph, slot);
    let vector = bytes.len();
    bytes[list..list + 4].copy_from_slice(&((vector - list) as u32).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    let table_end = vector + 4 + 4 * count as usize;
    for index in 0..count as usize {
        bytes.extend(((table_end + 4 - (vector + 4 + 4 * index)) as u32).to_le_bytes());
    }
    bytes.extend([4, 0, 4, 0, 4, 0, 0, 0]); // an empty vtable, and a table behind it
    bytes
}

#[test]
fn a_small_file_cannot_ask_for_a_large_memory() {
    assert_fails(read_bytes(&repeated(3, 100_001)), Fault::Limit, &["100001 nodes", "--limit-nodes 100001"]);
    assert_fails(read_bytes(&repeated(0, 7_000_000)), Fault::Limit, &["7000000 tensors", "--limit-nodes"]);
}

#[test]
fn a_name_cannot_be_repeated_without_end() {
    let long = "n".repeat(1 << 20);
    let result = changed(|m| {
        m.main().tensors[2] = tensor(&long, 0, &[1, 3], vec![]);
        m.main().operators[1] = operator(1, &vec![2; 100_000], &[3], vec![]);
    });
    assert_fails(result, Fault::Malformed, &["again and again"]);
}

#[test]
fn texts_that_are_not_utf8_are_malformed() {
    let mut bytes = small().encode();
    let at = bytes.windows(4).position(|w| w == b"main").unwrap();
    bytes[at] = 0xff;
    assert_fails(read_bytes(&bytes), Fault::Malformed, &["Model.subgraphs", "UTF-8"]);
}
