//! The schedule of one kernel: a pin's own lines, or the first member of its space.
//!
//! A space's members are ordered as its choices stand in the text, the last one changing fastest, each from its smallest value up.
//! What a pin leaves open is taken from the first member that keeps to every requirement. What a line's `?` leaves open is a choice behind
//! those that have names, without first.

use std::collections::BTreeMap;

use super::amount::THREADS;
use super::{
    Amount, Choice, Comparison, Domain, How, Line, Name, Open, Pin, Place, Require, Schedules, Space,
};
use crate::error::Error;

/// The most members of a space that are looked at.
const MOST_MEMBERS: usize = 1_000_000;

/// What expressions can ask of a machine and a kernel.
pub(crate) struct Machine<'a> {
    /// What `on` is compared with.
    pub name: &'a str,
    /// `regs.general`.
    pub general_registers: usize,
    /// `regs.float`.
    pub float_registers: usize,
    /// `threads`.
    pub threads: usize,
    /// The extents of the kernel's loops, by name.
    pub extents: BTreeMap<&'a str, usize>,
}

/// The lines of a pin for one of its kernels, with integers for all amounts.
pub(crate) fn settle(
    schedules: &Schedules,
    pin: &Pin,
    kernel: &Name,
    machine: &Machine,
) -> Result<Vec<Line>, Error> {
    let (lines, values) = match &pin.how {
        How::Written(lines) => (decided(lines)?, BTreeMap::new()),
        How::Member { space, settings } => {
            let Some(found) = schedules.space(&space.text) else {
                return Err(Error::schedule(space.place, format!("there is no space `{}`", space.text)));
            };
            fits(found, space, kernel, machine)?;
            (&found.lines[..], Members::new(found, settings, machine)?.first(space.place)?)
        }
    };
    lines.iter().map(|line| settled(line, &values, machine)).collect()
}

/// A pin's own lines, which leave nothing open.
fn decided(lines: &[Line]) -> Result<&[Line], Error> {
    let open = lines.iter().find_map(|line| match line {
        Line::For(loops) => loops.open.first().map(|open| (loops.place, open)),
        _ => None,
    });
    match open {
        None => Ok(lines),
        Some((place, open)) => {
            let word = open.name();
            let message =
                format!("`{word}?` is for a space, whose members differ: say `{word}`, or leave it out");
            Err(Error::schedule(place, message))
        }
    }
}

/// The choices of a space: those that it names, and those of its lines.
fn choices(space: &Space) -> Vec<Choice> {
    let mut all = space.choices.clone();
    for line in &space.lines {
        let Line::For(loops) = line else { continue };
        all.extend(loops.open.iter().map(|&open| Choice {
            name: Name { text: loops.choice(open), place: loops.place },
            domain: Domain::Range(Amount::Integer(0), Amount::Integer(1)),
        }));
    }
    all
}

/// Whether a space is for this kernel on this machine.
fn fits(space: &Space, named: &Name, kernel: &Name, machine: &Machine) -> Result<(), Error> {
    if let Some(own) = space.machine.as_ref().filter(|own| own.text != machine.name) {
        let message = format!(
            "the space `{}` is for `{}`, and the target is `{}`",
            space.name.text, own.text, machine.name
        );
        return Err(Error::schedule(named.place, message));
    }
    if let Some(pattern) = space.pattern.as_ref().filter(|pattern| !matches(&pattern.text, &kernel.text)) {
        let message = format!(
            "the space `{}` is for kernels called `{}`, and not for `{}`",
            space.name.text, pattern.text, kernel.text
        );
        return Err(Error::schedule(named.place, message));
    }
    Ok(())
}

/// Whether `name` is as `pattern` says, where `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

type Values = BTreeMap<String, i64>;

/// A space with what is forced.
struct Members<'a> {
    space: &'a Space,
    choices: Vec<Choice>,
    domains: Vec<Vec<i64>>,
    machine: &'a Machine<'a>,
}

impl<'a> Members<'a> {
    fn new(space: &'a Space, settings: &[(Name, i64)], machine: &'a Machine) -> Result<Members<'a>, Error> {
        let choices = choices(space);
        for (position, choice) in choices.iter().enumerate() {
            if choices[..position].iter().any(|other| other.name == choice.name) {
                return Err(Error::schedule(
                    choice.name.place,
                    format!("`{}` is chosen twice", choice.name.text),
                ));
            }
        }
        let mut domains: Vec<Vec<i64>> =
            choices.iter().map(|choice| domain(choice, machine)).collect::<Result<_, _>>()?;
        for (name, value) in settings {
            let Some(position) = choices.iter().position(|choice| choice.name == *name) else {
                let message = format!("the space `{}` has no choice `{}`", space.name.text, name.text);
                return Err(Error::schedule(name.place, message));
            };
            if !domains[position].contains(value) {
                let message = format!("`{}` cannot be {value}: `choose {}`", name.text, choices[position]);
                return Err(Error::schedule(name.place, message));
            }
            domains[position] = vec![*value];
        }
        let members = domains.iter().try_fold(1usize, |n, domain| n.checked_mul(domain.len()));
        if members.is_none_or(|n| n > MOST_MEMBERS) {
            let message = format!("the space `{}` has more than {MOST_MEMBERS} members", space.name.text);
            return Err(Error::schedule(space.name.place, message));
        }
        Ok(Members { space, choices, domains, machine })
    }

    /// The first member that keeps to every requirement.
    fn first(&self, pin: Place) -> Result<Values, Error> {
        let all: Vec<&Require> = self.space.requires.iter().collect();
        match self.find(&all)? {
            Some(values) => Ok(values),
            None => Err(self.empty(all, pin)?),
        }
    }

    fn find(&self, requires: &[&Require]) -> Result<Option<Values>, Error> {
        let count: usize = self.domains.iter().map(Vec::len).product();
        for number in 0..count {
            let mut rest = number;
            let mut values = Values::new();
            for (choice, domain) in self.choices.iter().zip(&self.domains).rev() {
                values.insert(choice.name.text.clone(), domain[rest % domain.len()]);
                rest /= domain.len();
            }
            let mut holds = true;
            for require in requires {
                holds = holds && self.holds(require, &values)?;
            }
            if holds {
                return Ok(Some(values));
            }
        }
        Ok(None)
    }

    fn holds(&self, require: &Require, values: &Values) -> Result<bool, Error> {
        let of = |name: &Name| value_of(name, values, self.machine);
        let (Some(a), Some(b)) = (require.left.value(&of)?, require.right.value(&of)?) else {
            return Ok(false);
        };
        Ok(match require.comparison {
            Comparison::Less => a < b,
            Comparison::LessEqual => a <= b,
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::GreaterEqual => a >= b,
            Comparison::Greater => a > b,
        })
    }

    /// A space without members: the fewest requirements that already leave none.
    fn empty(&self, mut conflicting: Vec<&Require>, pin: Place) -> Result<Error, Error> {
        let name = &self.space.name.text;
        let mut position = 0;
        while position < conflicting.len() {
            let mut fewer = conflicting.clone();
            fewer.remove(position);
            match self.find(&fewer)? {
                Some(_) => position += 1,
                None => conflicting = fewer,
            }
        }
        let lines: Vec<String> = conflicting.iter().map(|r| format!("`require {r}`")).collect();
        Ok(match (&conflicting[..], &lines[..]) {
            ([], _) => {
                Error::schedule(pin, format!("the space `{name}` has no member: a choice has no value"))
            }
            ([one], [line]) => {
                Error::schedule(one.place, format!("the space `{name}` has no member: none keeps to {line}"))
            }
            ([first, ..], _) => {
                let message =
                    format!("the space `{name}` has no member: these conflict: {}", lines.join(", "));
                Error::schedule(first.place, message)
            }
        })
    }
}

/// The values of a choice, which depend on the machine and the kernel only.
fn domain(choice: &Choice, machine: &Machine) -> Result<Vec<i64>, Error> {
    let value = |amount: &Amount| {
        let of = |name: &Name| value_of(name, &Values::new(), machine);
        amount
            .value(&of)?
            .ok_or_else(|| Error::schedule(choice.name.place, format!("`{amount}` has no value of 64 bits")))
    };
    let large = || {
        let message = format!("`{}` has more than {MOST_MEMBERS} values", choice.name.text);
        Error::schedule(choice.name.place, message)
    };
    match &choice.domain {
        Domain::Range(low, high) => {
            let (low, high) = (value(low)?, value(high)?);
            let count = high.checked_sub(low).ok_or_else(large)?;
            if count >= MOST_MEMBERS as i64 { Err(large()) } else { Ok((low..=high).collect()) }
        }
        Domain::Divides(amount) => {
            let n = value(amount)?;
            if n > MOST_MEMBERS as i64 { Err(large()) } else { Ok((1..=n).filter(|d| n % d == 0).collect()) }
        }
    }
}

/// The value of a name: a choice, a register count or a loop's extent.
fn value_of(name: &Name, values: &Values, machine: &Machine) -> Result<i64, Error> {
    let extent = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    if let Some(value) = values.get(name.text.as_str()) {
        return Ok(*value);
    }
    match name.text.as_str() {
        "regs.general" => Ok(extent(machine.general_registers)),
        "regs.float" => Ok(extent(machine.float_registers)),
        THREADS => Ok(extent(machine.threads)),
        text => machine.extents.get(text).copied().map(extent).ok_or_else(|| {
            let known: Vec<&str> =
                values.keys().map(String::as_str).chain(machine.extents.keys().copied()).collect();
            let message = format!(
                "`{text}` has no value here; these have: {}, regs.general, regs.float, threads",
                known.join(", ")
            );
            Error::schedule(name.place, message)
        }),
    }
}

/// A line with integers for its amounts.
fn settled(line: &Line, values: &Values, machine: &Machine) -> Result<Line, Error> {
    let Line::For(loops) = line else { return Ok(line.clone()) };
    let place = loops.place;
    let settle = |amount: &Amount| -> Result<Amount, Error> {
        let value = amount.value(&|name| value_of(name, values, machine))?;
        let value = value.filter(|&value| value >= 1);
        value
            .map(Amount::Integer)
            .ok_or_else(|| Error::schedule(place, format!("`{amount}` must be an integer from 1 on")))
    };
    let mut loops = loops.clone();
    for open in std::mem::take(&mut loops.open) {
        let lacks = values.get(&loops.choice(open)) == Some(&0);
        match open {
            Open::Unroll => loops.unroll &= !lacks,
            Open::Parallel => loops.parallel = loops.parallel.take().filter(|_| !lacks),
        }
    }
    let padded = loops.axes.iter_mut().filter_map(|axis| axis.padded.as_mut());
    for amount in loops.step.iter_mut().chain(&mut loops.vector).chain(&mut loops.parallel).chain(padded) {
        *amount = settle(amount)?;
    }
    Ok(Line::For(loops))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, fits) in [
            ("conv", "conv", true),
            ("conv", "conv_1", false),
            ("conv*", "conv_1", true),
            ("*_1", "conv_1", true),
            ("c*v*1", "conv_1", true),
            ("c*x*1", "conv_1", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
