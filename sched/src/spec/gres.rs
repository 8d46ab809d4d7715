//! Generic resources in words: what a node says it has (`gpu:a100:2,fpga:1`), and what a job asks for (`--gres`, `--gpus`).
//!
//! Only texts and numbers; who holds what is in [`crate::resources`]. Counts take the suffixes k, m and g (1024 times more each).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::Name;

/// The most kinds (name and type) of generic resources on one node, and in one request.
pub const GRES_KINDS_MAX: usize = 8;
/// The most of one kind on one node, and in one request. What comes in larger numbers is counted in a larger unit.
pub const GRES_COUNT_MAX: u32 = u16::MAX as u32;
/// The most devices (GPUs of all types) of one node.
pub const DEVICES_MAX: u32 = 64;
/// The gres whose units are numbered devices.
pub const GPU: &str = "gpu";
/// The longest name or type, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// What a node has of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gres {
    /// Such as `gpu`.
    pub name: Name,
    /// Such as `a100`; empty for none.
    pub kind: Name,
    /// How many, at most [`GRES_COUNT_MAX`].
    pub count: u16,
}

/// What a job asks for of one name, or of one type of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GresAsk {
    /// Such as `gpu`.
    pub name: Name,
    /// Only of this type; `None` takes any.
    pub kind: Option<Name>,
    /// How many, from 1 to [`GRES_COUNT_MAX`].
    pub count: u32,
    /// For what.
    pub per: Per,
}

/// What a count is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Per {
    /// Each node (`--gres`, `--gpus-per-node`).
    Node,
    /// Each process (`--gpus-per-task`).
    Process,
    /// All nodes of a task together (`--gpus`).
    Task,
}

/// Why a text about generic resources was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GresError {
    /// Not of the form that is asked for.
    #[error("'{item}' is no generic resource: write {form}")]
    Form {
        /// The item.
        item: String,
        /// What it should look like.
        form: &'static str,
    },
    /// A number that is too high.
    #[error("'{item}' asks for too many: at most {GRES_COUNT_MAX} of a kind can be counted")]
    Count {
        /// The item.
        item: String,
    },
    /// More kinds than [`GRES_KINDS_MAX`].
    #[error("{0} kinds of generic resources; at most {GRES_KINDS_MAX} are allowed")]
    Kinds(usize),
    /// The same kind twice, or with and without a type.
    #[error("{0} is named twice: name each kind once, and its type everywhere or nowhere")]
    Twice(String),
    /// More GPUs than [`DEVICES_MAX`].
    #[error("{0} GPUs on one node; at most {DEVICES_MAX} are allowed")]
    Devices(u32),
}

impl Gres {
    /// Its name and type: `gpu:a100`.
    #[must_use]
    pub fn label(&self) -> String {
        if self.kind.is_empty() { self.name.to_string() } else { format!("{}:{}", self.name, self.kind) }
    }

    /// Reads what a node has: `name[:type][:count],...`; nothing for nothing.
    ///
    /// # Errors
    /// A bad item, a kind that is named twice, or more than the bounds allow.
    pub fn list(text: &str) -> Result<Vec<Gres>, GresError> {
        let asks = if text.is_empty() { Vec::new() } else { GresAsk::list(text, Per::Node)? };
        let gres = asks.into_iter().map(|ask| Gres {
            name: ask.name,
            kind: ask.kind.unwrap_or_else(|| "".into()),
            count: u16::try_from(ask.count).unwrap_or(u16::MAX),
        });
        Gres::check(gres.collect())
    }

    /// Checks what a node says it has.
    ///
    /// # Errors
    /// As for [`Gres::list`].
    pub fn check(all: Vec<Gres>) -> Result<Vec<Gres>, GresError> {
        for (at, gres) in all.iter().enumerate() {
            if !is_word(&gres.name) || !(gres.kind.is_empty() || is_word(&gres.kind)) {
                return Err(GresError::Form { item: gres.to_string(), form: LIST_FORM });
            }
            if all[..at].iter().any(|other| other.name == gres.name && other.kind == gres.kind) {
                return Err(GresError::Twice(gres.to_string()));
            }
        }
        if all.len() > GRES_KINDS_MAX {
            return Err(GresError::Kinds(all.len()));
        }
        let devices = all.iter().filter(|gres| &*gres.name == GPU).map(|gres| u32::from(gres.count)).sum();
        if devices > DEVICES_MAX { Err(GresError::Devices(devices)) } else { Ok(all) }
    }
}

/// What `--gres` takes.
const LIST_FORM: &str = "NAME[:TYPE][:COUNT],... such as gpu:2 or gpu:a100:1";
/// What `--gpus` takes.
const GPUS_FORM: &str = "[TYPE:]COUNT,... such as 2 or a100:2";

impl GresAsk {
    /// Reads `name[:type][:count],...`, or `none`. What is asked for 0 times is left out.
    ///
    /// # Errors
    /// A bad item, a kind that is named twice, or more than the bounds allow.
    pub fn list(text: &str, per: Per) -> Result<Vec<GresAsk>, GresError> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Vec::new());
        }
        let read = |item: &str| {
            let words: Vec<&str> = item.split(':').collect();
            let (name, kind, number) = match words[..] {
                [name] => (name, None, "1"),
                [name, number] if number.starts_with(|c: char| c.is_ascii_digit()) => (name, None, number),
                [name, kind] => (name, Some(kind), "1"),
                [name, kind, number] => (name, Some(kind), number),
                _ => ("", None, ""),
            };
            ask(item, name, kind, number, per, LIST_FORM)
        };
        collect(text, read)
    }

    /// Reads what `--gpus` and its kin take: `[type:]count,...`.
    ///
    /// # Errors
    /// As for [`GresAsk::list`].
    pub fn gpus(text: &str, per: Per) -> Result<Vec<GresAsk>, GresError> {
        let read = |item: &str| match item.split_once(':') {
            Some((kind, number)) => ask(item, GPU, Some(kind), number, per, GPUS_FORM),
            None => ask(item, GPU, None, item, per, GPUS_FORM),
        };
        collect(text, read)
    }

    /// Checks all that one job asks for.
    ///
    /// # Errors
    /// As for [`GresAsk::list`].
    pub fn check(all: &[GresAsk]) -> Result<(), GresError> {
        if all.len() > GRES_KINDS_MAX {
            return Err(GresError::Kinds(all.len()));
        }
        for (at, ask) in all.iter().enumerate() {
            let item = || ask.to_string();
            if !is_word(&ask.name) || ask.kind.as_ref().is_some_and(|kind| !is_word(kind)) {
                return Err(GresError::Form { item: item(), form: LIST_FORM });
            }
            if !(1..=GRES_COUNT_MAX).contains(&ask.count) {
                return Err(GresError::Count { item: item() });
            }
            let clash = |other: &GresAsk| {
                other.name == ask.name && (other.kind == ask.kind || other.kind.is_none() || ask.kind.is_none())
            };
            if all[..at].iter().any(clash) {
                return Err(GresError::Twice(item()));
            }
        }
        Ok(())
    }

    /// Its name and type: `gpu:a100`.
    #[must_use]
    pub fn label(&self) -> String {
        self.kind.as_ref().map_or_else(|| self.name.to_string(), |kind| format!("{}:{kind}", self.name))
    }

    /// Whether a node's kind serves.
    #[must_use]
    pub fn takes(&self, gres: &Gres) -> bool {
        gres.name == self.name && self.kind.as_ref().is_none_or(|kind| *kind == gres.kind)
    }
}

fn collect(text: &str, read: impl Fn(&str) -> Result<GresAsk, GresError>) -> Result<Vec<GresAsk>, GresError> {
    let all = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    let all: Vec<GresAsk> = all.into_iter().filter(|ask| ask.count > 0).collect();
    GresAsk::check(&all)?;
    Ok(all)
}

fn ask(
    item: &str,
    name: &str,
    kind: Option<&str>,
    number: &str,
    per: Per,
    form: &'static str,
) -> Result<GresAsk, GresError> {
    let bad = || GresError::Form { item: item.to_owned(), form };
    if !is_word(name) || kind.is_some_and(|kind| !is_word(kind)) {
        return Err(bad());
    }
    let (digits, scale) = match number.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&number[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&number[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&number[..at], 1 << 30),
        _ => (number, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let count = digits.parse::<u32>().ok().and_then(|count| count.checked_mul(scale));
    let count = count.filter(|count| *count <= GRES_COUNT_MAX);
    let count = count.ok_or_else(|| GresError::Count { item: item.to_owned() })?;
    Ok(GresAsk { name: name.into(), kind: kind.map(Into::into), count, per })
}

/// A name or type: it has a letter, so that it cannot be mistaken for a count.
fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    text.len() <= WORD_BYTES_MAX && text.bytes().all(fits) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// As in a sentence: `2 gpu for each process`.
impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Per::Node => "on each node",
            Per::Process => "for each process",
            Per::Task => "in all",
        })
    }
}

/// `gpu:a100:2`.
impl fmt::Display for Gres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.label(), self.count)
    }
}

/// `gpu:a100:2`.
impl fmt::Display for GresAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.label(), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(asks: Result<Vec<GresAsk>, GresError>) -> String {
        asks.expect("good").iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_is_asked_for_reads_as_slurm_reads_it() {
        for (text, all) in [
            ("gpu", "gpu:1"),
            ("gpu:2", "gpu:2"),
            ("gpu:a100", "gpu:a100:1"),
            ("gpu:a100:2,gpu:v100:1,scratch:1k", "gpu:a100:2,gpu:v100:1,scratch:1024"),
            ("gpu:0,fpga:1", "fpga:1"),
            ("none", ""),
        ] {
            assert_eq!(shown(GresAsk::list(text, Per::Node)), all, "{text}");
        }
        assert_eq!(shown(GresAsk::gpus("2", Per::Task)), "gpu:2");
        assert_eq!(shown(GresAsk::gpus("a100:2,3g.20gb:1", Per::Node)), "gpu:a100:2,gpu:3g.20gb:1");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["", ",", "gpu:", "gpu:a:b", "gpu:a:1:2", "gpu:-1", ":1", "gpu::1", "g pu", "gpu:1x", "7"] {
            assert!(matches!(GresAsk::list(text, Per::Node), Err(GresError::Form { .. })), "{text}");
        }
        for text in ["", "a100", "a100:", "-1", ":2"] {
            assert!(matches!(GresAsk::gpus(text, Per::Task), Err(GresError::Form { .. })), "{text}");
        }
        for text in ["x:65536", "x:1g", "x:99999999999"] {
            assert!(matches!(GresAsk::list(text, Per::Node), Err(GresError::Count { .. })), "{text}");
        }
        for text in ["gpu:1,gpu:2", "gpu:a:1,gpu:1", "gpu:a:1,gpu:a:1"] {
            assert!(matches!(GresAsk::list(text, Per::Node), Err(GresError::Twice(_))), "{text}");
        }
        assert_eq!(GresAsk::list("a,b,c,d,e,f,g,h,i", Per::Node), Err(GresError::Kinds(9)));
        assert_eq!(Gres::list("gpu:a:60,gpu:b:5"), Err(GresError::Devices(65)));
        assert_eq!(Gres::list("gpu:a:60,fpga:70").expect("only GPUs are devices").len(), 2);
    }
}
