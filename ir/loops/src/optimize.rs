//! What code is to be.

/// What code is to be. Whatever it is, it computes the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Optimize {
    /// Fast.
    #[default]
    Time,
    /// Small.
    Size,
    /// In little memory.
    Ram,
}

impl Optimize {
    /// Every goal.
    pub const ALL: &[Optimize] = &[Optimize::Time, Optimize::Size, Optimize::Ram];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Optimize::Time => "time",
            Optimize::Size => "size",
            Optimize::Ram => "ram",
        }
    }

    /// The goal called `name`.
    pub fn from_name(name: &str) -> Option<Optimize> {
        Optimize::ALL.iter().copied().find(|goal| goal.name() == name)
    }
}
