//! Sizes as Slurm prints them: the largest unit that divides exactly, the unit that was asked for, or as they were counted.

use std::str::FromStr;

/// The letters behind sizes, each 1024 times the one before; the first is for none.
const LETTERS: [&str; 6] = ["", "K", "M", "G", "T", "P"];

/// How sizes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The largest unit without a remainder.
    #[default]
    Exact,
    /// The unit in which it was counted: `--noconvert`.
    Counted,
    /// Always this one: so many times 1024.
    Fixed(usize),
}

impl FromStr for Unit {
    type Err = ();

    fn from_str(text: &str) -> Result<Unit, ()> {
        let known = |letter: &&str| !letter.is_empty() && letter.eq_ignore_ascii_case(text);
        LETTERS.iter().position(known).map(Unit::Fixed).ok_or(())
    }
}

impl Unit {
    /// A size that was counted in units of 1024 to the power of `counted`.
    pub(crate) fn text(self, size: u64, counted: usize) -> String {
        let (mut size, mut at) = (size, counted);
        match self {
            Unit::Counted => {}
            Unit::Exact => {
                while size > 0 && size.is_multiple_of(1024) && at + 1 < LETTERS.len() {
                    (size, at) = (size / 1024, at + 1);
                }
            }
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_wrap,
                reason = "two digits are shown, and there are six units"
            )]
            Unit::Fixed(wanted) => {
                let scaled = size as f64 * 1024_f64.powi(counted as i32 - wanted as i32);
                let digits = if scaled.fract() == 0.0 { 0 } else { 2 };
                return format!("{scaled:.digits$}{}", LETTERS[wanted]);
            }
        }
        format!("{size}{}", if size == 0 { "" } else { LETTERS[at] })
    }
}
