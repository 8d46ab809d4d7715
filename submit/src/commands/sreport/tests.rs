//! Rows of jobs to exact reports.

use jiff::tz::TimeZone;
use proto::v1::{JobRow, NodeRow};

use super::*;

/// 2026-11-20 08:00:00 UTC.
const NOW_MS: i64 = 1_795_161_600_000;

fn asked(words: &[&str]) -> Outcome<Asked> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let options = Options::from_arg_matches(&getopt::read(&mut command(), &words)?).expect("these options");
    let now = jiff::Timestamp::from_millisecond(NOW_MS).expect("a time").to_zoned(TimeZone::UTC);
    Asked::of(&options, &now)
}

fn printed(words: &[&str]) -> Outcome<Vec<String>> {
    let asked = asked(words)?;
    let node = NodeRow { cpus: 8, memory_mib: 1000, ..NodeRow::default() };
    let mut figures = Figures::new("covey".into(), &[node.clone(), node], &asked.words);
    let until_ms = asked.words.span.until_ms;
    for (account, user, cpus, minutes) in
        [("physics", "ada", 4, 60), ("physics", "bob", 64, 10), ("", "ada", 2, 30), ("physics", "ada", 1, 20)]
    {
        let row = JobRow {
            account: account.into(),
            user: user.into(),
            cpus,
            node_count: 1,
            memory_held_mib: 100,
            started_ms: until_ms - minutes * 60_000,
            ended_ms: until_ms,
            ..JobRow::default()
        };
        figures.enter(&row, NOW_MS);
    }
    figures.lines(&asked)
}

/// The lines below the titles, which carry local times.
fn table(words: &[&str]) -> Vec<String> {
    printed(words).expect("all is well").split_off(4)
}

#[test]
fn utilization_is_told_against_the_nodes_of_today() {
    assert_eq!(
        table(&["cluster", "utilization", "start=2026-11-19", "end=2026-11-20"]),
        [
            "  Cluster Allocate     Down PLND Dow     Idle  Planned Reported ",
            "--------- -------- -------- -------- -------- -------- -------- ",
            "    covey      960                      22080             23040 ",
        ]
    );
    let line = |words: &[&str]| printed(&[&["-nP"], words].concat()).expect("all is well");
    assert_eq!(line(&["cluster", "util", "-t", "hourper", "format=al,rep"]), ["16(4.17%)|384(100.00%)"]);
    assert_eq!(
        line(&["-T", "cpu,mem", "CLUSTER", "Utilization", "-tPercent"]),
        ["covey|cpu|4.17%|||95.83%||100.00%", "covey|mem|0.42%|||99.58%||100.00%"]
    );
    let title = printed(&["cluster", "utilization"]).expect("all is well");
    assert!(title[1].starts_with("Cluster Utilization 2026-11-") && title[2] == "Usage reported in CPU Minutes");
}

#[test]
fn users_and_accounts_are_told_apart() {
    assert_eq!(
        table(&["cluster", "AccountUtilizationByUser"]),
        [
            "  Cluster         Account     Login     Proper Name     Used   Energy ",
            "--------- --------------- --------- --------------- -------- -------- ",
            "    covey            root                                960          ",
            "    covey            root       ada                       60          ",
            "    covey         physics                                900          ",
            "    covey         physics       ada                      260          ",
            "    covey         physics       bob                      640          ",
        ]
    );
    let line = |words: &[&str]| printed(&[&["-nP"], words].concat()).expect("all is well");
    let top = ["covey|bob||physics|640|", "covey|ada||physics|260|", "covey|ada|||60|"];
    assert_eq!(line(&["user", "topusage"]), top);
    assert_eq!(line(&["cluster", "userutil", "users=bob"]), top[..1]);
    assert_eq!(line(&["user", "top", "group", "topcount=1", "format=login,used"]), ["bob|640"]);
    assert_eq!(line(&["user", "top", "group", "format=login,accounts,used"])[1], "ada|physics|320");
    assert!(printed(&["user", "top"]).expect("all is well")[1].contains("Top 10 Users"));
}

#[test]
fn sizes_are_sorted_into_ranges() {
    assert_eq!(
        table(&["job", "sizesbyaccount"])[1..],
        [
            "  Cluster   Account     0-49 CPUs   50-249 CPUs  250-499 CPUs  500-999 CPUs  >= 1000 CPUs % of cluster ",
            "--------- --------- ------------- ------------- ------------- ------------- ------------- ------------ ",
            "    covey      root           320           640             0             0             0      100.00% ",
        ]
    );
    let line = |words: &[&str]| printed(&[&["-np", "job", "sizes"], words].concat()).expect("all is well");
    assert_eq!(
        line(&["flatview", "grouping=2,4", "printjobcount"]),
        ["covey||0|1|0|6.25%|", "covey|physics|1|0|2|93.75%|"]
    );
    assert!(printed(&["job", "sizes", "-T", "cpu,mem"]).is_err());
}

#[test]
fn what_is_not_understood_is_said_in_slurms_words() {
    let text = |words: &[&str]| printed(words).err().map(|failure| failure.text()).unwrap_or_default();
    assert!(text(&["cluster", "bogus"]).starts_with("Not valid report bogus\nValid cluster reports are, "));
    assert!(text(&["user", "top", "colour=red"]).starts_with(" Unknown condition: colour=red\n"));
    assert_eq!(text(&["user", "top", "format=colour"]), " Unknown field 'colour'\n");
    assert!(text(&["user", "top", "start=soon"]).starts_with("sreport: error: Invalid time specification: soon\n"));
    assert!(text(&["-t", "years", "user", "top"]).starts_with("sreport: error: unknown time format years\n"));
    assert!(text(&["-T", "gres/gpu", "user", "top"]).starts_with("sreport: fatal: No valid TRES given\n"));
    assert!(text(&["cluster"]).starts_with("sreport: error: no report is named\n"));
    let span = |words: &[&str]| asked(words).expect("all is well").words.span;
    let day_ms = 86_400_000;
    let midnight = NOW_MS - 8 * 3_600_000;
    assert_eq!(span(&["user", "top"]), crate::past::Span { from_ms: midnight - day_ms, until_ms: midnight });
    let short = span(&["user", "top", "start=now-10minutes", "end=now"]);
    assert_eq!(short, crate::past::Span { from_ms: NOW_MS, until_ms: NOW_MS + 3_600_000 });
}
