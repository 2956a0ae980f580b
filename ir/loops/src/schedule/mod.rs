//! Schedules: how a kernel's loops run, as a text that looks like the nest.
//!
//! Owns the language: its grammar as types, its text (`parse`, `print`), the values of its expressions (`amount`) and the members
//! of a space (`settle`). What a schedule means for a kernel, and whether it can have it, is `lower`'s.
//!
//! ```
//! use nablac_index::DType;
//! use nablac_loops::schedule::{Pin, Schedules, parse};
//!
//! let text = "pin conv {
//!   for i
//!   buffer image as i16
//!   for j step 3
//!   for f step 2
//!   for v, u, c(4) step 48 use smlad
//!   pack weights as i8
//! }";
//! let pin = Pin::new("conv")
//!     .for_("i")
//!     .buffer("image", DType::I16)
//!     .for_("j").step(3)
//!     .for_("f").step(2)
//!     .for_all(&["v", "u", "c"]).padded(4).step(48).using("smlad")
//!     .pack("weights", DType::I8);
//! assert_eq!(parse(text).unwrap(), Schedules::from(pin));
//! ```

use nablac_index::DType;

mod amount;
mod parse;
mod print;
mod settle;

pub use amount::{Amount, Operation};
pub use parse::{parse, parse_file};
pub(crate) use settle::{Machine, settle};

/// Where something stands in a text. Two schedules are the same wherever they stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Which of several files.
    pub file: usize,
    /// From 1; 0 for what was never text.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
}

impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

/// A name with its place.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Name {
    /// The name, without quotes.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name { text: text.into(), place: Place::default() }
    }
}

/// A file of schedules.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Schedules {
    /// In the order of the text.
    pub items: Vec<Item>,
}

/// A top-level item.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A set of schedules.
    Space(Space),
    /// A forced choice.
    Pin(Pin),
    /// Kernels that follow each other and run row by row, in turn.
    Fused(Vec<Name>),
    /// What the result must keep to.
    Goal(Goal),
}

/// `space name for pattern on machine { choices, requirements, lines }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Space {
    /// What pins call it.
    pub name: Name,
    /// The kernels that it is for; `*` stands for any characters.
    pub pattern: Option<Name>,
    /// The machine that it is for.
    pub machine: Option<Name>,
    /// What is open.
    pub choices: Vec<Choice>,
    /// What a member keeps to.
    pub requires: Vec<Require>,
    /// The nest.
    pub lines: Vec<Line>,
}

/// `choose name in low..high`, both ends included, or `choose name divides n`.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// What expressions call it.
    pub name: Name,
    /// Its values.
    pub domain: Domain,
}

/// The values of a choice, smallest first.
#[derive(Clone, PartialEq, Debug)]
pub enum Domain {
    /// From the first to the second.
    Range(Amount, Amount),
    /// All divisors.
    Divides(Amount),
}

/// `require left <= right`.
#[derive(Clone, PartialEq, Debug)]
pub struct Require {
    /// The left side.
    pub left: Amount,
    /// How they compare.
    pub comparison: Comparison,
    /// The right side.
    pub right: Amount,
    /// Where it stands.
    pub place: Place,
}

/// How two sides of a requirement compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterEqual,
    /// `>`
    Greater,
}

/// `pin kernel, … { lines }` or `pin kernel, … : space name { choice = n, … }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pin {
    /// The kernels.
    pub kernels: Vec<Name>,
    /// Their schedule.
    pub how: How,
}

/// Where a pin's schedule comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum How {
    /// It stands there.
    Written(Vec<Line>),
    /// It is the first member of a space with these choices.
    Member {
        /// The space.
        space: Name,
        /// The choices that are forced.
        settings: Vec<(Name, i64)>,
    },
}

/// A line of a nest.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// Loops.
    For(For),
    /// `buffer tensor as type`: a copy of the part that the loops further inside read.
    Buffer(Stored),
    /// `pack tensor as type`: constants in the order in which the nest reads them.
    Pack(Stored),
}

/// `for name(padded), … step n vector n unroll parallel n use instruction`; in a space `unroll?` and `parallel n?` leave it open.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct For {
    /// Several run as one.
    pub axes: Vec<Axis>,
    /// How many iterations are written out together.
    pub step: Option<Amount>,
    /// How many iterations are the lanes of one register.
    pub vector: Option<Amount>,
    /// Whether all iterations are written out.
    pub unroll: bool,
    /// In how many parts the iterations run side by side; `threads` where the text gives no number.
    pub parallel: Option<Amount>,
    /// What of this a member of a space may lack.
    pub open: Vec<Open>,
    /// The instruction that sums products.
    pub instruction: Option<Name>,
    /// Where it stands.
    pub place: Place,
}

/// What a `?` can stand behind. It is a choice of 0 or 1 that is called by the loop and the word: `v.unroll`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// `unroll?`
    Unroll,
    /// `parallel?`
    Parallel,
}

impl Open {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Open::Unroll => "unroll",
            Open::Parallel => "parallel",
        }
    }
}

impl For {
    /// What the choice that a `?` makes is called.
    pub fn choice(&self, open: Open) -> String {
        let name = self.axes.first().map_or("", |axis| &axis.name.text);
        format!("{name}.{}", open.name())
    }
}

/// A loop of the kernel's main statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// Its name there.
    pub name: Name,
    /// The extent that it is padded to.
    pub padded: Option<Amount>,
}

/// A tensor and how it is stored for the nest.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    /// The tensor.
    pub tensor: Name,
    /// The elements' type there.
    pub dtype: DType,
    /// Where it stands.
    pub place: Place,
}

/// `goal ram <= n, flash <= n, then min figure`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Goal {
    /// Bytes of RAM.
    pub ram: Option<u64>,
    /// Bytes of flash.
    pub flash: Option<u64>,
    /// What is as small as it can be within them.
    pub minimize: Option<Figure>,
}

/// What a goal can minimize.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    /// `cycles`
    Cycles,
    /// `ram`
    Ram,
    /// `flash`
    Flash,
}

impl Schedules {
    /// The pins.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.items.iter().filter_map(|item| match item {
            Item::Pin(pin) => Some(pin),
            _ => None,
        })
    }

    /// Kernels that run row by row, in turn.
    pub fn fused(&self) -> impl Iterator<Item = &[Name]> {
        self.items.iter().filter_map(|item| match item {
            Item::Fused(kernels) => Some(&kernels[..]),
            _ => None,
        })
    }

    /// The space called `name`.
    pub fn space(&self, name: &str) -> Option<&Space> {
        self.items.iter().find_map(|item| match item {
            Item::Space(space) if space.name.text == name => Some(space),
            _ => None,
        })
    }

    /// The bounds of all goals together.
    pub fn goal(&self) -> Goal {
        let goals = self.items.iter().filter_map(|item| match item {
            Item::Goal(goal) => Some(goal),
            _ => None,
        });
        let tighter = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        goals.fold(Goal::default(), |all, goal| Goal {
            ram: tighter(all.ram, goal.ram),
            flash: tighter(all.flash, goal.flash),
            minimize: all.minimize.or(goal.minimize),
        })
    }
}

impl From<Pin> for Schedules {
    fn from(pin: Pin) -> Schedules {
        Schedules { items: vec![Item::Pin(pin)] }
    }
}

impl Pin {
    /// A pin with no line yet.
    pub fn new(kernel: &str) -> Pin {
        Pin { kernels: vec![kernel.into()], how: How::Written(vec![]) }
    }

    fn line(mut self, line: Line) -> Pin {
        match &mut self.how {
            How::Written(lines) => lines.push(line),
            How::Member { .. } => self.how = How::Written(vec![line]),
        }
        self
    }

    /// The last loops; a pin that has none yet begins with loops of no name, which no kernel has.
    fn last(&mut self) -> Option<&mut For> {
        let How::Written(lines) = &mut self.how else { return None };
        lines.iter_mut().rev().find_map(|line| match line {
            Line::For(inner) => Some(inner),
            _ => None,
        })
    }

    fn with(mut self, change: impl FnOnce(&mut For)) -> Pin {
        if let Some(inner) = self.last() {
            change(inner);
        }
        self
    }

    /// Adds a loop inside of those that are there.
    pub fn for_(self, name: &str) -> Pin {
        self.for_all(&[name])
    }

    /// Adds loops that run as one.
    pub fn for_all(self, names: &[&str]) -> Pin {
        let axes = names.iter().map(|&name| Axis { name: name.into(), padded: None }).collect();
        self.line(Line::For(For { axes, ..For::default() }))
    }

    /// How many iterations of the last loop are written out together.
    pub fn step(self, step: usize) -> Pin {
        self.with(|inner| inner.step = Some(Amount::from(step)))
    }

    /// The extent that the last loop is padded to.
    pub fn padded(self, extent: usize) -> Pin {
        self.with(|inner| {
            if let Some(axis) = inner.axes.last_mut() {
                axis.padded = Some(Amount::from(extent));
            }
        })
    }

    /// How many iterations of the last loop are the lanes of one register.
    pub fn vector(self, lanes: usize) -> Pin {
        self.with(|inner| inner.vector = Some(Amount::from(lanes)))
    }

    /// Writes all iterations of the last loop out.
    pub fn unroll(self) -> Pin {
        self.with(|inner| inner.unroll = true)
    }

    /// Runs the iterations of the last loop side by side, in as many parts as there are threads.
    pub fn parallel(self) -> Pin {
        self.with(|inner| inner.parallel = Some(Amount::threads()))
    }

    /// The instruction that sums the products of the last loop.
    pub fn using(self, instruction: &str) -> Pin {
        self.with(|inner| inner.instruction = Some(instruction.into()))
    }

    /// A buffer, filled in front of what is inside of the last loop.
    pub fn buffer(self, tensor: &str, dtype: DType) -> Pin {
        self.line(Line::Buffer(Stored { tensor: tensor.into(), dtype, place: Place::default() }))
    }

    /// The type of packed constants.
    pub fn pack(self, tensor: &str, dtype: DType) -> Pin {
        self.line(Line::Pack(Stored { tensor: tensor.into(), dtype, place: Place::default() }))
    }
}
