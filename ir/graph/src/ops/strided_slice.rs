//! TFLite's strided slice: a slice, then a reshape that adds and drops axes. Bit `i` of each mask is about entry `i` of the
//! lists of begins, ends and strides.

use super::Slice;
use super::reshape::reshape;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, tflite};

pub(super) const SPELLINGS: &[Spelling] = &[tflite("STRIDED_SLICE")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let from = node.shape(x);
    let entries = entries(node)?;
    let masks = Masks::read(node)?;
    // Axes that entries other than the ellipsis and new axes are about.
    let named = (0..entries.len()).filter(|&i| !masks.ellipsis(i) && !masks.new_axis(i)).count();
    let skipped = from.len().checked_sub(named).ok_or_else(|| node.malformed("it has too many entries"))?;
    let mut slice = Slice::whole(&from);
    let mut axis = 0;
    let mut shape = vec![];
    for (entry, &bounds) in entries.iter().enumerate() {
        if masks.ellipsis(entry) {
            shape.extend((axis..axis + skipped).map(|d| Some(from[d])));
            axis += skipped;
        } else if masks.new_axis(entry) {
            shape.push(Some(1));
        } else {
            masks.narrow(node, &mut slice, (axis, entry), bounds)?;
            shape.push((!masks.shrink(entry)).then_some(slice.sizes[axis]));
            axis += 1;
        }
    }
    let shape: Vec<usize> = shape.into_iter().flatten().chain(from[axis..].iter().copied()).collect();
    let taken = slice.add(node, x)?;
    reshape(node, taken, &shape).map(|y| vec![y])
}

/// Begin, end and stride of each entry.
fn entries(node: &mut Reader) -> Result<Vec<[i64; 3]>, Error> {
    let [begins, ends, strides] = [node.constant(1)?, node.constant(2)?, node.constant(3)?].map(|a| a.to_i64());
    if [ends.len(), strides.len()] != [begins.len(); 2] {
        return Err(node.malformed("begins, ends and strides are not equally many"));
    }
    Ok(begins.into_iter().zip(ends).zip(strides).map(|((begin, end), stride)| [begin, end, stride]).collect())
}

/// The node's masks.
struct Masks {
    begin: i64,
    end: i64,
    ellipsis: i64,
    new_axis: i64,
    shrink: i64,
    /// Whether ends are distances from the begins.
    offset: bool,
}

impl Masks {
    fn read(node: &Reader) -> Result<Masks, Error> {
        let masks = Masks {
            begin: node.int("begin_mask", 0)?,
            end: node.int("end_mask", 0)?,
            ellipsis: node.int("ellipsis_mask", 0)?,
            new_axis: node.int("new_axis_mask", 0)?,
            shrink: node.int("shrink_axis_mask", 0)?,
            offset: node.int("offset", 0)? != 0,
        };
        if masks.ellipsis.count_ones() > 1 {
            return Err(node.malformed("it has several ellipses"));
        }
        Ok(masks)
    }

    fn ellipsis(&self, entry: usize) -> bool {
        bit(self.ellipsis, entry)
    }

    fn new_axis(&self, entry: usize) -> bool {
        bit(self.new_axis, entry) && !self.ellipsis(entry)
    }

    fn shrink(&self, entry: usize) -> bool {
        bit(self.shrink, entry)
    }

    /// Narrows one axis as its entry says.
    fn narrow(
        &self,
        node: &Reader,
        slice: &mut Slice,
        (axis, entry): (usize, usize),
        [begin, end, stride]: [i64; 3],
    ) -> Result<(), Error> {
        let extent = slice.sizes[axis] as i64;
        if self.shrink(entry) {
            let begin = if bit(self.begin, entry) { 0 } else { node.axis(begin, extent as usize)? as i64 };
            return slice.narrow(node, axis as i64, begin, begin + 1, 1);
        }
        let end = if self.offset { begin.saturating_add(end) } else { end };
        // Far beyond the edge on either side.
        let (first, beyond) = if stride > 0 { (0, i64::MAX) } else { (i64::MAX, i64::MIN) };
        let begin = if bit(self.begin, entry) { first } else { begin };
        let end = if bit(self.end, entry) { beyond } else { end };
        slice.narrow(node, axis as i64, begin, end, stride)
    }
}

fn bit(mask: i64, entry: usize) -> bool {
    entry < 64 && mask >> entry & 1 == 1
}
