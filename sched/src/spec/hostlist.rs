//! Lists of host names in Slurm's short form: `n[1-3,08-11],login`.
//!
//! Only names and numbers: whether such a node exists is not known here, and neither is the order of a node table.
//! Start at [`expand`] and [`compress`], each other's inverse.

use thiserror::Error;

/// The most hosts that one list may name (Slurm's own limit for a range); a longer list is refused before it is spelled
/// out.
pub const HOSTS_MAX: usize = 65_536;

/// Spells out a list. Commas and blanks separate, order and repetition are kept, several brackets in a name multiply
/// (`a[1-2]b[3-4]` is `a1b3 a1b4 a2b3 a2b4`), and a range has the zero padding of its first number.
///
/// # Errors
/// When a bracket is open or holds anything but ranges of numbers, or when the list names more than [`HOSTS_MAX`] hosts.
pub fn expand(list: &str) -> Result<Vec<String>, HostlistError> {
    let mut hosts = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (name, after) = split_name(rest);
        rest = after;
        if !name.is_empty() {
            hosts.extend(expand_name(name, HOSTS_MAX - hosts.len())?);
        }
    }
    Ok(hosts)
}

/// Splits at the first separator that is not inside of brackets.
fn split_name(list: &str) -> (&str, &str) {
    let mut inside = false;
    for (at, c) in list.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside && (c == ',' || c.is_whitespace()) => {
                return (&list[..at], &list[at + c.len_utf8()..]);
            }
            _ => {}
        }
    }
    (list, "")
}

/// Spells out one name, bracket by bracket from the left.
fn expand_name(name: &str, hosts_max: usize) -> Result<Vec<String>, HostlistError> {
    let mut hosts = vec![String::new()];
    let mut rest = name;
    loop {
        let (literal, bracket) = rest.split_once('[').map_or((rest, None), |(literal, rest)| (literal, Some(rest)));
        if literal.contains(']') {
            return Err(HostlistError::Bracket { name: name.to_owned() });
        }
        hosts.iter_mut().for_each(|host| host.push_str(literal));
        let Some(bracket) = bracket else { break };
        let (ranges, after) =
            bracket.split_once(']').ok_or_else(|| HostlistError::Bracket { name: name.to_owned() })?;
        hosts = multiply(&hosts, &read_ranges(ranges)?, hosts_max)?;
        rest = after;
    }
    if hosts.len() > hosts_max {
        return Err(HostlistError::TooMany);
    }
    Ok(hosts)
}

/// Follows each host by each number.
fn multiply(hosts: &[String], ranges: &[Range], hosts_max: usize) -> Result<Vec<String>, HostlistError> {
    let room = u64::try_from(hosts_max / hosts.len()).unwrap_or(u64::MAX);
    let numbers =
        ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.last - range.first).saturating_add(1));
    if numbers > room {
        return Err(HostlistError::TooMany);
    }
    let numbers = || ranges.iter().flat_map(|range| (range.first..=range.last).map(|number| (number, range.width)));
    let followed = |host| numbers().map(move |(number, width)| format!("{host}{number:0width$}"));
    Ok(hosts.iter().flat_map(followed).collect())
}

/// Consecutive numbers, all padded to the width of the first.
struct Range {
    first: u64,
    last: u64,
    width: usize,
}

impl Range {
    /// A number of its own, if it is one: nothing but digits, and not so many that they would not fit.
    fn single(text: &str) -> Option<Self> {
        let digits = text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
        let first = digits.then(|| text.parse().ok()).flatten()?;
        Some(Self { first, last: first, width: text.len() })
    }

    /// Grows by `next` if it is the successor and is written as this range would write it.
    fn extend(&mut self, next: &Range) -> bool {
        let width = self.width;
        let follows = next.first == self.last + 1 && format!("{:0width$}", next.first).len() == next.width;
        if follows {
            self.last = next.first;
        }
        follows
    }
}

/// The longest run of digits that is taken for a number: any such number, and the one after it, fits in 64 bits.
const DIGITS_MAX: usize = 18;

fn read_ranges(text: &str) -> Result<Vec<Range>, HostlistError> {
    let read = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (Range::single(first)?, Range::single(last)?);
        (first.first <= last.first).then_some(Range { last: last.first, ..first })
    };
    let read = |item: &str| read(item).ok_or_else(|| HostlistError::Range { range: item.to_owned() });
    text.split(',').map(read).collect()
}

/// Shortens a list without changing order or repetition: neighbours that differ only in their last number share a
/// bracket, so that `n3,n1,n2,m05` becomes `n[3,1-2],m05`.
pub fn compress<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for host in hosts {
        let (prefix, number) = split_number(host.as_ref());
        match (groups.last_mut(), number) {
            (Some(group), Some(number)) if group.prefix == prefix && !group.ranges.is_empty() => group.add(number),
            (_, number) => groups.push(Group { prefix: prefix.to_owned(), ranges: number.into_iter().collect() }),
        }
    }
    groups.iter().map(Group::text).collect::<Vec<_>>().join(",")
}

/// As [`compress`], after sorting by prefix, then by the number's width and value, as `scontrol show hostlistsorted`.
pub fn compress_sorted<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> String {
    let mut hosts: Vec<S> = hosts.into_iter().collect();
    hosts.sort_by(|a, b| sort_key(a.as_ref()).cmp(&sort_key(b.as_ref())));
    compress(hosts)
}

fn sort_key(host: &str) -> (&str, Option<(usize, u64)>) {
    let (prefix, number) = split_number(host);
    (prefix, number.map(|number| (number.width, number.first)))
}

/// Splits a name into what stands before its last number, and that number.
fn split_number(host: &str) -> (&str, Option<Range>) {
    let prefix = host.trim_end_matches(|c: char| c.is_ascii_digit());
    match Range::single(&host[prefix.len()..]) {
        Some(number) => (prefix, Some(number)),
        None => (host, None),
    }
}

/// Neighbours with one prefix; a name without a number is a group without ranges.
struct Group {
    prefix: String,
    ranges: Vec<Range>,
}

impl Group {
    fn add(&mut self, number: Range) {
        if !self.ranges.last_mut().is_some_and(|last| last.extend(&number)) {
            self.ranges.push(number);
        }
    }

    fn text(&self) -> String {
        let range = |range: &Range| {
            let Range { first, last, width } = *range;
            if first == last { format!("{first:0width$}") } else { format!("{first:0width$}-{last:0width$}") }
        };
        let ranges = self.ranges.iter().map(range).collect::<Vec<_>>().join(",");
        match self.ranges.as_slice() {
            [] => self.prefix.clone(),
            [one] if one.first == one.last => format!("{}{ranges}", self.prefix),
            _ => format!("{}[{ranges}]", self.prefix),
        }
    }
}

/// Why a host list was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostlistError {
    /// A bracket without its partner.
    #[error("the brackets in the host list item '{name}' do not pair up: write them as in n[1-3]")]
    Bracket {
        /// The name with its brackets.
        name: String,
    },
    /// Something other than `N` or `N-M`, with N at most M, between brackets.
    #[error("'{range}' is not a range of host numbers: write N or N-M, the smaller first, at most {DIGITS_MAX} digits")]
    Range {
        /// The item.
        range: String,
    },
    /// More than [`HOSTS_MAX`].
    #[error("the host list names more than {HOSTS_MAX} hosts")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As printed by `scontrol show hostnames` of Slurm 22.05.8.
    #[test]
    fn expands_as_slurm_does() {
        let cases = [
            ("n[1-3,5]", "n1 n2 n3 n5"),
            ("n[08-11]", "n08 n09 n10 n11"),
            ("n[08-9]", "n08 n09"),
            ("n[8-010]", "n8 n9 n10"),
            ("n[099-101]", "n099 n100 n101"),
            ("a[1-2]b[3-4]", "a1b3 a1b4 a2b3 a2b4"),
            ("n[1-2]-[3-4]", "n1-3 n1-4 n2-3 n2-4"),
            ("n[3,1,1-2]", "n3 n1 n1 n2"),
            ("[1-3]", "1 2 3"),
            ("n1,,n2", "n1 n2"),
            ("n1 n2", "n1 n2"),
            (",n1", "n1"),
            ("", ""),
        ];
        for (list, hosts) in cases {
            assert_eq!(expand(list).expect(list).join(" "), hosts, "{list}");
        }
        assert_eq!(
            expand("n[1-2].lan").expect("Slurm refuses text after a bracket, Covey need not"),
            ["n1.lan", "n2.lan"]
        );
    }

    #[test]
    fn refuses_what_is_no_list() {
        for list in [
            "n[]",
            "n[3-1]",
            "n[a,b]",
            "n[-1]",
            "n[1-]",
            "n[1,]",
            "n[1 -2]",
            "n[1-2-3]",
            "n[1234567890123456789]",
            "n[[1]]",
        ] {
            assert!(matches!(expand(list), Err(HostlistError::Range { .. })), "{list}");
        }
        for list in ["n[", "n[1", "n1]", "n[1]]", "n[1-2],m["] {
            assert!(matches!(expand(list), Err(HostlistError::Bracket { .. })), "{list}");
        }
    }

    #[test]
    fn is_bounded() {
        assert_eq!(expand("n[1-65536]").expect("just within").len(), HOSTS_MAX);
        for list in ["n[1-65537]", "n[1-65536],m", "m,n[1-65536]", "a[1-256]b[1-257]", "n[0-999999999999999999]"] {
            assert_eq!(expand(list), Err(HostlistError::TooMany), "{list}");
        }
        assert_eq!(expand(&"[1-60000]".repeat(1000)), Err(HostlistError::TooMany));
    }

    /// As printed by `scontrol show hostlist` and `hostlistsorted` of Slurm 22.05.8.
    #[test]
    fn compresses_as_slurm_does() {
        let cases = [
            ("n3,n1,n2,m05,m04,n1", "n[3,1-2],m[05,04],n1", "m[04-05],n[1,1-3]"),
            ("n08,n09,n10,n11,n100", "n[08-11,100]", "n[08-11,100]"),
            ("n01,n1,n02,n2", "n[01,1,02,2]", "n[1-2,01-02]"),
            ("a1b3,a1b4,a2b3,a2b4", "a1b[3-4],a2b[3-4]", "a1b[3-4],a2b[3-4]"),
            ("1,2,3", "[1-3]", "[1-3]"),
            ("n", "n", "n"),
            ("n,n", "n,n", "n,n"),
            ("n1x,n2x", "n1x,n2x", "n1x,n2x"),
            ("n1,m1,n2", "n1,m1,n2", "m1,n[1-2]"),
            ("n9,n10", "n[9-10]", "n[9-10]"),
            ("n09,n10", "n[09-10]", "n[09-10]"),
            ("n99,n100", "n[99-100]", "n[99-100]"),
            ("n2,n1,n0", "n[2,1,0]", "n[0-2]"),
            ("n0,n00", "n[0,00]", "n[0,00]"),
            ("n1,n1,n1", "n[1,1,1]", "n[1,1,1]"),
            ("n1,n2,n2,n3", "n[1-2,2-3]", "n[1-2,2-3]"),
            ("n1,n02,n3", "n[1,02,3]", "n[1,3,02]"),
            ("n-1,n-2", "n-[1-2]", "n-[1-2]"),
            ("n1", "n1", "n1"),
            ("", "", ""),
        ];
        for (list, kept, sorted) in cases {
            let hosts = expand(list).expect(list);
            assert_eq!((compress(&hosts).as_str(), compress_sorted(&hosts).as_str()), (kept, sorted), "{list}");
        }
        let long = "n99999999999999999998,n99999999999999999999";
        assert_eq!(compress(expand(long).expect("names, not numbers")), long);
    }

    proptest! {
        #[test]
        fn a_compressed_list_reads_back(hosts in prop::collection::vec("(n|m|a1b|é|)0{0,2}[0-9]{1,2}|[a-z]{1,3}", 0..40)) {
            prop_assert_eq!(expand(&compress(&hosts)), Ok(hosts.clone()));
            let mut sorted = expand(&compress_sorted(&hosts)).expect("a compressed list is a list");
            sorted.sort();
            let mut hosts = hosts;
            hosts.sort();
            prop_assert_eq!(sorted, hosts);
        }

        #[test]
        fn no_text_panics(text in "[a-b0-9,\\[\\]-]{0,24}|\\PC{0,24}") {
            if let Ok(hosts) = expand(&text) {
                let _ = (compress(&hosts), compress_sorted(&hosts));
            }
        }
    }
}
