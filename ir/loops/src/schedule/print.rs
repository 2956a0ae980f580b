//! Schedules to text: the inverse of `parse`.

use std::fmt::{self, Display, Formatter};

use nablac_index::lexer::name_text;

use super::{Amount, Choice, Comparison, Domain, Figure, For, Goal, How, Item, Line, Name, Operation};
use super::{Open, Pin, Require, Schedules, Space, Stored};

/// Words that stand for themselves only in quotes.
pub(super) const KEYWORDS: &[&str] = &[
    "as", "buffer", "choose", "divides", "for", "goal", "in", "min", "on", "pack", "parallel", "pin",
    "require", "space", "step", "then", "unroll", "use", "vector",
];

impl Comparison {
    /// Every comparison with its sign.
    pub(super) const ALL: &[(Comparison, &str)] = &[
        (Comparison::LessEqual, "<="),
        (Comparison::GreaterEqual, ">="),
        (Comparison::Equal, "=="),
        (Comparison::NotEqual, "!="),
        (Comparison::Less, "<"),
        (Comparison::Greater, ">"),
    ];
}

impl Figure {
    /// Every figure with its name.
    pub(super) const ALL: &[(Figure, &str)] =
        &[(Figure::Cycles, "cycles"), (Figure::Ram, "ram"), (Figure::Flash, "flash")];
}

/// What a table of signs calls `item`.
fn sign<T: PartialEq>(table: &[(T, &'static str)], item: &T) -> &'static str {
    table.iter().find(|(entry, _)| entry == item).map_or("", |(_, sign)| sign)
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&name_text(&self.text, KEYWORDS))
    }
}

impl Display for Schedules {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for (position, item) in self.items.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{item}")?;
        }
        Ok(())
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Item::Space(space) => space.fmt(f),
            Item::Pin(pin) => pin.fmt(f),
            Item::Fused(kernels) => {
                let kernels: Vec<String> = kernels.iter().map(Name::to_string).collect();
                write!(f, "pin {} : fuse rows", kernels.join(", "))
            }
            Item::Goal(goal) => goal.fmt(f),
        }
    }
}

impl Display for Space {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "space {}", self.name)?;
        if let Some(pattern) = &self.pattern {
            write!(f, " for {pattern}")?;
        }
        if let Some(machine) = &self.machine {
            write!(f, " on {}", machine_text(machine))?;
        }
        writeln!(f, " {{")?;
        for choice in &self.choices {
            writeln!(f, "  choose {choice}")?;
        }
        for require in &self.requires {
            writeln!(f, "  require {require}")?;
        }
        lines(f, &self.lines)?;
        write!(f, "}}")
    }
}

/// A machine's name, bare where its parts between hyphens are names or digits.
fn machine_text(machine: &Name) -> String {
    let bare = |(position, part): (usize, &str)| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        name_text(part, if position == 0 { KEYWORDS } else { &[] }) == part || position > 0 && digits
    };
    if machine.text.split('-').enumerate().all(bare) { machine.text.clone() } else { machine.to_string() }
}

fn lines(f: &mut Formatter, lines: &[Line]) -> fmt::Result {
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}

impl Display for Choice {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.domain {
            Domain::Range(low, high) => write!(f, "{} in {low}..{high}", self.name),
            Domain::Divides(amount) => write!(f, "{} divides {amount}", self.name),
        }
    }
}

impl Display for Require {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{} {} {}", self.left, sign(Comparison::ALL, &self.comparison), self.right)
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Amount::Integer(value) => value.fmt(f),
            Amount::Name(name) => name.fmt(f),
            Amount::Binary(operation, sides) => {
                side(f, &sides.0, operation.is_product(), false)?;
                write!(f, " {} ", sign(Operation::ALL, operation))?;
                side(f, &sides.1, operation.is_product(), true)
            }
        }
    }
}

/// One side of an operation, in parentheses where it would be read otherwise.
fn side(f: &mut Formatter, amount: &Amount, in_product: bool, is_right: bool) -> fmt::Result {
    let looser = match amount {
        Amount::Binary(own, _) => {
            !own.is_product() && in_product || is_right && own.is_product() == in_product
        }
        _ => false,
    };
    if looser { write!(f, "({amount})") } else { amount.fmt(f) }
}

impl Display for Pin {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let kernels: Vec<String> = self.kernels.iter().map(Name::to_string).collect();
        write!(f, "pin {}", kernels.join(", "))?;
        match &self.how {
            How::Written(own) => {
                writeln!(f, " {{")?;
                lines(f, own)?;
                write!(f, "}}")
            }
            How::Member { space, settings } => {
                write!(f, " : space {space}")?;
                let settings: Vec<String> =
                    settings.iter().map(|(name, n)| format!("{name} = {n}")).collect();
                if settings.is_empty() { Ok(()) } else { write!(f, " {{ {} }}", settings.join(", ")) }
            }
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Line::For(loops) => loops.fmt(f),
            Line::Buffer(stored) => write!(f, "buffer {stored}"),
            Line::Pack(stored) => write!(f, "pack {stored}"),
        }
    }
}

impl Display for Stored {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{} as {}", self.tensor, self.dtype.name())
    }
}

impl Display for For {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for (position, axis) in self.axes.iter().enumerate() {
            write!(f, "{}{}", if position == 0 { "for " } else { ", " }, axis.name)?;
            if let Some(padded) = &axis.padded {
                write!(f, "({padded})")?;
            }
        }
        if let Some(step) = &self.step {
            write!(f, " step {step}")?;
        }
        if let Some(lanes) = &self.vector {
            write!(f, " vector {lanes}")?;
        }
        let maybe = |open: Open| if self.open.contains(&open) { "?" } else { "" };
        if self.unroll {
            write!(f, " unroll{}", maybe(Open::Unroll))?;
        }
        match &self.parallel {
            Some(parts) if *parts == Amount::threads() => write!(f, " parallel{}", maybe(Open::Parallel))?,
            Some(parts) => write!(f, " parallel {parts}{}", maybe(Open::Parallel))?,
            None => {}
        }
        self.instruction.iter().try_for_each(|name| write!(f, " use {name}"))
    }
}

impl Display for Goal {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let bound = |name: &str, bytes: Option<u64>| bytes.map(|n| format!("{name} <= {}", size(n)));
        let minimize = self.minimize.map(|figure| format!("min {}", sign(Figure::ALL, &figure)));
        let bounds: Vec<String> =
            bound("ram", self.ram).into_iter().chain(bound("flash", self.flash)).collect();
        let then = minimize.map(|text| if bounds.is_empty() { text } else { format!("then {text}") });
        write!(f, "goal {}", bounds.into_iter().chain(then).collect::<Vec<_>>().join(", "))
    }
}

/// A size in its largest whole unit.
fn size(bytes: u64) -> String {
    match bytes {
        n if n > 0 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n > 0 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n}"),
    }
}
