//! Estimates cycles: how often each instruction ran, times what the processor's timing table says that it takes. Wait
//! states, misaligned accesses and contention are not modelled; an instruction that its IT block skips counts as executed.

use crate::counts::{Count, Counts};
use crate::disassembly::Instruction;
use nablac_machine::TimingTable;
use std::collections::BTreeMap;

/// The cycles spent at each address: `[low, typical, high]`.
pub(crate) fn estimate(
    instructions: &[Instruction],
    counts: &Counts,
    table: &TimingTable,
) -> BTreeMap<u64, [u64; 3]> {
    let index: BTreeMap<u64, usize> =
        instructions.iter().enumerate().map(|(i, found)| (found.address, i)).collect();
    let at = |address: &u64| index.get(address).copied();
    let cost = |(address, count): (&u64, &Count)| {
        let cycles = match at(address) {
            Some(i) => cycles_of(&instructions[i], i.checked_sub(1).map(|p| &instructions[p]), *count, table),
            None => [table.other * count.executed; 3],
        };
        (*address, cycles)
    };
    counts.by_address.iter().map(cost).collect()
}

fn cycles_of(
    instruction: &Instruction,
    before: Option<&Instruction>,
    count: Count,
    table: &TimingTable,
) -> [u64; 3] {
    let mut cycles = table.refill.map(|refill| refill * count.jumped_from);
    let Some(class) = table.class_of(&instruction.mnemonic) else {
        return cycles.map(|refill| refill + table.other * count.executed);
    };
    let mut extra = class.per_word * words(&instruction.operands);
    if has_register_offset(&instruction.operands) {
        extra += class.register_offset;
    }
    let behind_load = before.is_some_and(|load| is_load(load, table) && !feeds_address(load, instruction));
    let pipelined = if behind_load { count.executed - count.jumped_to.min(count.executed) } else { 0 };
    for (total, own) in cycles.iter_mut().zip(class.cycles) {
        *total += match class.after_load {
            Some(short) => (own + extra) * (count.executed - pipelined) + short * pipelined,
            None => (own + extra) * count.executed,
        };
    }
    cycles
}

fn is_load(instruction: &Instruction, table: &TimingTable) -> bool {
    table.class_of(&instruction.mnemonic).is_some_and(|class| class.is_load)
}

/// Whether the register that `load` loads is part of the other instruction's address.
fn feeds_address(load: &Instruction, access: &Instruction) -> bool {
    let loaded = load.operands.split(',').next().unwrap_or_default().trim();
    address_parts(&access.operands).any(|part| part.split_whitespace().next() == Some(loaded))
}

fn has_register_offset(operands: &str) -> bool {
    address_parts(operands).nth(1).is_some_and(|part| !part.starts_with('#'))
}

/// What stands between the brackets, at its commas.
fn address_parts(operands: &str) -> impl Iterator<Item = &str> {
    let inside = operands.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or("", |(inside, _)| inside).split(',').map(str::trim)
}

/// The 32-bit words of a register list, or of the first operand.
fn words(operands: &str) -> u64 {
    match operands.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
        Some((list, _)) => list.split(',').map(|item| words_of_item(item.trim())).sum(),
        None => words_of_item(operands.split(',').next().unwrap_or_default().trim()),
    }
}

fn words_of_item(item: &str) -> u64 {
    let number = |name: &str| name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok();
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let registers = number(last).zip(number(first)).map_or(1, |(last, first)| last - first.min(last) + 1);
    let is_double = first.starts_with('d') && number(first).is_some();
    registers * if is_double { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::{Counts, estimate, words};
    use crate::disassembly::parse;
    use nablac_machine::TimingTable;

    const LISTING: &str = "\n00000010 <f>:\n  10:\t4b02      \tldr\tr3, [pc, #8]\t; (1c <f+0xc>)\n  \
        12:\t6819      \tldr\tr1, [r3, #0]\n  14:\tf810 2005 \tldrb.w\tr2, [r0, r5]\n  \
        18:\t5042      \tstr\tr2, [r0, r1]\n  1a:\td1f9      \tbne.n\t10 <f>\n  1c:\t00000020 \t.word\t0x20\n";

    #[test]
    fn each_rule_of_the_table_applies() {
        let table = TimingTable::load("cortex-m4").unwrap();
        let code = parse(LISTING);
        assert_eq!((code[0].operands.as_str(), code[4].mnemonic.as_str()), ("r3, [pc, #8]", "bne.n"));
        let text =
            "call 50\nat 0x10 10 10 0\nat 0x12 10 0 0\nat 0x14 10 0 0\nat 0x18 10 0 0\nat 0x1a 10 0 9\n";
        let cycles = estimate(&code, &Counts::parse(text).unwrap(), &table);
        assert_eq!(cycles[&0x10], [20; 3], "a load that is jumped to starts a run");
        assert_eq!(cycles[&0x12], [20; 3], "its address was just loaded: no pipelining");
        assert_eq!(cycles[&0x14], [10; 3], "pipelined behind a load");
        assert_eq!(cycles[&0x18], [10; 3], "a store behind a load");
        assert_eq!(cycles[&0x1a], [19, 28, 37], "10 branches, 9 taken");
    }

    #[test]
    fn register_lists_are_counted_in_words() {
        let rows = [
            ("{r4, r5, sl, pc}", 4),
            ("{s16-s31}", 16),
            ("{d8-d9, d12}", 6),
            ("s0, [r3]", 1),
            ("d7, [sp]", 2),
        ];
        for (operands, expected) in rows {
            assert_eq!(words(operands), expected, "{operands}");
        }
        assert_eq!(words("r0!, {r4, r5}"), 2);
    }
}
