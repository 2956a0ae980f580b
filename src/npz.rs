//! Arrays in NumPy's files: an `.npz` is a zip archive of `.npy` files, one per array.
//!
//! Owns both formats as far as arrays go: versions 1 to 3, little-endian, row-major, of the element types that the intermediate
//! representations have. Which array belongs to which input is `samples`' business.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

use nablac_index::{Array, DType, elements};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::failure::{Code, Failure, Result};

/// NumPy's names of element types.
const TYPES: &[(&str, DType)] = &[
    ("|b1", DType::Bool),
    ("|i1", DType::I8),
    ("|u1", DType::U8),
    ("<i2", DType::I16),
    ("<u2", DType::U16),
    ("<i4", DType::I32),
    ("<u4", DType::U32),
    ("<i8", DType::I64),
    ("<u8", DType::U64),
    ("<f4", DType::F32),
    ("<f8", DType::F64),
];

const MAGIC: &[u8] = b"\x93NUMPY";

/// A header holds a type, a flag and a shape; NumPy itself refuses longer ones.
const HEADER_BYTES: usize = 10_000;

/// The arrays of a file, by name.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let file = File::open(path).map_err(|error| Failure::read(path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Failure::read(path, "it is a folder"));
    }
    let wrong = |reason: String| Failure::new(Code::Samples, format!("{}: {reason}", path.display()));
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| wrong(format!("not an .npz file: {error}")).help("numpy.savez writes one"))?;
    read_archive(&mut archive).map_err(wrong)
}

fn read_archive(
    archive: &mut ZipArchive<impl Read + Seek>,
) -> std::result::Result<BTreeMap<String, Array>, String> {
    let mut arrays = BTreeMap::new();
    for position in 0..archive.len() {
        let mut entry = archive.by_index(position).map_err(|error| error.to_string())?;
        let file = entry.name().map_err(|error| error.to_string())?.into_owned();
        let name = file.strip_suffix(".npy").ok_or(format!("`{file}` in it is not an array"))?.to_string();
        let array = read_array(&mut entry).map_err(|problem| format!("array `{name}`: {problem}"))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn read_array(file: &mut impl Read) -> std::result::Result<Array, String> {
    let short = |_| "it is cut short".to_string();
    let mut head = [0; 8];
    file.read_exact(&mut head).map_err(short)?;
    if !head.starts_with(MAGIC) {
        return Err("the mark of the .npy format is missing".into());
    }
    let mut length = [0; 4];
    let wide = match head[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(format!("version {version} of the .npy format is not known")),
    };
    file.read_exact(&mut length[..wide]).map_err(short)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER_BYTES {
        return Err(format!("its header of {length} bytes is longer than {HEADER_BYTES}"));
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header).map_err(short)?;
    let (dtype, shape) = parse_header(&String::from_utf8_lossy(&header))?;
    let bytes = elements(&shape).and_then(|n| n.checked_mul(dtype.bytes())).ok_or("its size overflows")?;
    // What is there is read, never what the header claims: a lie about the size allocates nothing.
    let mut data = vec![];
    file.take(bytes as u64).read_to_end(&mut data).map_err(|error| error.to_string())?;
    Array::from_bytes(dtype, &shape, data).ok_or("it is cut short".to_string())
}

/// The type and shape that a header says: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse_header(header: &str) -> std::result::Result<(DType, Vec<usize>), String> {
    let after = |key: &str| {
        let rest = header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        rest.ok_or(format!("its header does not say `{key}`"))
    };
    let description = after("descr")?;
    let name = description.strip_prefix('\'').and_then(|rest| rest.split('\'').next());
    let name = name.ok_or("it is a structured array")?;
    // Bytes have no order: NumPy writes `|`, other programs any.
    let plain = name.trim_start_matches(['|', '<', '=']);
    let dtype = TYPES.iter().find(|(text, _)| text[1..] == *plain).map(|(_, dtype)| *dtype);
    let dtype =
        dtype.ok_or(format!("its element type `{name}` is not supported; convert it with `.astype`"))?;
    let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split(')').next());
    let shape = shape.ok_or("its header has no shape")?;
    let extents = shape.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let shape: Vec<usize> = extents
        .map(|extent| extent.parse().map_err(|_| format!("`{extent}` in its shape is no extent")))
        .collect::<std::result::Result<_, String>>()?;
    if after("fortran_order")?.starts_with("True") {
        return Err("it is stored column by column; save `numpy.ascontiguousarray` of it".into());
    }
    Ok((dtype, shape))
}

/// Writes arrays under their names, so that the same arrays give the same bytes.
pub fn write(path: &Path, arrays: &[(String, Array)]) -> Result<()> {
    let bytes = to_bytes(arrays).map_err(|error| Failure::write(path, error))?;
    std::fs::write(path, bytes).map_err(|error| Failure::write(path, error))
}

fn to_bytes(arrays: &[(String, Array)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(vec![]));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&header_of(array))?;
        archive.write_all(array.bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

fn header_of(array: &Array) -> Vec<u8> {
    let dtype = TYPES.iter().find(|(_, dtype)| *dtype == array.dtype()).map_or("", |(name, _)| name);
    let extents: Vec<String> = array.shape().iter().map(|extent| format!("{extent},")).collect();
    let mut text =
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}", extents.join(" "));
    // The data begin at a multiple of 64 bytes, behind 10 bytes of magic, version and length.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_index::Value;

    fn round_trip(array: &Array) -> Array {
        let bytes = to_bytes(&[("x/y:0".into(), array.clone())]).unwrap();
        let mut archive = ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        read_archive(&mut archive).unwrap().remove("x/y:0").unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for &(_, dtype) in TYPES {
            let array = Array::from_values(dtype, &[2, 1], [Value::Int(1), Value::Int(0)]);
            assert_eq!(round_trip(&array), array);
        }
        for shape in [vec![], vec![1], vec![1, 1, 1]] {
            let array = Array::from_f32(&shape, &[0.5]);
            assert_eq!(round_trip(&array), array);
        }
        assert_eq!(round_trip(&Array::from_f32(&[0, 3], &[])).shape(), [0, 3]);
    }

    #[test]
    fn headers_that_cannot_be_read_say_why() {
        let header = |descr: &str, order: &str, shape: &str| {
            parse_header(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"))
        };
        assert_eq!(header("'<f4'", "False", "(3,)"), Ok((DType::F32, vec![3])));
        assert_eq!(header("'<i8'", "False", "()"), Ok((DType::I64, vec![])));
        for (descr, order, shape, problem) in [
            ("'>f4'", "False", "(3,)", "`>f4` is not supported"),
            ("'<f2'", "False", "(3,)", "`<f2` is not supported"),
            ("'<f4'", "True", "(3, 2)", "column by column"),
            ("[('a', '<f4')]", "False", "(3,)", "structured"),
            ("'<f4'", "False", "(-1,)", "`-1` in its shape"),
        ] {
            let error = header(descr, order, shape).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_claimed_size_allocates_nothing() {
        let mut bytes = header_of(&Array::from_f32(&[1], &[0.0]));
        let text = String::from_utf8_lossy(&bytes[10..]).replace("(1,)    ", "(1000000000000,)");
        bytes.splice(10.., text.into_bytes());
        let length = (bytes.len() - 10) as u16;
        bytes[8..10].copy_from_slice(&length.to_le_bytes());
        assert_eq!(read_array(&mut &bytes[..]).unwrap_err(), "it is cut short");
        assert_eq!(read_array(&mut &b"\x93NUM"[..]).unwrap_err(), "it is cut short");
    }
}
