//! The states of nodes in Slurm's words: sinfo's long and short ones, scontrol's with all flags, and what `-t` takes.
//!
//! sinfo shows one word, the strongest: drain before fail before the base state. Start at [`words`].

use proto::v1::{NodeRow, NodeState};

/// Words for states that Slurm has and Covey's nodes never get; asking for them finds nothing.
const OTHERS: [&str; 26] = [
    "blocked",
    "cloud",
    "external",
    "future",
    "futr",
    "inval",
    "maint",
    "npc",
    "perfctrs",
    "planned",
    "plnd",
    "pow_dn",
    "pow_up",
    "power_down",
    "power_up",
    "powered_down",
    "powering_down",
    "powering_up",
    "reboot",
    "reboot^",
    "reboot_issued",
    "reboot_requested",
    "reserved",
    "resv",
    "unk",
    "unknown",
];

/// The long and the short word of sinfo's tables, without the star of a node that does not respond.
pub(crate) fn words(row: &NodeRow) -> (&'static str, &'static str) {
    let busy = row.completing || matches!(row.state(), NodeState::Mixed | NodeState::Allocated);
    match (row.drain, row.fail, busy) {
        (true, _, true) => ("draining", "drng"),
        (true, _, false) => ("drained", "drain"),
        (false, true, true) => ("failing", "failg"),
        (false, true, false) => ("fail", "fail"),
        (false, false, _) if row.completing && row.state() != NodeState::Down => ("completing", "comp"),
        (false, false, _) => base(row.state()),
    }
}

fn base(state: NodeState) -> (&'static str, &'static str) {
    match state {
        NodeState::Unspecified => ("unknown", "unk"),
        NodeState::Idle => ("idle", "idle"),
        NodeState::Mixed => ("mixed", "mix"),
        NodeState::Allocated => ("allocated", "alloc"),
        NodeState::Down => ("down", "down"),
    }
}

/// scontrol's word: the base state and every flag.
pub(crate) fn joined(row: &NodeRow) -> String {
    let flags =
        [("DRAIN", row.drain), ("FAIL", row.fail), ("COMPLETING", row.completing), ("NOT_RESPONDING", !row.responds)];
    let set = flags.iter().filter(|(_, set)| *set).map(|(flag, _)| *flag);
    std::iter::once(base(row.state()).0.to_uppercase().as_str()).chain(set).collect::<Vec<_>>().join("+")
}

/// The words of `-t` that mean something here.
const KNOWN: [&str; 17] = [
    "all",
    "alloc",
    "allocated",
    "comp",
    "completing",
    "down",
    "drain",
    "drained",
    "draining",
    "drng",
    "fail",
    "failg",
    "failing",
    "idle",
    "mix",
    "mixed",
    "no_respond",
];

/// Every word that `-t` knows.
pub(super) fn every_word() -> impl Iterator<Item = &'static str> {
    KNOWN.into_iter().chain(OTHERS)
}

/// Whether `-t` knows this word, in small letters.
fn is_known(word: &str) -> bool {
    KNOWN.contains(&word) || OTHERS.contains(&word)
}

/// What `-t` asks for: any of the terms between commas, each of words that all have to be true, with `&` or `+` between them
/// and `~` or `!` before what must not be.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Vec<Vec<(String, bool)>>);

impl Asked {
    /// Reads the list.
    ///
    /// # Errors
    /// The first word that is no state.
    pub(super) fn read(list: &str) -> Result<Asked, String> {
        let word = |word: &str| {
            let bare = word.trim_start_matches(['~', '!']).to_ascii_lowercase();
            if is_known(&bare) { Ok((bare.clone(), bare.len() == word.len())) } else { Err(word.to_owned()) }
        };
        let term = |term: String| term.split(['&', '+']).map(word).collect();
        Ok(Asked(crate::show::items(list).into_iter().map(term).collect::<Result<_, _>>()?))
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the node is meant. Beside other words, the word of a base state means it whatever the flags are.
    pub(super) fn takes(&self, row: &NodeRow) -> bool {
        let has_base = |word: &str| {
            let (long, short) = base(row.state());
            word == long || word == short
        };
        let is = |word: &str, alone: bool| is_meant(word, row) || (!alone && has_base(word));
        let term =
            |words: &Vec<(String, bool)>| words.iter().all(|(word, wanted)| is(word, words.len() == 1) == *wanted);
        self.0.is_empty() || self.0.iter().any(term)
    }
}

/// Whether a word of `-t` means this node: its own words, `drain` and `fail` for both of their kinds, and any flag.
fn is_meant(word: &str, row: &NodeRow) -> bool {
    let (long, short) = words(row);
    match word {
        "all" => true,
        "no_respond" => !row.responds,
        "drain" => row.drain,
        "fail" => row.fail,
        "down" => row.state() == NodeState::Down,
        "comp" | "completing" => row.completing,
        word => word == long || word == short,
    }
}

/// Whether something keeps the node from work, as `-R` lists it.
pub(super) fn is_out(row: &NodeRow) -> bool {
    row.drain || row.fail || row.state() == NodeState::Down
}

/// Whether what is free of a node counts under O. As in Slurm, a node that is marked as failing does not.
pub(super) fn is_other(row: &NodeRow) -> bool {
    row.drain || row.state() == NodeState::Down
}

/// How a node counts in `A/I/O/T`: as Slurm counts, with what still runs on a draining node under A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Allocated,
    Idle,
    Other,
}

pub(super) fn counts_as(row: &NodeRow) -> Count {
    match row.state() {
        NodeState::Mixed | NodeState::Allocated => Count::Allocated,
        _ if row.completing => Count::Allocated,
        _ if is_other(row) => Count::Other,
        NodeState::Idle | NodeState::Down | NodeState::Unspecified => Count::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: NodeState, flags: &str) -> NodeRow {
        let set = |flag: char| flags.contains(flag);
        NodeRow {
            state: state.into(),
            drain: set('d'),
            fail: set('f'),
            completing: set('c'),
            responds: !set('*'),
            ..NodeRow::default()
        }
    }

    #[test]
    fn the_strongest_word_is_shown_and_every_flag_joined() {
        use NodeState::{Allocated, Down, Idle, Mixed};
        for (state, flags, long, short, all, count) in [
            (Idle, "", "idle", "idle", "IDLE", Count::Idle),
            (Idle, "d", "drained", "drain", "IDLE+DRAIN", Count::Other),
            (Mixed, "d", "draining", "drng", "MIXED+DRAIN", Count::Allocated),
            (Down, "d*", "drained", "drain", "DOWN+DRAIN+NOT_RESPONDING", Count::Other),
            (Idle, "f", "fail", "fail", "IDLE+FAIL", Count::Idle),
            (Allocated, "f", "failing", "failg", "ALLOCATED+FAIL", Count::Allocated),
            (Mixed, "c", "completing", "comp", "MIXED+COMPLETING", Count::Allocated),
            (Down, "c", "down", "down", "DOWN+COMPLETING", Count::Allocated),
            (Mixed, "*", "mixed", "mix", "MIXED+NOT_RESPONDING", Count::Allocated),
            (Down, "*", "down", "down", "DOWN+NOT_RESPONDING", Count::Other),
        ] {
            let row = row(state, flags);
            assert_eq!((words(&row), joined(&row), counts_as(&row)), ((long, short), all.to_owned(), count), "{flags}");
            assert!(is_known(long) && is_known(short) && is_meant(long, &row), "{long}");
        }
        assert!(is_meant("drain", &row(Mixed, "d")) && !is_meant("mix", &row(Mixed, "d")));
        for (list, state, flags, taken) in [
            ("mixed&drain", Mixed, "d", true),
            ("MIX+Drain", Mixed, "", false),
            ("~drain", Idle, "d", false),
            ("~drain", Idle, "", true),
            ("idle&~no_respond,down", Idle, "*", false),
            ("idle&~no_respond,down", Down, "*", true),
            ("idle", Idle, "d", false),
            ("powered_down,resv", Idle, "", false),
            ("", Down, "d", true),
        ] {
            let asked = Asked::read(list).expect("known states");
            assert_eq!(asked.takes(&row(state, flags)), taken, "{list} {flags}");
        }
        assert_eq!(Asked::read("idle,mix&bogus").map(|_| ()), Err("bogus".into()));
        assert!(is_out(&row(Idle, "f")) && is_out(&row(Down, "")) && !is_out(&row(Idle, "*")));
    }
}
