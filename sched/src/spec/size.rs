//! Memory sizes: `--mem=4G` and how tables show them.
//!
//! Only sizes in MiB as Slurm counts memory; bytes of blobs and files are not here. Start at [`Mebibytes`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount of memory in MiB, which Slurm calls MB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mebibytes(pub u64);

/// The largest size that is read, one exbibyte: a thousand such requests still add up without overflow.
pub const MEBIBYTES_MAX: u64 = 1 << 40;

impl FromStr for Mebibytes {
    type Err = SizeError;

    /// Reads `N`, or N with one of `K`, `M`, `G`, `T` and perhaps a `B`, in either case. N alone is MiB; KiB round up.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let form = || SizeError::Form { text: text.to_owned() };
        let scale: fn(u64) -> Option<u64> = match unit.to_ascii_uppercase().as_str() {
            "K" | "KB" => |n| Some(n.div_ceil(1 << 10)),
            "" | "M" | "MB" => Some,
            "G" | "GB" => |n| n.checked_mul(1 << 10),
            "T" | "TB" => |n| n.checked_mul(1 << 20),
            _ => return Err(form()),
        };
        if number.is_empty() {
            return Err(form());
        }
        let size = number.parse().ok().and_then(scale).filter(|size| *size <= MEBIBYTES_MAX);
        size.map(Self).ok_or_else(|| SizeError::TooLarge { text: text.to_owned() })
    }
}

impl fmt::Display for Mebibytes {
    /// Writes the form of `squeue` and `scontrol`: the largest unit that gives a whole or a half number, as in `0`,
    /// `300M`, `2G`, `1.50G`. [seen on Slurm 22.05.8]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0");
        }
        let (mut halves, mut unit) = (u128::from(self.0) * 2, 'M');
        for larger in "GTPE".chars() {
            if halves < 2048 || !halves.is_multiple_of(1024) {
                break;
            }
            (halves, unit) = (halves / 1024, larger);
        }
        let fraction = if halves.is_multiple_of(2) { "" } else { ".50" };
        f.pad(&format!("{}{fraction}{unit}", halves / 2))
    }
}

/// Why a memory size was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// Not a number with a known unit.
    #[error("'{text}' is not a memory size: write a whole number of MB, or one with K, M, G or T, as in 4G")]
    Form {
        /// The text.
        text: String,
    },
    /// More than [`MEBIBYTES_MAX`].
    #[error("the memory size '{text}' is too large: at most {MEBIBYTES_MAX} MB are allowed")]
    TooLarge {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text and `squeue -o %m`, as printed by Slurm 22.05.8.
    #[test]
    fn reads_and_prints_as_slurm_does() {
        let cases = [
            ("0", "0"),
            ("300", "300M"),
            ("300m", "300M"),
            ("1023", "1023M"),
            ("1024", "1G"),
            ("1025", "1025M"),
            ("1100M", "1100M"),
            ("1536", "1.50G"),
            ("2048", "2G"),
            ("2g", "2G"),
            ("2560M", "2.50G"),
            ("4GB", "4G"),
            ("4gb", "4G"),
            ("512MB", "512M"),
            ("1100G", "1100G"),
            ("1574400", "1537.50G"),
            ("1572864", "1.50T"),
            ("4t", "4T"),
            ("10000000", "10000000M"),
            ("1K", "1M"),
            ("1025K", "2M"),
            ("2048K", "2M"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<Mebibytes>().expect(text).to_string(), shown, "{text}");
        }
        assert_eq!(Mebibytes(u64::MAX).to_string(), "18446744073709551615M");
        assert_eq!(Mebibytes(1 << 63).to_string(), "8388608E");
    }

    #[test]
    fn refuses_what_slurm_refuses_and_what_overflows() {
        for text in ["", "G", "-1", "1.5G", "512MiB", "1P", "5B", "2 G", " 2G", "2GG", "2Gx", "2É"] {
            assert!(matches!(text.parse::<Mebibytes>(), Err(SizeError::Form { .. })), "{text}");
        }
        for text in ["1048577T", "18446744073709551615", "99999999999999999999", "18014398509481984G"] {
            assert!(matches!(text.parse::<Mebibytes>(), Err(SizeError::TooLarge { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_shortest_text_comes_back(number in 1..1024u64, unit in "[MGT]") {
            let text = format!("{number}{unit}");
            prop_assert_eq!(text.parse::<Mebibytes>().expect("a size").to_string(), text);
        }

        #[test]
        fn no_text_panics(text in "[0-9]{0,25}[KMGTBkmgtb]{0,3}|\\PC{0,20}", size in any::<u64>()) {
            let _ = (text.parse::<Mebibytes>(), Mebibytes(size).to_string());
        }
    }
}
