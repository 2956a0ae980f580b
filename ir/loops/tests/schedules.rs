//! Schedules: their text reads back, random ones keep values, and those that a kernel cannot have are refused by name.

#![allow(clippy::unwrap_used)]

mod products;

use nablac_index::Program as IndexProgram;
use nablac_index::{DType, Role};
use nablac_loops::schedule::{
    Amount, Axis, Choice, Comparison, Domain, Figure, For, Goal, How, Item, Line, Name, Open, Operation, Pin,
    Place, Require, Schedules, Space, Stored, parse,
};
use nablac_loops::{Capacity, Error, Program, Statement, lower, parse_with, run, schedules, verify};
use products::{LIBRARIES, Numbers, capacity, input, program, reals};

const TEXTS: u64 = 2000;
const PROGRAMS: u64 = 160;
const PINS: usize = 6;

fn name(numbers: &mut Numbers) -> Name {
    let names = ["conv", "c", "for", "step", "a/b;0", "x.y", "use", "ram", "\"", "größe", "regs.float", ""];
    names[numbers.below(names.len() as u64) as usize].into()
}

fn machine(numbers: &mut Numbers) -> Name {
    let names = ["host", "cortex-m4", "x86-64-v4", "-", "for-1", "a-", "1-a", "a-1b", "a--b"];
    names[numbers.below(names.len() as u64) as usize].into()
}

fn amount(numbers: &mut Numbers, depth: usize) -> Amount {
    let operations = [Operation::Add, Operation::Sub, Operation::Mul, Operation::Div, Operation::Rem];
    match numbers.below(if depth == 0 { 2 } else { 4 }) {
        0 => Amount::Integer(numbers.of(&[0, 1, -3, 64, i64::MIN, i64::MAX])),
        1 => Amount::Name(name(numbers)),
        _ => {
            let operation = operations[numbers.below(5) as usize];
            Amount::Binary(operation, Box::new((amount(numbers, depth - 1), amount(numbers, depth - 1))))
        }
    }
}

fn some<T>(numbers: &mut Numbers, make: impl FnOnce(&mut Numbers) -> T) -> Option<T> {
    (numbers.below(2) == 0).then(|| make(numbers))
}

fn lines(numbers: &mut Numbers) -> Vec<Line> {
    let line = |numbers: &mut Numbers| match numbers.below(4) {
        0 => Line::Buffer(Stored { tensor: name(numbers), dtype: DType::I16, place: Place::default() }),
        1 => Line::Pack(Stored { tensor: name(numbers), dtype: DType::I8, place: Place::default() }),
        _ => {
            let mut loops = For {
                axes: (0..=numbers.below(3))
                    .map(|_| Axis { name: name(numbers), padded: some(numbers, |n| amount(n, 2)) })
                    .collect(),
                step: some(numbers, |n| amount(n, 3)),
                vector: some(numbers, |n| amount(n, 1)),
                unroll: numbers.below(2) == 0,
                parallel: some(numbers, |n| if n.below(2) == 0 { Amount::threads() } else { amount(n, 2) }),
                open: vec![],
                instruction: some(numbers, name),
                place: Place::default(),
            };
            let has = [(loops.unroll, Open::Unroll), (loops.parallel.is_some(), Open::Parallel)];
            loops
                .open
                .extend(has.iter().filter(|(has, _)| *has && numbers.below(2) == 0).map(|(_, open)| *open));
            Line::For(loops)
        }
    };
    (0..numbers.below(5)).map(|_| line(numbers)).collect()
}

fn item(numbers: &mut Numbers) -> Item {
    let comparisons = [
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::GreaterEqual,
        Comparison::Greater,
    ];
    let kernels = |numbers: &mut Numbers| (0..=numbers.below(3)).map(|_| name(numbers)).collect();
    match numbers.below(4) {
        0 => Item::Space(Space {
            name: name(numbers),
            pattern: some(numbers, name),
            machine: some(numbers, machine),
            choices: (0..numbers.below(3))
                .map(|_| Choice {
                    name: name(numbers),
                    domain: match numbers.below(2) {
                        0 => Domain::Range(amount(numbers, 2), amount(numbers, 2)),
                        _ => Domain::Divides(amount(numbers, 2)),
                    },
                })
                .collect(),
            requires: (0..numbers.below(3))
                .map(|_| Require {
                    left: amount(numbers, 4),
                    comparison: comparisons[numbers.below(6) as usize],
                    right: amount(numbers, 4),
                    place: Place::default(),
                })
                .collect(),
            lines: lines(numbers),
        }),
        1 => Item::Pin(Pin { kernels: kernels(numbers), how: How::Written(lines(numbers)) }),
        2 => {
            let settings = (0..numbers.below(3)).map(|_| (name(numbers), numbers.of(&[-7, 0, 3]))).collect();
            Item::Pin(Pin { kernels: kernels(numbers), how: How::Member { space: name(numbers), settings } })
        }
        _ => Item::Goal(Goal {
            ram: Some(numbers.below(1 << 30)),
            flash: some(numbers, |n| n.below(1 << 8) << 20),
            minimize: some(numbers, |_| Figure::Cycles),
        }),
    }
}

#[test]
fn what_is_printed_is_read_back() {
    for seed in 0..TEXTS {
        let mut numbers = Numbers(seed);
        let schedules = Schedules { items: (0..numbers.below(4)).map(|_| item(&mut numbers)).collect() };
        let text = schedules.to_string();
        let read = parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{text}"));
        assert_eq!(read, schedules, "seed {seed}\n{text}");
        assert_eq!(read.to_string(), text, "seed {seed}");
    }
}

/// All of a program's pins by the rules.
fn by_rule(source: &IndexProgram, capacity: &Capacity) -> Schedules {
    let pins = schedules(source, capacity, &Schedules::default()).unwrap();
    Schedules { items: pins.into_iter().map(|(_, pin)| Item::Pin(pin)).collect() }
}

fn shuffle<T>(numbers: &mut Numbers, items: &mut [T]) {
    (1..items.len()).for_each(|i| items.swap(i, numbers.below(i as u64 + 1) as usize));
}

/// Another schedule of the same kernel; not every one is legal.
fn changed(numbers: &mut Numbers, pin: &Pin, extents: &[(String, usize)], reduced: &[String]) -> Pin {
    let How::Written(lines) = &pin.how else { unreachable!() };
    let extent = |name: &Name| extents.iter().find(|(own, _)| *own == name.text).unwrap().1 as u64;
    let is_reduced = |line: &&Line| match line {
        Line::For(loops) => reduced.contains(&loops.axes[0].name.text),
        _ => false,
    };
    let (inner, outer): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(is_reduced);
    let mut space: Vec<Line> = vec![];
    let mut stored = vec![];
    for line in outer {
        match line {
            Line::For(loops) if space.iter().any(|l| matches!(l, Line::For(f) if f.axes == loops.axes)) => {}
            Line::For(loops) => {
                let lanes = loops.vector.as_ref().and_then(Amount::integer).unwrap_or(1) as usize;
                let lanes = if numbers.below(4) == 0 { 1 } else { lanes };
                let most = extent(&loops.axes[0].name).div_ceil(lanes as u64).min(5);
                let step = Some((lanes * (1 + numbers.below(most) as usize)).into());
                space.push(Line::For(For { step, ..loops.clone() }));
            }
            other => stored.push(other.clone()),
        }
    }
    shuffle(numbers, &mut space);
    if numbers.below(3) == 0 && !space.is_empty() {
        let again = space[numbers.below(space.len() as u64) as usize].clone();
        let Line::For(loops) = again else { unreachable!() };
        space.push(Line::For(For { step: None, ..loops }));
    }
    if numbers.below(2) == 0 && !space.is_empty() {
        let at = numbers.below(space.len() as u64) as usize;
        let Line::For(loops) = &mut space[at] else { unreachable!() };
        loops.parallel = Some(if numbers.below(2) == 0 { Amount::threads() } else { 2.into() });
    }
    let Some(Line::For(last)) = inner.last() else { unreachable!() };
    let mut axes: Vec<Axis> = inner
        .iter()
        .flat_map(|line| match line {
            Line::For(loops) => loops.axes.clone(),
            _ => vec![],
        })
        .map(|axis| Axis { padded: None, ..axis })
        .collect();
    if numbers.below(2) == 0 {
        shuffle(numbers, &mut axes);
    }
    if last.instruction.is_none() || numbers.below(5) == 0 {
        space.extend(axes.into_iter().map(|axis| {
            Line::For(For { axes: vec![axis], unroll: numbers.below(2) == 0, ..For::default() })
        }));
    } else {
        for axis in &mut axes {
            let more = numbers.of(&[0, 0, 0, 0, 1, 3]) as u64;
            axis.padded = (more > 0).then(|| ((extent(&axis.name) + more) as usize).into());
        }
        let step = some(numbers, |n| Amount::from(n.of(&[4, 8, 16, 32, 48, 64]) as usize));
        let at = numbers.below(space.len() as u64 + 1) as usize;
        let buffer = stored.iter().find(|line| matches!(line, Line::Buffer(_))).cloned();
        let drop = numbers.below(6) == 0;
        buffer.filter(|_| !drop).into_iter().for_each(|line| space.insert(at, line));
        space.push(Line::For(For { axes, step, unroll: false, ..last.clone() }));
        space.extend(stored.iter().find_map(|line| match line {
            Line::Pack(own) => {
                let dtype = if numbers.below(4) == 0 { DType::I8 } else { own.dtype };
                Some(Line::Pack(Stored { dtype, ..own.clone() }))
            }
            _ => None,
        }));
    }
    Pin { kernels: pin.kernels.clone(), how: How::Written(space) }
}

fn main_loops(source: &IndexProgram) -> (Vec<(String, usize)>, Vec<String>) {
    let main = source.statements().into_iter().find(|s| !s.reduced_loops(0).is_empty()).unwrap();
    let reduced = main.reduced_loops(0).into_iter().map(|l| main.loops[l].name.clone()).collect();
    (main.loops.iter().map(|l| (l.name.clone(), l.extent)).collect(), reduced)
}

#[test]
fn every_legal_schedule_keeps_values() {
    let (mut legal, mut illegal, mut used, mut parallel) = (0, 0, 0, 0);
    for seed in 0..PROGRAMS {
        let mut numbers = Numbers(seed);
        let text = if seed % 2 == 0 { program(&mut numbers) } else { reals(&mut numbers) };
        let source = nablac_index::parse(&text).unwrap();
        let inputs = [input(&mut numbers, &source)];
        let expected = nablac_index::run(&source, &inputs).unwrap();
        let (extents, reduced) = main_loops(&source);
        for machine in ["", LIBRARIES[0], LIBRARIES[1], LIBRARIES[2 + seed as usize / 2 % 2]] {
            let capacity = capacity(machine);
            let rules = by_rule(&source, &capacity);
            let nests = lower(&source, &capacity, &rules).unwrap();
            assert_eq!(
                nests,
                lower(&source, &capacity, &Schedules::default()).unwrap(),
                "seed {seed}\n{rules}"
            );
            for _ in 0..PINS {
                let pin = changed(&mut numbers, rules.pins().next().unwrap(), &extents, &reduced);
                let pinned = parse(&Schedules::from(pin).to_string()).unwrap();
                let nests = match lower(&source, &capacity, &pinned) {
                    Ok(nests) => nests,
                    Err(Error::Schedule { .. }) => {
                        illegal += 1;
                        continue;
                    }
                    Err(other) => panic!("seed {seed}: {other}\n{pinned}"),
                };
                legal += 1;
                verify(&nests).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{source}\n{pinned}\n{nests}"));
                let found =
                    run(&nests, &inputs).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{pinned}\n{nests}"));
                assert_eq!(found, expected, "seed {seed}\n{source}\n{pinned}\n{nests}");
                let read = parse_with(&nests.to_string(), &nests.constants()).unwrap();
                assert_eq!(read, nests, "seed {seed}");
                used += usize::from(uses(&nests));
                parallel += usize::from(nests.threads() > 1);
                let again = schedules(&source, &capacity, &pinned).unwrap();
                let again = Schedules { items: again.into_iter().map(|(_, pin)| Item::Pin(pin)).collect() };
                assert_eq!(
                    lower(&source, &capacity, &again).unwrap(),
                    nests,
                    "seed {seed}\n{pinned}\n{again}"
                );
            }
        }
    }
    println!("{legal} legal, {used} of them with instructions, {parallel} in parallel; {illegal} refused");
    assert!(
        legal > 900 && used > 360 && parallel > 300 && illegal > 300,
        "{legal} {used} {parallel} {illegal}"
    );
}

fn uses(nests: &Program) -> bool {
    let mut used = false;
    for kernel in nests.kernels() {
        kernel.visit(&mut |s| used |= matches!(s, Statement::Use { .. }));
    }
    used
}

const CONVOLUTION: &str = "program p {
  input x: i8[6, 8, 4]
  const b: i32[2] = [1, 2]
  const w: i8[2, 3, 3, 4] = [WEIGHTS]
  local sum: i32[6, 8, 2]
  output y: i8[6, 8, 2]
  output z: i8[6, 8, 4]
  conv: sum[i, j, f] = b[f] for i:6 j:8 f:2
  conv: sum[i, j, f] += (i32(x[i + u - 1, j + v - 1, c else 3i8]) - 3) * i32(w[f, u, v, c]) for i:6 j:8 f:2 u:3 v:3 c:4
  conv: y[i, j, f] = i8(min(max(sum[i, j, f], -128), 127)) for i:6 j:8 f:2
  twice: z[i, j, c] = i8(shr(i32(x[i, j, c]), 1)) for i:6 j:8 c:4
}";

fn convolution() -> IndexProgram {
    let weights: Vec<String> = (0..72).map(|n| (n * 37 % 256 - 128).to_string()).collect();
    let program = nablac_index::parse(&CONVOLUTION.replace("WEIGHTS", &weights.join(", "))).unwrap();
    nablac_index::verify(&program).unwrap();
    assert!(program.tensors.iter().any(|tensor| matches!(tensor.role, Role::Local)));
    program
}

/// What lowering says of a schedule that it refuses: the text behind its place, and the message.
fn refusal(text: &str) -> (String, String) {
    let schedules = parse(text);
    let lowered = schedules.and_then(|schedules| lower(&convolution(), &capacity(LIBRARIES[0]), &schedules));
    let Err(Error::Schedule { place, message }) = lowered else {
        panic!("{text}\nis not refused: {lowered:?}")
    };
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    (line[place.column - 1..].to_string(), message)
}

const LEGAL: &str = "pin conv {
  for i
  buffer x as i16
  for j step 3
  for f step 2
  for v, u, c step 12 use smlad
  pack w as i8
}";

#[test]
fn what_a_kernel_cannot_have_is_refused_where_it_stands() {
    lower(&convolution(), &capacity(LIBRARIES[0]), &parse(LEGAL).unwrap()).unwrap();
    let other = |from: &str, to: &str| {
        assert!(LEGAL.contains(from), "{from}");
        refusal(&LEGAL.replacen(from, to, 1))
    };
    let plain = |lines: &str| refusal(&format!("pin conv {{ for i for j for f {lines} }}"));
    for ((at, message), (begin, part)) in [
        (other("pin conv", "pin cnv"), ("cnv", "there is no kernel `cnv`; those with a schedule are conv")),
        (other("pin conv", "pin twice"), ("twice", "kernel `twice` has no schedule")),
        (other("pin conv", "pin conv, conv"), ("conv {", "is pinned twice")),
        (
            other("for i\n", "for q\n"),
            ("q", "it has no loop `q`; its loops are i, j, f, and reduced u, v, c"),
        ),
        (other("  for i\n", ""), ("conv {", "`for i` is missing")),
        (other("for i\n", "for i\n  for i\n"), ("for i", "its step leaves nothing over")),
        (other("for f step 2", "for j step 4\n  for f"), ("for j step 4", "goes in steps of 3 already")),
        (other("for j step 3", "for j step 0"), ("for j", "`0` must be an integer from 1 on")),
        (
            other("for f step 2", "for f step 2 vector 2"),
            ("for f", "the instruction says how many sums are side by side"),
        ),
        (
            plain("for u for v for c vector 4"),
            ("for c", "is a reduced loop: only loops over the result are lanes"),
        ),
        (other("for j step 3", "for j(9)"), ("for j(9)", "only those are padded")),
        (other("for j step 3", "for j unroll"), ("for j unroll", "`step` writes its iterations out")),
        (
            other("v, u, c step 12", "v, u, c step 12 parallel"),
            ("for v, u, c", "`v` is a reduced loop: its iterations go into one result, one after the other"),
        ),
        (
            other("for i\n", "for i parallel\n for f parallel 2"),
            ("for f parallel", "one loop is parallel, and there is a `parallel` already"),
        ),
        (
            other("for f step 2", "for f step 2 for j parallel"),
            ("for j parallel", "`for j` goes on within a step: the loop further outside may be parallel"),
        ),
        (other("for i\n", "for i parallel 0\n"), ("for i", "`0` must be an integer from 1 on")),
        (
            other("for i\n", "for i parallel 1000\n"),
            ("for i", "it has 1000 parts; at most 256 are supported"),
        ),
        (other("for i\n", "for i parallel pad\n"), ("pad", "`pad` has no value here")),
        (other("for i\n", "for i parallel 2 parallel\n"), ("parallel", "has a `parallel` already")),
        (other("for j step 3", "for j step 3?"), ("?", "`?` is not supported")),
        (other("for j step 3", "for j, f"), ("for j, f", "only reduced loops run as one")),
        (other("v, u, c", "v, u, f"), ("for v, u, f", "do not run as one")),
        (other("v, u, c", "v, u, v"), ("for v, u, v", "there is a `for v` already")),
        (other("v, u, c", "v, u"), ("conv {", "`for c` is missing")),
        (other("v, u, c", "u, v, c"), ("buffer", "`j` slides along `v`: name `v` first")),
        (other("c step", "c(3) step"), ("c(3)", "`c` cannot be padded to 3: it has 4")),
        (
            other("step 12", "step 6"),
            ("for v, u, c", "a step of 6 is not whole instructions: they take 4 terms"),
        ),
        (other("use smlad", ""), ("buffer x", "only a nest with `use` has a buffer or packed constants")),
        (plain("for v, u, c"), ("for v, u, c", "loops run as one only with `use`")),
        (other("smlad", "sxtb16"), ("sxtb16", "sums no products with `sxtb16`; it has smlad")),
        (other("smlad", "vmladav"), ("vmladav", "sums no products with `vmladav`; it has smlad")),
        (other("smlad", "smlad unroll"), ("for v, u, c", "`step` says how many terms are written out")),
        (other("buffer x", "buffer w"), ("w as", "`w` has no buffer: what it reads at run time is `x`")),
        (other("x as i16", "x as i8"), ("buffer x", "`smlad` multiplies i16: the buffer has that type")),
        (other("x as i16", "x as int"), ("int", "`int` is no element type")),
        (
            other("  buffer x as i16\n", ""),
            ("for v, u, c", "`x` needs a line `buffer`: a window reaches over its edges"),
        ),
        (
            other("buffer x as i16", "buffer x as i16 buffer x as i16"),
            ("buffer x", "there is a buffer already"),
        ),
        (other("pack w as", "pack x as"), ("x as", "`x` is not its constant: that is `w`")),
        (other("w as i8", "w as i32"), ("pack w", "`smlad` cannot take constants packed as i32: i8 or i16")),
        (other("for f step 2", "for f for f for f"), ("for f for f", "its step leaves nothing over")),
        (plain("for u for v step 2 for c"), ("for v step 2", "it has a `step` only with `use`")),
        (plain("for u for v for c(8)"), ("for c(8)", "`c` is padded only with `use`")),
        (
            plain("for u for v for c buffer x as i16"),
            ("buffer", "a buffer stands in front of the reduced loops"),
        ),
        (plain("buffer x as i16 for u for v for c"), ("buffer", "only a nest with `use` has a buffer")),
        (
            refusal("pin conv { for i for j for u for f for v for c }"),
            ("for f", "it stands in front of those"),
        ),
    ] {
        assert!(at.starts_with(begin), "`{message}` points at `{at}`, not at `{begin}`");
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn a_nest_that_would_be_written_out_without_end_is_refused() {
    let text = "program p {
      input x: f32[100, 200] output y: f32[100]
      y[i] += x[i, k] for i:100 k:200
    }";
    let program = nablac_index::parse(text).unwrap();
    let pinned = |text: &str| lower(&program, &capacity(""), &parse(text).unwrap());
    let Err(Error::Schedule { message, .. }) = pinned("pin y { for i step 100 for k unroll }") else {
        panic!()
    };
    assert!(message.contains("would write out 20000 terms"), "{message}");
    let nests = pinned("pin y { for i step 64 for k unroll }").unwrap();
    assert_eq!(verify(&nests), Ok(()));
    assert!(nests.to_string().contains("for it in 0..64 unroll"), "{nests}");
}

const SPACE: &str = "space tile for \"c*\" on board {
  choose ft in 1..2, jt in 1..8
  require ft*jt >= 6
  require ft*jt + 2*ft + 2 <= regs.general
  for i
  buffer x as i16
  for j step jt
  for f step ft
  for v, u, c use smlad
}
";

#[test]
fn a_pin_takes_the_first_member_of_its_space() {
    let pins = |text: &str| {
        let pinned = parse(&format!("{SPACE}{text}")).unwrap();
        let pins = schedules(&convolution(), &capacity(LIBRARIES[0]), &pinned).unwrap();
        pins[0].1.to_string()
    };
    let first = pins("pin conv : space tile");
    assert!(first.contains("for j step 6\n  for f\n"), "{first}");
    let forced = pins("pin conv : space tile { ft = 2 }");
    assert!(forced.contains("for j step 3\n  for f step 2\n"), "{forced}");
    let both = pins("pin conv : space tile { jt = 4, ft = 2 }");
    assert!(both.contains("for j step 4\n  for f step 2\n"), "{both}");
}

#[test]
fn what_a_line_leaves_open_is_a_choice() {
    let space = "space taps for \"c*\" { for i for j for f for u for v unroll? for c } ";
    let refused = |text: &str| refusal(&format!("{space}{text}"));
    let pins = |text: &str| {
        let pinned = parse(&format!("{space}{text}")).unwrap();
        schedules(&convolution(), &capacity(LIBRARIES[0]), &pinned).unwrap()[0].1.to_string()
    };
    assert!(!pins("pin conv : space taps").contains("unroll"));
    assert!(pins("pin conv : space taps { v.unroll = 1 }").contains("for v unroll\n"));
    let required = space.replacen("{", "{ require v.unroll == 1", 1);
    let pinned = parse(&format!("{required} pin conv : space taps")).unwrap();
    let text = schedules(&convolution(), &capacity(LIBRARIES[0]), &pinned).unwrap()[0].1.to_string();
    assert!(text.contains("for v unroll\n"), "{text}");
    let (_, message) = refused("pin conv : space taps { v.unroll = 2 }");
    assert!(message.contains("`v.unroll` cannot be 2: `choose v.unroll in 0..1`"), "{message}");
    let (at, message) = refused("pin conv { for i for j for f for u for v unroll? for c }");
    assert!(at.starts_with("for v unroll?"), "{at}");
    assert!(message.contains("`unroll?` is for a space"), "{message}");
}

#[test]
fn spaces_without_a_member_say_which_requirements_conflict() {
    let with = |from: &str, to: &str, pin: &str| {
        assert!(SPACE.contains(from), "{from}");
        refusal(&format!("{}{pin}", SPACE.replacen(from, to, 1)))
    };
    let pin = "pin conv : space tile";
    let many = "require jt < 3\n  require jt != 2\n  require ft*jt >= 6";
    for ((at, message), (begin, part)) in [
        (
            with("ft*jt >= 6", "ft*jt >= 11", pin),
            (
                "ft*jt >= 11",
                "these conflict: `require ft * jt >= 11`, `require ft * jt + 2 * ft + 2 <= regs.general`",
            ),
        ),
        (
            with("require ft*jt >= 6", many, pin),
            ("jt < 3", "conflict: `require jt < 3`, `require ft * jt >= 6`"),
        ),
        (
            with("ft*jt >= 6", "jt / (ft - ft) > 0", pin),
            ("jt /", "none keeps to `require jt / (ft - ft) > 0`"),
        ),
        (with("1..8", "2..1", pin), ("tile", "a choice has no value")),
        (with("1..8", "1..8, ft in 1..2", pin), ("ft in 1..2", "`ft` is chosen twice")),
        (with("1..8", "0..9000000", pin), ("jt in", "has more than 1000000 values")),
        (with("1..2", "1..900000", pin), ("tile for", "has more than 1000000 members")),
        (
            with("jt >= 6", "kt >= 6", pin),
            ("kt >= 6", "`kt` has no value here; these have: ft, jt, c, f, i, j, u, v, regs.general"),
        ),
        (with("on board", "on cortex-m4", pin), ("tile", "is for `cortex-m4`, and the target is `board`")),
        (with("\"c*\"", "\"d*\"", pin), ("tile", "is for kernels called `d*`, and not for `conv`")),
        (with("tile for", "other for", pin), ("tile", "there is no space `tile`")),
        (
            with("tile", "tile", "pin conv : space tile { ft = 3 }"),
            ("ft = 3", "`ft` cannot be 3: `choose ft in 1..2`"),
        ),
        (with("tile", "tile", "pin conv : space tile { kt = 3 }"), ("kt = 3", "has no choice `kt`")),
    ] {
        assert!(at.starts_with(begin), "`{message}` points at `{at}`, not at `{begin}`");
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn divisors_and_extents_are_values() {
    let text = "space even { choose jt divides j require jt > 2 for i buffer x as i16 for j step jt for f step f for v, u, c use smlad }
                pin conv : space even";
    let pins = schedules(&convolution(), &capacity(LIBRARIES[0]), &parse(text).unwrap()).unwrap();
    let text = pins[0].1.to_string();
    assert!(text.contains("for j step 4\n  for f step 2\n"), "{text}");
}

#[test]
fn goals_are_bytes() {
    let schedules = parse("goal ram <= 64 KiB, flash <= 1 MiB, then min cycles goal ram <= 100").unwrap();
    assert_eq!(
        schedules.goal(),
        Goal { ram: Some(100), flash: Some(1 << 20), minimize: Some(Figure::Cycles) }
    );
    let Err(Error::Schedule { message, place }) = parse("goal ram <= 64 KiB, ram <= 1") else { panic!() };
    assert_eq!((message.as_str(), place.column), ("this goal says that already", 21));
}
