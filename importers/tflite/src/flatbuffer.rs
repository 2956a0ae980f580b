//! Flatbuffers, read field by field.
//!
//! Owns the encoding: tables with their vtables, vectors and texts. Every offset and length is checked against the
//! file before a byte behind it is read. Offsets may point anywhere, so a small file can describe the same bytes
//! many times over; what is taken from the file in total is bounded.

use std::cell::Cell;

use crate::Error;

/// How often the bytes of a file may be taken on average. Writers share vtables and equal texts, never much more.
const SHARING: usize = 64;

/// What may be taken from the smallest file.
const LEAST_BUDGET: usize = 1 << 20;

/// A file's bytes.
pub(crate) struct Flatbuffer<'a> {
    bytes: &'a [u8],
    budget: Cell<usize>,
}

/// One table, whose inline part and vtable lie within the file.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    file: &'a Flatbuffer<'a>,
    place: &'static str,
    position: usize,
    size: usize,
    vtable: usize,
    vtable_size: usize,
}

/// A vector of tables.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
    file: &'a Flatbuffer<'a>,
    place: &'static str,
    start: usize,
    length: usize,
}

impl<'a> Flatbuffer<'a> {
    pub fn new(bytes: &'a [u8]) -> Flatbuffer<'a> {
        let budget = Cell::new(bytes.len().saturating_mul(SHARING).saturating_add(LEAST_BUDGET));
        Flatbuffer { bytes, budget }
    }

    /// The table that the file begins with an offset to.
    pub fn root(&'a self, place: &'static str) -> Result<Table<'a>, Error> {
        let position = self.follow(0, place)?;
        self.table(position, place)
    }

    /// Counts `amount` bytes as taken.
    pub fn charge(&self, amount: usize) -> Result<(), Error> {
        match self.budget.get().checked_sub(amount) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(Error::model("the file", "it describes the same bytes again and again")),
        }
    }

    /// `length` bytes at `offset` of the file, outside of any table.
    pub fn outside(&'a self, offset: u64, length: u64, place: &str) -> Result<&'a [u8], Error> {
        let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        let slice = range.and_then(|(at, length)| self.bytes.get(at..at.checked_add(length)?));
        slice.ok_or_else(|| {
            let problem =
                format!("it is said to lie at byte {offset} with {length} bytes, beyond the file's end");
            Error::model(place, problem)
        })
    }

    fn array<const N: usize>(&self, at: usize, place: &'static str) -> Result<[u8; N], Error> {
        let bytes = at.checked_add(N).and_then(|end| self.bytes.get(at..end));
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            Error::bytes(at, place, format!("{N} bytes are expected, the file has {}", self.bytes.len()))
        })
    }

    /// Where the offset at `at` points to.
    fn follow(&self, at: usize, place: &'static str) -> Result<usize, Error> {
        let offset = u32::from_le_bytes(self.array(at, place)?) as usize;
        match at.checked_add(offset) {
            Some(target) if offset > 0 && target < self.bytes.len() => Ok(target),
            _ => {
                let problem =
                    format!("an offset of {offset} leads out of the file, which has {}", self.bytes.len());
                Err(Error::bytes(at, place, problem))
            }
        }
    }

    fn table(&'a self, position: usize, place: &'static str) -> Result<Table<'a>, Error> {
        let broken = |problem: &str| Error::bytes(position, place, problem);
        let back = i32::from_le_bytes(self.array(position, place)?) as i64;
        let vtable = usize::try_from(position as i64 - back)
            .map_err(|_| broken("a table's vtable lies before the file"))?;
        let vtable_size = u16::from_le_bytes(self.array(vtable, place)?) as usize;
        let size = u16::from_le_bytes(self.array(vtable.saturating_add(2), place)?) as usize;
        if vtable_size < 4 || !vtable_size.is_multiple_of(2) || vtable_size > self.bytes.len() - vtable {
            return Err(broken("a table's vtable has an impossible size"));
        }
        if size < 4 || size > self.bytes.len() - position {
            return Err(broken("a table has an impossible size"));
        }
        Ok(Table { file: self, place, position, size, vtable, vtable_size })
    }

    /// Start and length of the vector that the offset at `at` points to.
    fn vector(&self, at: usize, width: usize, place: &'static str) -> Result<(usize, usize), Error> {
        let position = self.follow(at, place)?;
        let length = u32::from_le_bytes(self.array(position, place)?) as usize;
        let left = self.bytes.len() - (position + 4);
        match length.checked_mul(width) {
            Some(bytes) if bytes <= left => {
                self.charge(bytes)?;
                Ok((position + 4, length))
            }
            _ => {
                let problem =
                    format!("{length} elements of {width} bytes are expected, {left} bytes are left");
                Err(Error::bytes(position, place, problem))
            }
        }
    }
}

impl<'a> Table<'a> {
    /// Where a field of `width` bytes lies; nothing when the table leaves it out.
    fn field(&self, slot: usize, width: usize) -> Result<Option<usize>, Error> {
        let entry = 4 + 2 * slot;
        if entry + 2 > self.vtable_size {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(self.file.array(self.vtable + entry, self.place)?) as usize;
        match offset {
            0 => Ok(None),
            _ if offset < 4 || offset + width > self.size => {
                let problem = format!("field {slot} of {width} bytes lies outside of its table");
                Err(Error::bytes(self.position, self.place, problem))
            }
            _ => Ok(Some(self.position + offset)),
        }
    }

    fn scalar<const N: usize>(&self, slot: usize, default: [u8; N]) -> Result<[u8; N], Error> {
        match self.field(slot, N)? {
            Some(at) => self.file.array(at, self.place),
            None => Ok(default),
        }
    }

    pub fn int8(&self, slot: usize, default: i8) -> Result<i8, Error> {
        Ok(i8::from_le_bytes(self.scalar(slot, default.to_le_bytes())?))
    }

    pub fn uint8(&self, slot: usize) -> Result<u8, Error> {
        Ok(self.scalar(slot, [0; 1])?[0])
    }

    pub fn int32(&self, slot: usize, default: i32) -> Result<i32, Error> {
        Ok(i32::from_le_bytes(self.scalar(slot, default.to_le_bytes())?))
    }

    pub fn uint32(&self, slot: usize) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.scalar(slot, [0; 4])?))
    }

    pub fn int64(&self, slot: usize, default: i64) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.scalar(slot, default.to_le_bytes())?))
    }

    pub fn uint64(&self, slot: usize) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.scalar(slot, [0; 8])?))
    }

    pub fn float32(&self, slot: usize, default: f32) -> Result<f32, Error> {
        Ok(f32::from_le_bytes(self.scalar(slot, default.to_le_bytes())?))
    }

    /// The elements of a vector of scalars.
    fn list<const N: usize, T>(
        &self,
        slot: usize,
        decode: fn([u8; N]) -> T,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(at) = self.field(slot, 4)? else { return Ok(None) };
        let (start, length) = self.file.vector(at, N, self.place)?;
        let bytes = &self.file.bytes[start..start + length * N];
        Ok(Some(bytes.as_chunks().0.iter().map(|&chunk| decode(chunk)).collect()))
    }

    pub fn int32s(&self, slot: usize) -> Result<Option<Vec<i32>>, Error> {
        self.list(slot, i32::from_le_bytes)
    }

    pub fn int64s(&self, slot: usize) -> Result<Option<Vec<i64>>, Error> {
        self.list(slot, i64::from_le_bytes)
    }

    pub fn float32s(&self, slot: usize) -> Result<Option<Vec<f32>>, Error> {
        self.list(slot, f32::from_le_bytes)
    }

    /// The number of elements of a vector whose elements have `width` bytes, without taking them.
    pub fn length(&self, slot: usize, width: usize) -> Result<usize, Error> {
        let Some(at) = self.field(slot, 4)? else { return Ok(0) };
        Ok(self.file.vector(at, width, self.place)?.1)
    }

    pub fn bytes(&self, slot: usize) -> Result<Option<&'a [u8]>, Error> {
        let Some(at) = self.field(slot, 4)? else { return Ok(None) };
        let (start, length) = self.file.vector(at, 1, self.place)?;
        Ok(Some(&self.file.bytes[start..start + length]))
    }

    pub fn text(&self, slot: usize) -> Result<Option<&'a str>, Error> {
        let Some(bytes) = self.bytes(slot)? else { return Ok(None) };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::bytes(self.position, self.place, format!("field {slot} is not UTF-8 text"))),
        }
    }

    pub fn table(&self, slot: usize, place: &'static str) -> Result<Option<Table<'a>>, Error> {
        let Some(at) = self.field(slot, 4)? else { return Ok(None) };
        let position = self.file.follow(at, place)?;
        self.file.table(position, place).map(Some)
    }

    /// A vector of tables; one that is left out is empty.
    pub fn tables(&self, slot: usize, place: &'static str) -> Result<Tables<'a>, Error> {
        let (start, length) = match self.field(slot, 4)? {
            Some(at) => self.file.vector(at, 4, place)?,
            None => (0, 0),
        };
        Ok(Tables { file: self.file, place, start, length })
    }
}

impl<'a> Tables<'a> {
    pub fn len(&self) -> usize {
        self.length
    }

    /// The table at `index`; nothing when there are not that many.
    pub fn get(&self, index: usize) -> Result<Option<Table<'a>>, Error> {
        if index >= self.length {
            return Ok(None);
        }
        let position = self.file.follow(self.start + 4 * index, self.place)?;
        self.file.table(position, self.place).map(Some)
    }
}
