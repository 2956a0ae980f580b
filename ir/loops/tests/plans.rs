//! What holds of every memory plan, on random programs: no two buffers that are alive share a byte, what is in bytes that hold nothing never
//! changes a result, and the arena ends with the last byte that a run touches.

#![allow(clippy::unwrap_used)]

#[path = "../../index/tests/random/mod.rs"]
mod random;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use nablac_index::{Array, DType, TensorId, Value};
use nablac_loops::schedule::Schedules;
use nablac_loops::{Capacity, Program, Repeat, Role, Session, Step, lower, parse, plan, run, verify};
use random::Random;

/// What dead bytes are overwritten with: no byte is the same in both.
const PATTERNS: [u8; 2] = [0x5A, 0xC3];

/// The buffers that a step touches.
fn touched(program: &Program, step: &Step, found: &mut BTreeSet<TensorId>) {
    let count = program.buffers.len();
    match step {
        Step::Kernel(kernel) => found.extend([kernel.reads(count), kernel.writes(count)].concat()),
        Step::Receive(receive) => _ = found.insert(receive.buffer),
        Step::Repeat(Repeat { carried, body, .. }) => {
            found.extend(carried.iter().flat_map(|(state, initial, next)| [*state, *initial, *next]));
            body.iter().for_each(|step| touched(program, step, found));
        }
        Step::Branch { condition, then, otherwise } => {
            found.insert(*condition);
            then.iter().chain(otherwise).for_each(|step| touched(program, step, found));
        }
    }
}

/// The buffers that hold something in front of each step, and behind the last one.
fn alive(program: &Program) -> Vec<Vec<TensorId>> {
    let used: Vec<BTreeSet<TensorId>> = program
        .steps
        .iter()
        .map(|step| {
            let mut found = BTreeSet::new();
            touched(program, step, &mut found);
            found
        })
        .collect();
    let next: Vec<TensorId> = program.states().map(|(_, state)| state.next).collect();
    let at = |position: usize| {
        let (before, behind) = used.split_at(position);
        let has = |steps: &[BTreeSet<TensorId>], id| steps.iter().any(|used| used.contains(&id));
        let holds = |id: TensorId| {
            let role = &program.buffer(id).role;
            let begun = matches!(role, Role::Input(_) | Role::State(_)) || has(before, id);
            let needed =
                matches!(role, Role::Output | Role::State(_)) || next.contains(&id) || has(behind, id);
            begun && needed && !matches!(role, Role::Constant(_))
        };
        program.buffers().map(|(id, _)| id).filter(|id| holds(*id)).collect()
    };
    (0..=program.steps.len()).map(at).collect()
}

fn place(program: &Program, id: TensorId) -> Range<usize> {
    let buffer = program.buffer(id);
    let begin = buffer.offset.unwrap();
    begin..begin + buffer.bytes()
}

fn share(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Runs a plan with dead bytes overwritten; gives the outputs and one past the last byte that is touched.
fn watched(program: &Program, inputs: &[Array], pattern: u8) -> (Vec<Array>, usize) {
    let alive = alive(program);
    // The caller fills inputs, and a reset states, whoever reads them.
    let states = program.states().map(|(id, _)| id);
    let filled = program.inputs().into_iter().chain(states);
    let mut touched = filled.map(|id| place(program, id).end).max().unwrap_or(0);
    let mut before: Option<Vec<u8>> = None;
    let mut session = Session::new(program);
    let outputs = session.run_watched(inputs, &mut |position, arena| {
        let changed = |before: Vec<u8>| (0..arena.len()).rev().find(|byte| arena[*byte] != before[*byte]);
        touched = touched.max(before.take().and_then(changed).map_or(0, |byte| byte + 1));
        let kept: Vec<Range<usize>> = alive[position].iter().map(|id| place(program, *id)).collect();
        for (byte, own) in arena.iter_mut().enumerate() {
            if !kept.iter().any(|range| range.contains(&byte)) {
                *own = pattern;
            }
        }
        before = Some(arena.to_vec());
    });
    (outputs.unwrap(), touched)
}

/// Holds a program's plan to everything that is said of plans; gives whether every byte up to the arena's end was seen to be written.
fn check(lowered: &Program, inputs: &[Array], place_of: &str) -> bool {
    let expected = run(lowered, inputs).unwrap();
    let planned = plan(lowered.clone());
    verify(&planned).unwrap_or_else(|e| panic!("{place_of}: {e}\n{planned}"));
    let proof = planned.proof.unwrap();
    assert!(proof.any_order <= proof.this_order && proof.this_order <= planned.arena_bytes, "{place_of}");
    for ids in alive(&planned) {
        for (n, a) in ids.iter().enumerate() {
            let (own, others) = (place(&planned, *a), &ids[..n]);
            let shared = others.iter().find(|b| share(&own, &place(&planned, **b)));
            assert_eq!(shared, None, "{place_of}: {a:?}\n{planned}");
        }
    }
    let same = |found: &[Array]| {
        let values = |array: &Array| array.values().map(|value| value.as_f64()).collect::<Vec<f64>>();
        expected.iter().zip(found).all(|(a, b)| a.shape() == b.shape() && values(a) == values(b))
    };
    assert!(same(&run(&planned, inputs).unwrap()), "{place_of}\n{planned}");
    let mut highest = 0;
    for pattern in PATTERNS {
        let (found, touched) = watched(&planned, inputs, pattern);
        assert!(same(&found), "{place_of}, {pattern:x} in dead bytes\n{planned}");
        highest = highest.max(touched);
    }
    assert!(highest <= planned.arena_bytes, "{place_of}");
    highest == planned.arena_bytes
}

/// A program of kernels that each read some of what is there, in one of many ways, through a buffer of their own or not.
fn graph(random: &mut Random) -> (Program, Vec<Array>) {
    let types = [DType::I8, DType::I8, DType::I16, DType::I32];
    let (mut buffers, mut kernels) = (String::new(), String::new());
    let mut known: Vec<(String, DType, usize)> = vec![];
    let mut inputs = vec![];
    for n in 0..1 + random.below(2) {
        let (dtype, length) = (types[random.below(4)], 1 + random.below(24));
        writeln!(buffers, "input x{n}: {dtype}[{length}]").unwrap();
        let values: Vec<Value> = (0..length).map(|_| Value::Int(random.below(200) as i64 - 100)).collect();
        inputs.push(Array::from_values(dtype, &[length], values));
        known.push((format!("x{n}"), dtype, length));
    }
    let count = 2 + random.below(7);
    for n in 0..count {
        let dtype = types[random.below(4)];
        let mut length = 1 + random.below(24);
        let mut terms = vec![];
        let (mut before, mut own) = (String::new(), String::new());
        for term in 0..1 + random.below(3) {
            let at = random.below(known.len());
            let (mut name, of, there) = known[at].clone();
            if random.below(3) == 0 {
                length = there;
            }
            if random.below(4) == 0 {
                writeln!(own, "local t{n}_{term}: {of}[{there}]").unwrap();
                writeln!(before, "for j{term} in 0..{there} {{ t{n}_{term}[j{term}] = {name}[j{term}] }}")
                    .unwrap();
                name = format!("t{n}_{term}");
            }
            let index = match random.below(6) {
                0 => format!("-i + {} else 1{of}", there as i64 - 1),
                1 => format!("i {} else 2{of}", ["- 2", "- 1", "+ 1", "+ 2"][random.below(4)]),
                2 => format!("2i else 3{of}"),
                3 => format!("{}", random.below(there)),
                _ => format!("i else 4{of}"),
            };
            terms.push(format!("{dtype}({name}[{index}])"));
        }
        let role = if n + 1 == count || random.below(8) == 0 { "output" } else { "local" };
        writeln!(buffers, "{role} y{n}: {dtype}[{length}]\n{own}").unwrap();
        writeln!(
            kernels,
            "kernel k{n} {{ {before} for i in 0..{length} {{ y{n}[i] = {} }} }}",
            terms.join(" + ")
        )
        .unwrap();
        known.push((format!("y{n}"), dtype, length));
    }
    let text = format!("loops graph {{\n{buffers}{kernels}}}");
    (parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}")), inputs)
}

#[test]
fn graphs_of_kernels_are_planned_to_the_last_byte() {
    let (mut optimal, mut moved) = (0, 0);
    const GRAPHS: u64 = 1500;
    for seed in 0..GRAPHS {
        let (program, inputs) = graph(&mut Random(seed));
        assert!(check(&program, &inputs, &format!("seed {seed}")), "seed {seed}\n{}", plan(program.clone()));
        let planned = plan(program.clone());
        optimal += u64::from(planned.is_plan_optimal());
        moved += u64::from(planned.steps != program.steps);
    }
    assert!(optimal == GRAPHS && moved > 20, "{optimal} are proved optimal, {moved} run in another order");
}

#[test]
fn lowered_programs_are_planned_to_the_last_byte() {
    let mut whole = 0;
    const PROGRAMS: u64 = 600;
    for seed in 0..PROGRAMS {
        let (source, inputs) = random::program(seed);
        let capacity = Capacity { float_registers: 16, general_registers: 14, ..Capacity::default() };
        let lowered = lower(&source, &capacity, &Schedules::default()).unwrap();
        // Of the two sides of a branch one does not run, and what it would write stays as it is.
        let branches = lowered.steps.iter().any(|step| matches!(step, Step::Branch { .. }));
        let all = check(&lowered, &inputs, &format!("seed {seed}"));
        assert!(all || branches, "seed {seed}\n{}", plan(lowered));
        whole += u64::from(all);
    }
    assert!(whole > PROGRAMS * 9 / 10, "{whole}");
}

/// Branches of three kernels from one input, which are added up in the end: of as many orders as there are, no search sees all.
fn branches(count: usize, random: &mut Random) -> Program {
    let (mut buffers, mut kernels) = ("input x: i8[64]\noutput y: i8[8]\n".to_string(), String::new());
    for stage in 0..3 {
        for branch in 0..count {
            let from = if stage == 0 { "x".to_string() } else { format!("b{branch}_{}", stage - 1) };
            let size = if stage == 2 { 8 } else { 16 * (1 + random.below(16)) };
            let name = format!("b{branch}_{stage}");
            writeln!(buffers, "local {name}: i8[{size}]").unwrap();
            let body = format!("{name}[i] = {from}[i else 0i8] + {from}[0]");
            writeln!(kernels, "kernel k{branch}_{stage} {{ for i in 0..{size} {{ {body} }} }}").unwrap();
        }
    }
    let terms: Vec<String> = (0..count).map(|branch| format!("b{branch}_2[i]")).collect();
    writeln!(kernels, "kernel sum {{ for i in 0..8 {{ y[i] = {} }} }}", terms.join(" + ")).unwrap();
    parse(&format!("loops branches {{\n{buffers}{kernels}}}")).unwrap()
}

#[test]
fn branches_run_one_after_the_other_where_that_takes_less() {
    for (count, exact) in [(4, true), (12, false), (40, false)] {
        let program = branches(count, &mut Random(count as u64));
        let planned = plan(program.clone());
        verify(&planned).unwrap();
        let names = |program: &Program| program.kernels().iter().map(|k| k.name.clone()).collect::<Vec<_>>();
        assert_ne!(names(&planned), names(&program));
        assert!((planned.is_plan_optimal() && planned.is_order_optimal()) || !exact, "{planned}");
        // Stage by stage, all first values are there at once; branch by branch, one.
        assert!(planned.arena_bytes < 64 + 2 * 256 + 8 * count + 256, "{planned}");
    }
}
