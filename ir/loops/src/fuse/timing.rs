//! When each row of each stage is computed.
//!
//! Owns rates, delays and how many rows of a tensor are alive at once. A stage is a kernel, or an input that comes by rows. Stages whose
//! rows follow each other as fast as those of a later stage share its loop; a stage that has `s` rows for each of those runs in a loop of `s` iterations in
//! it, so that each row is computed when it is first needed. All of a stage's rows are computed once: the tensors between stages are
//! rings of the rows that are alive.

/// A kernel, or an input, as a loop over rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Stage {
    /// The number of its rows.
    pub extent: usize,
    /// What it reads of earlier stages.
    pub reads: Vec<Need>,
}

/// Row `i` reads rows `stride * i + low` to `stride * i + high` of an earlier stage.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Need {
    pub producer: usize,
    pub stride: i64,
    pub low: i64,
    pub high: i64,
}

/// A nest of loops in time, slowest first, and the stages in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Timing {
    /// How often each loop runs. Time at a level counts through all loops down to it, as digits of one number.
    pub extents: Vec<usize>,
    /// The level of each stage.
    pub levels: Vec<usize>,
    /// A stage is at row `time - delay`, where it has one.
    pub delays: Vec<i64>,
    /// How many rows of each stage are alive at once.
    pub alive: Vec<usize>,
}

/// The most steps that a segment may take: more rows than any image has.
const MOST_STEPS: i64 = 1 << 20;

/// The timing of stages, each of which reads earlier ones only; or why there is none.
pub(super) fn timing(stages: &[Stage]) -> Result<Timing, String> {
    let rates = rates(stages)?;
    let mut distinct = rates.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.windows(2).any(|pair| pair[1] % pair[0] != 0) {
        return Err("their rows follow each other at rates that do not divide each other".into());
    }
    let level = |rate: &i64| distinct.iter().position(|own| own == rate).unwrap_or(0);
    let levels: Vec<usize> = rates.iter().map(level).collect();
    let delays = delays(stages, &rates);
    let slowest = distinct[0];
    let last =
        |stage: usize| (stages[stage].extent as i64 - 1 + delays[stage]).div_euclid(rates[stage] / slowest);
    let steps = (0..stages.len()).map(last).max().unwrap_or(0) + 1;
    let inner = distinct.windows(2).map(|pair| pair[1] / pair[0]);
    let extents: Vec<usize> = [steps].into_iter().chain(inner).map(|extent| extent as usize).collect();
    if extents.iter().product::<usize>() as i64 > MOST_STEPS {
        return Err("they have too many rows".into());
    }
    let mut timing = Timing { extents, levels, delays, alive: vec![] };
    timing.alive = alive(stages, &timing)?;
    Ok(timing)
}

/// How many rows each stage has for one of the slowest. A reader with stride `s` has a row for `s` of its producer.
fn rates(stages: &[Stage]) -> Result<Vec<i64>, String> {
    // Fractions, found along what reads what, from the last stage on.
    let mut rates: Vec<Option<(i64, i64)>> = vec![None; stages.len()];
    rates.last_mut().into_iter().for_each(|last| *last = Some((1, 1)));
    let simple = |a: i64, b: i64| Some((a / gcd(a, b), b / gcd(a, b)));
    let needs =
        || stages.iter().enumerate().flat_map(|(consumer, s)| s.reads.iter().map(move |n| (consumer, n)));
    let mut changed = true;
    while changed {
        changed = false;
        for (consumer, need) in needs() {
            match (rates[consumer], rates[need.producer]) {
                (Some((a, b)), None) => rates[need.producer] = simple(a * need.stride, b),
                (None, Some((a, b))) => rates[consumer] = simple(a, b * need.stride),
                _ => continue,
            }
            changed = true;
        }
    }
    if rates.iter().any(Option::is_none) {
        return Err("they do not read each other's rows".into());
    }
    let agree = |(consumer, need): (usize, &Need)| {
        rates[consumer].is_some_and(|(a, b)| simple(a * need.stride, b) == rates[need.producer])
    };
    if !needs().all(agree) {
        return Err("their rows follow each other at rates that do not agree".into());
    }
    let known: Vec<(i64, i64)> = rates.into_iter().flatten().collect();
    let common = known.iter().fold(1, |common, (_, b)| common / gcd(common, *b) * b);
    Ok(known.into_iter().map(|(a, b)| a * (common / b)).collect())
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs().max(1) } else { gcd(b, a % b) }
}

/// How long after the first step each stage has its first row: as late as its readers allow, and none before the first step.
///
/// In time `T` of its own level a reader is at row `T - d` and needs rows up to `s * (T - d) + high`. By then a producer at the same
/// level is at row `T - p`, and one that runs `s` times as often at `s * T + s - 1 - p`: both say `p <= s * d + s - 1 - high`.
fn delays(stages: &[Stage], rates: &[i64]) -> Vec<i64> {
    let mut delays: Vec<Option<i64>> = vec![None; stages.len()];
    for consumer in (0..stages.len()).rev() {
        let own = *delays[consumer].get_or_insert(0);
        for need in &stages[consumer].reads {
            let latest = need.stride * own + need.stride - 1 - need.high;
            let held = &mut delays[need.producer];
            *held = Some(held.map_or(latest, |before| before.min(latest)));
        }
    }
    let delays: Vec<i64> = delays.into_iter().map(|delay| delay.unwrap_or(0)).collect();
    let slowest = rates.iter().copied().min().unwrap_or(1);
    let factor = |stage: usize| rates[stage] / slowest;
    let shift = (0..delays.len()).map(|stage| -delays[stage].div_euclid(factor(stage))).max().unwrap_or(0);
    let shift = shift.max(0);
    (0..delays.len()).map(|stage| delays[stage] + shift * factor(stage)).collect()
}

/// A row that is computed, or rows that are read.
enum Event {
    Write { stage: usize, row: i64 },
    Read { producer: usize, low: i64, high: i64 },
}

/// The most rows of each stage that are alive at once; an error where a row is read that is not there yet.
fn alive(stages: &[Stage], timing: &Timing) -> Result<Vec<usize>, String> {
    let mut events = vec![];
    run(stages, timing, 0, 0, &mut events);
    let mut latest = vec![-1i64; stages.len()];
    for event in &events {
        match event {
            Event::Write { stage, row } => latest[*stage] = *row,
            Event::Read { producer, high, .. } if *high > latest[*producer] => {
                return Err("a row is needed before it can be there".into());
            }
            Event::Read { .. } => {}
        }
    }
    let mut oldest: Vec<i64> = stages.iter().map(|stage| stage.extent as i64).collect();
    let mut alive = vec![1usize; stages.len()];
    for event in events.iter().rev() {
        match event {
            Event::Write { stage, row } => {
                alive[*stage] = alive[*stage].max((row - oldest[*stage] + 1).max(1) as usize)
            }
            Event::Read { producer, low, .. } => oldest[*producer] = oldest[*producer].min(*low),
        }
    }
    Ok(alive)
}

fn run(stages: &[Stage], timing: &Timing, level: usize, before: i64, events: &mut Vec<Event>) {
    let Some(&extent) = timing.extents.get(level) else { return };
    for step in 0..extent as i64 {
        let time = before * extent as i64 + step;
        run(stages, timing, level + 1, time, events);
        for (stage, own) in stages.iter().enumerate().filter(|(stage, _)| timing.levels[*stage] == level) {
            let row = time - timing.delays[stage];
            if row < 0 || row >= own.extent as i64 {
                continue;
            }
            for need in &own.reads {
                let last = stages[need.producer].extent as i64 - 1;
                let (low, high) = (need.stride * row + need.low, need.stride * row + need.high);
                if low <= last && high >= 0 {
                    events.push(Event::Read {
                        producer: need.producer,
                        low: low.max(0),
                        high: high.min(last),
                    });
                }
            }
            events.push(Event::Write { stage, row });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(extent: usize, reads: &[(usize, i64, i64, i64)]) -> Stage {
        let need =
            |&(producer, stride, low, high): &(usize, i64, i64, i64)| Need { producer, stride, low, high };
        Stage { extent, reads: reads.iter().map(need).collect() }
    }

    #[test]
    fn a_chain_of_windows_keeps_as_many_rows_as_a_window_has() {
        let chain = [
            stage(25, &[]),
            stage(25, &[(0, 1, -1, 1)]),
            stage(25, &[(1, 1, 0, 0)]),
            stage(25, &[(2, 1, -1, 1)]),
        ];
        let timing = timing(&chain).unwrap();
        assert_eq!(timing.alive, [3, 1, 3, 1]);
        assert_eq!((timing.extents, timing.delays), (vec![27], vec![0, 1, 1, 2]));
    }

    #[test]
    fn a_stride_runs_its_producer_in_a_loop_of_its_own() {
        // 49 rows of an input, ten of which are read with stride 2, four in front of the first.
        let chain = [stage(49, &[]), stage(25, &[(0, 2, -4, 5)])];
        let timing = timing(&chain).unwrap();
        assert_eq!((timing.alive[0], &timing.levels[..], &timing.extents[1..]), (10, &[1, 0][..], &[2][..]));
    }

    #[test]
    fn what_is_added_again_later_waits_in_a_longer_ring() {
        let residual =
            [stage(32, &[]), stage(32, &[(0, 1, -1, 1)]), stage(32, &[(1, 1, -1, 1), (0, 1, 0, 0)])];
        assert_eq!(timing(&residual).unwrap().alive, [3, 3, 1]);
        let strided = [
            stage(32, &[]),
            stage(16, &[(0, 2, 0, 2)]),
            stage(16, &[(1, 1, -1, 1)]),
            stage(16, &[(0, 2, 0, 0)]),
            stage(16, &[(2, 1, 0, 0), (3, 1, 0, 0)]),
        ];
        assert_eq!(timing(&strided).unwrap().alive, [5, 3, 1, 1, 1]);
    }

    #[test]
    fn stages_that_do_not_meet_have_no_common_time() {
        assert!(timing(&[stage(4, &[]), stage(4, &[])]).is_err());
        let uneven = [stage(16, &[]), stage(8, &[(0, 2, 0, 0)]), stage(8, &[(1, 1, 0, 0), (0, 1, 0, 0)])];
        assert!(timing(&uneven).is_err());
    }
}
