//! What is typed behind `sreport`: a report, and conditions such as `start=`, `users=` and `format=`, all in any case and cut short.

use jiff::{RoundMode, ToSpan, Unit, Zoned, ZonedRound};

use crate::commands::sacct::window::moment;
use crate::failure::{Failure, Outcome};
use crate::past::Span;
use crate::show::items;

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Utilization,
    /// With the users of each account.
    AccountByUser,
    UserByAccount,
    SizesByAccount,
    TopUsage,
}

const REPORTS: [(&str, &str, Report); 5] = [
    ("cluster", "accountutilizationbyuser", Report::AccountByUser),
    ("cluster", "userutilizationbyaccount", Report::UserByAccount),
    ("cluster", "utilization", Report::Utilization),
    ("job", "sizesbyaccount", Report::SizesByAccount),
    ("user", "topusage", Report::TopUsage),
];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) report: Report,
    pub(super) span: Span,
    pub(super) accounts: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) clusters: Vec<String>,
    pub(super) partitions: Vec<String>,
    pub(super) format: Option<String>,
    /// Where the ranges of CPUs of the sizes report begin, from the second on.
    pub(super) grouping: Vec<u32>,
    pub(super) top: usize,
    pub(super) flat: bool,
    pub(super) job_count: bool,
    pub(super) group: bool,
}

impl Words {
    /// Reads the words, seen from `now`.
    ///
    /// # Errors
    /// What is no report, condition, time or number, in Slurm's text.
    pub(super) fn read(words: &[String], now: &Zoned) -> Outcome<Words> {
        let [kind, name, rest @ ..] = words else {
            return Err(Failure::new("sreport: error: no report is named")
                .hint(Some("reports are: cluster utilization, cluster accountutilizationbyuser, cluster userutilizationbyaccount, job sizesbyaccount, user topusage")));
        };
        let begins = |whole: &str, word: &str| !word.is_empty() && whole.starts_with(&word.to_ascii_lowercase());
        let found = REPORTS.iter().find(|(of, report, _)| begins(of, kind) && begins(report, name));
        let report = found.map(|(_, _, report)| *report).ok_or_else(|| {
            let kind = REPORTS.iter().find(|(of, ..)| begins(of, kind)).map_or(kind.as_str(), |(of, ..)| of);
            let valid = REPORTS.iter().filter(|(of, ..)| begins(of, kind)).map(|(_, report, _)| *report);
            let valid = valid.collect::<Vec<_>>().join(", ");
            Failure::new(format_args!("Not valid report {name}\nValid {kind} reports are, {valid}"))
        })?;
        let mut read = Words {
            report,
            span: Span { from_ms: 0, until_ms: 0 },
            accounts: Vec::new(),
            users: Vec::new(),
            clusters: Vec::new(),
            partitions: Vec::new(),
            format: None,
            grouping: vec![50, 250, 500, 1000],
            top: 10,
            flat: false,
            job_count: false,
            group: false,
        };
        let (mut start, mut end) = (None, None);
        for word in rest {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key.to_ascii_lowercase().as_str() {
                "start" => start = Some(moment("sreport", value, now)?),
                "end" => end = Some(moment("sreport", value, now)?),
                _ => read.condition(word, key, value)?,
            }
        }
        read.span = span(start, end, now)?;
        Ok(read)
    }

    fn condition(&mut self, word: &str, key: &str, value: &str) -> Outcome<()> {
        let key = key.to_ascii_lowercase();
        let is = |name: &str, letters: usize| key.len() >= letters && name.starts_with(&key);
        let bad = || {
            Failure::new(format_args!(" Unknown condition: {word}"))
                .hint(Some("conditions are such as users=ada start=2027-01-31"))
        };
        match value.is_empty() {
            true if is("all_clusters", 1) || is("tree", 1) || is("acctasparent", 2) => {}
            true if is("flatview", 2) => self.flat = true,
            true if is("printjobcount", 2) => self.job_count = true,
            true if is("group", 5) => self.group = true,
            true => return Err(bad()),
            false if is("accounts", 2) || is("accts", 4) => self.accounts = items(value),
            false if is("users", 1) => self.users = items(value),
            false if is("clusters", 1) => self.clusters = items(value),
            false if is("partitions", 2) => self.partitions = items(value),
            false if is("format", 1) => self.format = Some(value.to_owned()),
            false if is("topcount", 2) => self.top = value.parse().map_err(|_| bad())?,
            false if is("grouping", 2) => {
                let bounds = items(value).iter().map(|bound| bound.parse()).collect::<Result<Vec<u32>, _>>();
                self.grouping = bounds.map_err(|_| bad())?;
                self.grouping.retain(|bound| *bound > 0);
                self.grouping.sort_unstable();
            }
            false => return Err(bad()),
        }
        Ok(())
    }
}

/// Yesterday, or what was asked for, in whole hours and at least one: as Slurm rounds.
fn span(start_ms: Option<i64>, end_ms: Option<i64>, now: &Zoned) -> Outcome<Span> {
    let far = |error: jiff::Error| Failure::chain("sreport: error: ", &error);
    let midnight = now.start_of_day().map_err(far)?;
    let hour = |ms: i64| -> Outcome<i64> {
        let at = jiff::Timestamp::from_millisecond(ms).map_err(far)?.to_zoned(now.time_zone().clone());
        let whole = at.round(ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::HalfExpand)).map_err(far)?;
        Ok(whole.timestamp().as_millisecond())
    };
    let yesterday = midnight.checked_sub(1.day()).map_err(far)?.timestamp().as_millisecond();
    let from_ms = start_ms.map_or(Ok(yesterday), hour)?;
    let until_ms = end_ms.map_or(Ok(midnight.timestamp().as_millisecond()), hour)?;
    Ok(Span { from_ms, until_ms: until_ms.max(from_ms + 3_600_000) })
}

/// In which times usage is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimeFormat {
    /// Seconds of the unit; `None` for percent alone.
    unit_s: Option<u64>,
    percent: bool,
    pub(super) text: &'static str,
}

const TIME_FORMATS: [(&str, TimeFormat); 7] = [
    ("secper", TimeFormat { unit_s: Some(1), percent: true, text: "Seconds/Percentage of Total" }),
    ("minper", TimeFormat { unit_s: Some(60), percent: true, text: "Minutes/Percentage of Total" }),
    ("hourper", TimeFormat { unit_s: Some(3600), percent: true, text: "Hours/Percentage of Total" }),
    ("seconds", TimeFormat { unit_s: Some(1), percent: false, text: "Seconds" }),
    ("minutes", TimeFormat { unit_s: Some(60), percent: false, text: "Minutes" }),
    ("hours", TimeFormat { unit_s: Some(3600), percent: false, text: "Hours" }),
    ("percent", TimeFormat { unit_s: None, percent: true, text: "Percentage of Total" }),
];

impl TimeFormat {
    /// The format that a word means; minutes for none.
    ///
    /// # Errors
    /// A word that means none.
    pub(super) fn read(word: Option<&str>) -> Outcome<TimeFormat> {
        let lower = word.unwrap_or("minutes").to_ascii_lowercase();
        let found = TIME_FORMATS.iter().find(|(name, _)| !lower.is_empty() && name.starts_with(&lower));
        // "sec", "min" and "hour" are the times alone.
        let alone =
            TIME_FORMATS.iter().filter(|(_, format)| !format.percent).find(|(name, _)| name.starts_with(&lower));
        let found = alone.filter(|_| !lower.is_empty()).or(found);
        found.map(|(_, format)| *format).ok_or_else(|| {
            Failure::new(format_args!("sreport: error: unknown time format {lower}"))
                .hint(Some("formats are Seconds, Minutes, Hours, Percent, SecPer, MinPer and HourPer"))
        })
    }

    /// So many seconds of a resource, out of all.
    #[allow(clippy::cast_precision_loss, reason = "whole units are shown, as Slurm does")]
    pub(super) fn text(self, seconds: u64, all: u64) -> String {
        match (self.unit_s, self.percent) {
            (Some(unit_s), false) => format!("{:.0}", seconds as f64 / unit_s as f64),
            (Some(unit_s), true) => format!("{:.0}({})", seconds as f64 / unit_s as f64, percent(seconds, all)),
            (None, _) => percent(seconds, all),
        }
    }
}

/// One number as a percentage of another, as `12.50%`.
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(super) fn percent(some: u64, all: u64) -> String {
    format!("{:.2}%", if all == 0 { 0.0 } else { some as f64 * 100.0 / all as f64 })
}
