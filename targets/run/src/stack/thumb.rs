//! The stack that Thumb code takes, found by following its instructions: for functions of libraries, of which no compiler reports anything.
//! What an instruction does to the stack pointer, and where it goes on, is known here and nowhere else.

use super::{Deep, Gap};
use crate::disassembly::Instruction;
use crate::image::Program;
use std::collections::BTreeMap;
use std::ops::Range;

/// The conditions that may end a mnemonic, in an `it` block or of a branch.
const CONDITIONS: &[&str] =
    &["eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"];

/// The instructions that may have a condition and matter here.
const CONDITIONAL: &[&str] = &[
    "b", "bl", "blx", "bx", "push", "pop", "vpush", "vpop", "add", "addw", "sub", "subw", "mov", "stmdb",
    "ldmia", "ldm", "vstmdb", "vldmia", "str", "strd", "ldr", "ldrd",
];

/// A loop that pushes and never ends would go on forever: no function takes as much as this.
const DEEPEST: u64 = 1 << 20;

/// A program's instructions, and what has been found of its functions.
pub(super) struct Thumb<'a> {
    program: &'a Program,
    instructions: BTreeMap<u64, &'a Instruction>,
    known: BTreeMap<u64, Deep>,
    /// The functions that are being followed, outermost first.
    open: Vec<u64>,
}

/// What an instruction does to the stack pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Down(u64),
    Up(u64),
    Unknown,
}

/// Where a function goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Return,
    Jump(u64),
    /// On, or there.
    Either(u64),
    Call(u64),
    /// A call, or a jump, to where a register says.
    Indirect,
    /// A jump to where a table says, as in a `switch`: to somewhere in the same function.
    Table,
}

impl<'a> Thumb<'a> {
    pub fn new(program: &'a Program, instructions: &'a [Instruction]) -> Self {
        let instructions = instructions.iter().filter(|own| !own.is_data()).map(|own| (own.address, own));
        Thumb { program, instructions: instructions.collect(), known: BTreeMap::new(), open: vec![] }
    }

    /// Where the instructions of the function at an address call, or jump, to others.
    pub fn calls(&self, entry: u64) -> Vec<u64> {
        let Some(own) = self.range(entry) else { return vec![] };
        let target = |(_, instruction): (&u64, &&Instruction)| match self.parse(instruction).1 {
            Flow::Call(target) => Some(target),
            Flow::Jump(target) | Flow::Either(target) => Some(target).filter(|target| !own.contains(target)),
            _ => None,
        };
        self.instructions.range(own.clone()).filter_map(target).collect()
    }

    /// The function around an address.
    fn range(&self, address: u64) -> Option<Range<u64>> {
        let function = self.program.function_at(address)?;
        Some(function.address..function.address + function.size)
    }

    /// What an instruction does. Where Armv6-M's branches do not reach, a call stands for a jump: into its own function, behind the beginning.
    fn parse(&self, instruction: &Instruction) -> (Option<Move>, Flow, bool) {
        let (movement, flow, conditional) = parse(instruction);
        let is_far_jump = |target: u64| {
            let own = self.range(instruction.address);
            own.is_some_and(|own| own.contains(&target) && own.start != target)
        };
        match flow {
            Flow::Call(target) if is_far_jump(target) => (movement, Flow::Jump(target), conditional),
            flow => (movement, flow, conditional),
        }
    }

    /// What the function at an address takes, with all that it calls.
    pub fn need(&mut self, entry: u64) -> Deep {
        if let Some(known) = self.known.get(&entry) {
            return known.clone();
        }
        if self.open.contains(&entry) {
            return Deep { gaps: vec![Gap::Recursive(self.name(entry))], ..Deep::default() };
        }
        self.open.push(entry);
        let found = self.follow(entry);
        self.open.pop();
        self.known.insert(entry, found.clone());
        found
    }

    /// Follows all ways from a function's first instruction; a jump into another function is a way like any other.
    fn follow(&mut self, entry: u64) -> Deep {
        let name = self.name(entry);
        let mut deepest = Deep::frame(&name, 0);
        let mut reached: BTreeMap<u64, u64> = BTreeMap::new();
        let mut open = vec![(entry, 0u64)];
        let mut tables = vec![];
        while let Some((address, depth)) = open.pop().or_else(|| self.behind_a_table(&tables, &reached)) {
            if reached.get(&address).is_some_and(|before| *before >= depth) {
                continue;
            }
            reached.insert(address, depth);
            let Some(instruction) = self.instructions.get(&address).copied() else {
                let what = format!("`{name}` goes on at {address:#x}, where there is no instruction");
                deepest.gap(Gap::Unfollowed(what));
                continue;
            };
            let (movement, flow, conditional) = self.parse(instruction);
            let after = match movement {
                None => depth,
                Some(Move::Down(bytes)) => depth + bytes,
                Some(Move::Up(bytes)) => depth.saturating_sub(bytes),
                Some(Move::Unknown) => {
                    deepest.gap(Gap::Unfollowed(unfollowed(&name, instruction)));
                    continue;
                }
            };
            if after > DEEPEST {
                deepest.gap(Gap::Recursive(name.clone()));
                continue;
            }
            deepest.deepen(Deep::frame(&name, after));
            let next = address + instruction.bytes as u64;
            if conditional {
                open.push((next, depth));
            }
            match flow {
                Flow::Next => open.push((next, after)),
                Flow::Return => {}
                Flow::Jump(target) => open.push((target, after)),
                Flow::Table => tables.push((address, after)),
                Flow::Either(target) => open.extend([(next, after), (target, after)]),
                Flow::Call(target) => {
                    let inside = self.need(target);
                    deepest.deepen(inside.under(&name, after));
                    open.push((next, after));
                }
                Flow::Indirect => {
                    deepest.gap(Gap::Unfollowed(unfollowed(&name, instruction)));
                    open.push((next, after));
                }
            }
        }
        deepest
    }

    /// The first instruction that nothing else led to, in a function that jumps by a table, and the stack at its deepest such jump.
    fn behind_a_table(&self, tables: &[(u64, u64)], reached: &BTreeMap<u64, u64>) -> Option<(u64, u64)> {
        tables.iter().find_map(|(address, _)| {
            let own = self.range(*address)?;
            let mut inside = self.instructions.range(own.clone()).map(|(address, _)| *address);
            let left = inside.find(|address| !reached.contains_key(address))?;
            let jumps = tables.iter().filter(|(address, _)| own.contains(address));
            Some((left, jumps.map(|(_, depth)| *depth).max()?))
        })
    }

    fn name(&self, address: u64) -> String {
        self.program.function_at(address).map_or_else(|| format!("{address:#x}"), |own| own.name.clone())
    }
}

fn unfollowed(function: &str, instruction: &Instruction) -> String {
    let Instruction { mnemonic, operands, address, .. } = instruction;
    format!("`{mnemonic} {operands}` in `{function}` at {address:#x}")
}

/// What an instruction does, and whether it does it only under a condition, be that its own or that of an `it` block. A conditional
/// branch alone says by its flow that the next instruction may follow.
fn parse(instruction: &Instruction) -> (Option<Move>, Flow, bool) {
    let plain = instruction.mnemonic.split('.').next().unwrap_or_default();
    let condition =
        |name: &'static &str| plain.strip_prefix(*name).filter(|end| CONDITIONS.contains(end)).map(|_| *name);
    let (name, conditional) = match CONDITIONAL.iter().find_map(condition) {
        Some(name) if !CONDITIONAL.contains(&plain) => (name, true),
        _ => (plain, false),
    };
    let operands = instruction.operands.as_str();
    (movement(name, operands), flow(name, operands), conditional)
}

fn movement(name: &str, operands: &str) -> Option<Move> {
    let immediate = |text: &str| -> Option<i64> { text.trim().strip_prefix('#')?.parse().ok() };
    let (first, rest) = operands.split_once(',').unwrap_or((operands, ""));
    match name {
        "push" | "vpush" => return Some(registers(operands).map_or(Move::Unknown, Move::Down)),
        "pop" | "vpop" => return Some(registers(operands).map_or(Move::Unknown, Move::Up)),
        "stmdb" | "vstmdb" if first == "sp!" => {
            return Some(registers(rest).map_or(Move::Unknown, Move::Down));
        }
        "ldmia" | "ldm" | "vldmia" if first == "sp!" => {
            return Some(registers(rest).map_or(Move::Unknown, Move::Up));
        }
        "add" | "addw" | "sub" | "subw" if first == "sp" => {
            let amount = rest.rsplit(',').next().and_then(immediate);
            let of_itself = matches!(rest.split(',').map(str::trim).collect::<Vec<_>>()[..], [_] | ["sp", _]);
            let down = name.starts_with("sub");
            return Some(match amount.filter(|_| of_itself) {
                Some(bytes) if down == (bytes >= 0) => Move::Down(bytes.unsigned_abs()),
                Some(bytes) => Move::Up(bytes.unsigned_abs()),
                None => Move::Unknown,
            });
        }
        "cmp" | "cmn" | "tst" => return None,
        _ => {}
    }
    // `[sp, #-8]!` and `[sp], #8` move it, too.
    if let Some((_, offset)) = operands.split_once("[sp, ")
        && let Some(offset) = offset.strip_suffix("]!")
    {
        return Some(moved(immediate(offset)));
    }
    if let Some((_, offset)) = operands.split_once("[sp], ") {
        return Some(moved(immediate(offset)));
    }
    let is_store = name.starts_with("st") || name.starts_with("vst");
    let writes = !is_store && (first == "sp" || operands.contains("sp!"));
    (writes || operands.contains("sp!")).then_some(Move::Unknown)
}

fn moved(offset: Option<i64>) -> Move {
    match offset {
        Some(offset) if offset < 0 => Move::Down(offset.unsigned_abs()),
        Some(offset) => Move::Up(offset.unsigned_abs()),
        None => Move::Unknown,
    }
}

/// The bytes of a list of registers: `{r4, r5-r8, lr}`, `{d8-d15}`.
fn registers(list: &str) -> Option<u64> {
    let list = list.trim().strip_prefix('{')?.strip_suffix('}')?;
    let number = |name: &str| -> Option<u64> {
        match name {
            "sl" => Some(10),
            "fp" => Some(11),
            "ip" => Some(12),
            "sp" => Some(13),
            "lr" => Some(14),
            "pc" => Some(15),
            _ => name.strip_prefix(['r', 's', 'd'])?.parse().ok(),
        }
    };
    let mut bytes = 0;
    for part in list.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let width = if from.starts_with('d') { 8 } else { 4 };
        bytes += (number(to)?.checked_sub(number(from)?)? + 1) * width;
    }
    Some(bytes)
}

fn flow(name: &str, operands: &str) -> Flow {
    let target = || -> Option<u64> {
        // `cbz r0, 1234 <f+0x8>` has a register in front.
        let place = operands.rsplit(',').next()?.split_whitespace().next()?;
        u64::from_str_radix(place, 16).ok()
    };
    let to = |of: fn(u64) -> Flow| target().map_or(Flow::Indirect, of);
    let loads_pc = || operands.split(['{', ',', '}']).any(|part| part.trim() == "pc");
    match name {
        "b" => to(Flow::Jump),
        "bl" => to(Flow::Call),
        "blx" | "blxns" => Flow::Indirect,
        "bx" | "bxns" if operands == "lr" => Flow::Return,
        "bx" | "bxns" => Flow::Indirect,
        "tbb" | "tbh" => Flow::Table,
        "cbz" | "cbnz" | "le" | "letp" | "wls" | "wlstp" => to(Flow::Either),
        "pop" | "ldmia" | "ldm" if loads_pc() => Flow::Return,
        "ldr" if operands.starts_with("pc,") && operands.contains("[sp]") => Flow::Return,
        "ldr" | "mov" | "add" if operands.starts_with("pc,") => match (name, operands) {
            ("mov", "pc, lr") => Flow::Return,
            ("ldr", _) if !operands.contains("lsl #2") => Flow::Indirect,
            _ => Flow::Table,
        },
        "udf" | "bkpt" => Flow::Return,
        _ => Flow::Next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(text: &str) -> Instruction {
        let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
        Instruction { address: 0, bytes: 2, mnemonic: mnemonic.into(), operands: operands.into() }
    }

    #[test]
    fn instructions_move_the_stack_pointer() {
        let rows = [
            ("push {r4, r5-r7, lr}", Some(Move::Down(20))),
            ("stmdb sp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}", Some(Move::Down(36))),
            ("vpush {d8-d15}", Some(Move::Down(64))),
            ("vpush {s16}", Some(Move::Down(4))),
            ("popne {r4, pc}", Some(Move::Up(8))),
            ("ldmia.w sp!, {r4-r11, pc}", Some(Move::Up(36))),
            ("sub sp, #12", Some(Move::Down(12))),
            ("subw sp, sp, #1040", Some(Move::Down(1040))),
            ("add.w sp, sp, #256", Some(Move::Up(256))),
            ("str.w r8, [sp, #-4]!", Some(Move::Down(4))),
            ("strd r0, r1, [sp, #-16]!", Some(Move::Down(16))),
            ("ldr.w pc, [sp], #4", Some(Move::Up(4))),
            ("str r0, [sp, #4]", None),
            ("add r7, sp, #8", None),
            ("cmp sp, r3", None),
            ("stmia.w sp, {r0, r1}", None),
            ("mov sp, r7", Some(Move::Unknown)),
            ("sub.w sp, sp, r0", Some(Move::Unknown)),
            ("sub.w sp, r7, #8", Some(Move::Unknown)),
            ("bic.w sp, sp, #7", Some(Move::Unknown)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(&instruction(text)).0, expected, "{text}");
        }
    }

    #[test]
    fn instructions_say_where_they_go() {
        let rows = [
            ("b.n 1c <f+0xc>", Flow::Jump(0x1c), false),
            ("ble.n 1c <f+0xc>", Flow::Jump(0x1c), true),
            ("bls.w 1c <f+0xc>", Flow::Jump(0x1c), true),
            ("bl 20 <g>", Flow::Call(0x20), false),
            ("blx r3", Flow::Indirect, false),
            ("bx lr", Flow::Return, false),
            ("bxeq lr", Flow::Return, true),
            ("bx r2", Flow::Indirect, false),
            ("cbnz r0, 8 <f+0x8>", Flow::Either(8), false),
            ("le lr, 4 <f+0x4>", Flow::Either(4), false),
            ("pop {r4, pc}", Flow::Return, false),
            ("pop {r4, lr}", Flow::Next, false),
            ("ldr.w pc, [sp], #4", Flow::Return, false),
            ("ldr.w pc, [pc, r0, lsl #2]", Flow::Table, false),
            ("ldr.w pc, [pc, #4]", Flow::Indirect, false),
            ("mov pc, r2", Flow::Table, false),
            ("mov pc, lr", Flow::Return, false),
            ("tbb [pc, r0]", Flow::Table, false),
            ("bic.w r0, r0, #1", Flow::Next, false),
            ("subs r0, #1", Flow::Next, false),
        ];
        for (text, expected, conditional) in rows {
            let (_, flow, found) = parse(&instruction(text));
            assert_eq!((flow, found), (expected, conditional), "{text}");
        }
    }
}
