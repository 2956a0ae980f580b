//! A small writer of flatbuffers: a tree of values, each table behind its own vtable, without alignment.

/// What a field holds.
#[derive(Clone)]
pub enum Value {
    U8(u8),
    I8(i8),
    I32(i32),
    U32(u32),
    U64(u64),
    I64(i64),
    F32(f32),
    Text(String),
    Bytes(Vec<u8>),
    I32s(Vec<i32>),
    I64s(Vec<i64>),
    F32s(Vec<f32>),
    Table(Vec<(usize, Value)>),
    Tables(Vec<Value>),
}

use Value::*;

/// A table of fields by slot.
pub fn table(fields: Vec<(usize, Value)>) -> Value {
    Table(fields)
}

/// A file with this root table.
pub fn encode(root: &Value) -> Vec<u8> {
    let mut bytes = b"\0\0\0\0TFL3".to_vec();
    let position = write(&mut bytes, root);
    point(&mut bytes, 0, position);
    bytes
}

/// The bytes of a scalar; nothing for what lies behind an offset.
fn scalar(value: &Value) -> Option<Vec<u8>> {
    Some(match value {
        U8(x) => x.to_le_bytes().to_vec(),
        I8(x) => x.to_le_bytes().to_vec(),
        I32(x) => x.to_le_bytes().to_vec(),
        U32(x) => x.to_le_bytes().to_vec(),
        U64(x) => x.to_le_bytes().to_vec(),
        I64(x) => x.to_le_bytes().to_vec(),
        F32(x) => x.to_le_bytes().to_vec(),
        _ => return None,
    })
}

/// Writes a value that lies behind an offset, and says where.
fn write(bytes: &mut Vec<u8>, value: &Value) -> usize {
    match value {
        Table(fields) => write_table(bytes, fields),
        Tables(tables) => {
            let position = vector(bytes, tables.len(), &vec![0; 4 * tables.len()]);
            for (index, table) in tables.iter().enumerate() {
                let target = write(bytes, table);
                point(bytes, position + 4 + 4 * index, target);
            }
            position
        }
        Text(text) => vector(bytes, text.len(), text.as_bytes()),
        Bytes(list) => vector(bytes, list.len(), list),
        I32s(list) => {
            vector(bytes, list.len(), &list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
        }
        I64s(list) => {
            vector(bytes, list.len(), &list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
        }
        F32s(list) => {
            vector(bytes, list.len(), &list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
        }
        _ => panic!("a scalar has no place of its own"),
    }
}

fn vector(bytes: &mut Vec<u8>, length: usize, content: &[u8]) -> usize {
    let position = bytes.len();
    bytes.extend((length as u32).to_le_bytes());
    bytes.extend(content);
    position
}

fn write_table(bytes: &mut Vec<u8>, fields: &[(usize, Value)]) -> usize {
    let slots = fields.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
    let (mut entries, mut inline) = (vec![0u16; slots], Vec::new());
    for (slot, value) in fields {
        entries[*slot] = 4 + inline.len() as u16;
        inline.extend(scalar(value).unwrap_or(vec![0; 4]));
    }
    let vtable = bytes.len();
    bytes.extend((4 + 2 * slots as u16).to_le_bytes());
    bytes.extend((4 + inline.len() as u16).to_le_bytes());
    entries.iter().for_each(|entry| bytes.extend(entry.to_le_bytes()));
    let position = bytes.len();
    bytes.extend(((position - vtable) as i32).to_le_bytes());
    bytes.extend(inline);
    for (slot, value) in fields.iter().filter(|(_, value)| scalar(value).is_none()) {
        let target = write(bytes, value);
        point(bytes, position + entries[*slot] as usize, target);
    }
    position
}

/// Lets the offset at `at` point to `target`.
fn point(bytes: &mut [u8], at: usize, target: usize) {
    bytes[at..at + 4].copy_from_slice(&((target - at) as u32).to_le_bytes());
}
