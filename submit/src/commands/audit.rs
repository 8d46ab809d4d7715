//! `covey audit`: who did what to what, from where, allowed or refused. What it prints was sent by others, so that whatever could
//! steer a terminal is escaped.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use clap::Parser;
use jiff::Zoned;
use proto::v1::{AuditLine, AuditOutcome, AuditPage, ListAuditRequest};
use serde_json::json;

use super::sacct::window::moment;
use super::tokens::seconds;
use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::show;

/// Shows the audit log: every change and every refusal, with who asked, how they are known, from where, and why not.
///
/// It is for administrators and operators. Refusals that are the same within a minute share a line, which says how many they were.
#[derive(Debug, Parser)]
#[command(
    name = "covey audit",
    after_help = "Examples:\n  covey audit --refused --since 1h\n  covey audit --user ada -n 20\n  covey audit --verb update-nodes --since 2026-11-01\n  covey audit -f\n\n\
                  The files are DIR/audit/*.jsonl, one JSON object a line."
)]
pub(super) struct Args {
    /// Only what this user did, by name or number; a node by its name
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Only from then on: 90s, 30m, 1h, 7d ago, or a time as sacct -S takes it
    #[arg(short = 'S', long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was refused
    #[arg(short, long)]
    refused: bool,
    /// Only this verb, as the table shows it: cancel, update-nodes, ...
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// So many lines, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: u32,
    /// Go on with what is added from now on
    #[arg(short, long)]
    follow: bool,
    /// For programs: a JSON object a line with at_us, outcome, verb, what, uid, name, by, from, why and times
    #[arg(long)]
    json: bool,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| tell(&args)))
}

fn tell(args: &Args) -> Outcome<ExitCode> {
    let request = ListAuditRequest {
        user: args.user.clone().unwrap_or_default(),
        since_ms: args.since.as_deref().map_or(Ok(0), |text| since(text, &Zoned::now()))?,
        refused: args.refused,
        verb: args.verb.clone().unwrap_or_default(),
        most: args.lines,
        follow: args.follow,
    };
    let refused = |error: CallError| Failure::call("covey audit", "covey audit: error: ", &error);
    block_on(async {
        let channel = connect(args.connect_timeout).await.map_err(refused)?;
        let pages = client(&channel).list_audit(request).await.map_err(|status| refused(status.into()))?;
        let mut pages = pages.into_inner();
        if !args.json {
            print(HEADER)?;
        }
        while let Some(page) = pages.message().await.map_err(|status| refused(status.into()))? {
            print(text(&page, args.json))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Milliseconds since 1970.
fn since(text: &str, now: &Zoned) -> Outcome<i64> {
    let ago = seconds(text).ok().and_then(|seconds| i64::try_from(seconds.saturating_mul(1000)).ok());
    ago.map_or_else(|| moment("covey audit", text, now), |ago| Ok(now.timestamp().as_millisecond().saturating_sub(ago)))
}

/// Above the columns of [`row`].
const HEADER: &str =
    "TIME                OUTCOME USER         BY           FROM                  VERB               WHAT\n";

fn text(page: &AuditPage, as_json: bool) -> String {
    let mut text = String::new();
    if page.missed > 0 && !as_json {
        text.push_str(&format!(
            "({} lines came faster than they were read here; covey audit lists them)\n",
            page.missed
        ));
    }
    for line in &page.lines {
        text.push_str(&if as_json { object(line) } else { row(line) });
        text.push('\n');
    }
    text
}

fn row(line: &AuditLine) -> String {
    let AuditLine { at_us, verb, what, uid, name, by, from, why, times, .. } = line;
    let time = show::time(at_us / 1000).unwrap_or_default();
    let user = match (name.as_str(), uid) {
        ("", Some(uid)) => uid.to_string(),
        ("", None) => "-".into(),
        (name, _) => plain(name),
    };
    let (verb, by) = (plain(verb), plain(by));
    let from = if from.is_empty() { "-".into() } else { plain(from) };
    let mut row = format!("{time:<19} {:<7} {user:<12} {by:<12} {from:<21} {verb:<18} {}", outcome(line), plain(what));
    if *times > 1 {
        // A String takes whatever is written.
        write!(row, " ({times} times)").ok();
    }
    let row = row.trim_end();
    if why.is_empty() { row.to_owned() } else { format!("{row}: {}", plain(why)) }
}

fn object(line: &AuditLine) -> String {
    let AuditLine { at_us, verb, what, uid, name, by, from, why, times, .. } = line;
    json!({ "at_us": at_us, "outcome": outcome(line), "verb": verb, "what": what, "uid": uid, "name": name, "by": by, "from": from, "why": why, "times": times })
        .to_string()
}

fn outcome(line: &AuditLine) -> &'static str {
    match line.outcome() {
        AuditOutcome::Allowed => "allowed",
        AuditOutcome::Refused => "refused",
        AuditOutcome::Failed => "failed",
        AuditOutcome::Unspecified => "?",
    }
}

/// A text without what a terminal would obey.
fn plain(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> AuditLine {
        AuditLine {
            at_us: 1_800_000_000_000_000,
            outcome: AuditOutcome::Refused.into(),
            verb: "cancel".into(),
            what: "5".into(),
            uid: Some(1000),
            name: "ada".into(),
            by: "socket".into(),
            from: "pid 7".into(),
            why: "not hers".into(),
            times: 1,
        }
    }

    #[test]
    fn a_row_has_its_columns_below_their_names() {
        let at = show::time(1_800_000_000_000).expect("a time");
        let row = row(&line());
        assert_eq!(
            row,
            format!("{at} refused ada          socket       pid 7                 cancel             5: not hers")
        );
        for (column, value) in
            [("OUTCOME", "refused"), ("USER", "ada"), ("BY", "socket"), ("FROM", "pid"), ("VERB", "cancel")]
        {
            assert_eq!(HEADER.find(column), row.find(value), "{column}");
        }
        assert_eq!(HEADER.find("WHAT"), row.find("5: not"));
    }

    #[test]
    fn many_are_counted_and_nobody_has_a_dash() {
        let flood = AuditLine { times: 99, uid: None, name: String::new(), from: String::new(), ..line() };
        assert!(row(&flood).ends_with("5 (99 times): not hers") && row(&flood).contains(" refused -    "));
        let number = AuditLine { name: String::new(), ..line() };
        assert!(row(&number).contains(" refused 1000 "));
    }

    #[test]
    fn nobody_steers_the_terminal_of_who_reads() {
        let evil = AuditLine { what: "\x1b]0;x\x07\r5".into(), why: "a\nb".into(), ..line() };
        assert!(!row(&evil).contains(['\x1b', '\x07', '\r', '\n']), "{:?}", row(&evil));
        assert!(row(&evil).contains("\\u{1b}]0;x"));
        let page = AuditPage { lines: vec![evil], missed: 3 };
        assert_eq!(text(&page, true).lines().count(), 1, "and as JSON a line is a line");
        assert!(text(&page, false).starts_with("(3 lines "));
    }

    #[test]
    fn a_time_is_so_long_ago_or_a_moment() {
        let now = "2026-11-20T12:00:00[UTC]".parse::<Zoned>().expect("a time");
        let now_ms = now.timestamp().as_millisecond();
        assert_eq!(since("1h", &now).ok(), Some(now_ms - 3_600_000));
        assert_eq!(since("2026-11-20T11:00:00", &now).ok(), Some(now_ms - 3_600_000));
        assert!(since("soon", &now).is_err());
    }
}
