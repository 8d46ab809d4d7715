//! The reports: figures from rows of jobs, and their lines in Slurm's form.

use std::collections::BTreeMap;

use proto::v1::{JobRow, NodeRow};

use super::Asked;
use super::words::{Report, Words};
use crate::failure::{Failure, Outcome};
use crate::fields::{Field, Style, Table};
use crate::past::{Ledger, Span, Used};
use crate::show;
use crate::users::proper_name;

/// A resource that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tres {
    Cpu,
    Mem,
    Node,
    /// As much as CPUs: nothing is billed otherwise.
    Billing,
}

const TRES: [(&str, Tres); 4] =
    [("cpu", Tres::Cpu), ("mem", Tres::Mem), ("node", Tres::Node), ("billing", Tres::Billing)];

impl Tres {
    /// Those that were named, CPUs where none was; `None` where what was named is not counted.
    pub(super) fn read(names: &[String]) -> Option<Vec<Tres>> {
        if names.is_empty() {
            return Some(vec![Tres::Cpu]);
        }
        let meant =
            |tres: &str| names.iter().any(|name| name.eq_ignore_ascii_case(tres) || name.eq_ignore_ascii_case("all"));
        let tres: Vec<Tres> = TRES.iter().filter(|(name, _)| meant(name)).map(|(_, tres)| *tres).collect();
        (!tres.is_empty()).then_some(tres)
    }

    fn name(self) -> &'static str {
        TRES.iter().find(|(_, tres)| *tres == self).map_or("", |(name, _)| name)
    }

    fn of(self, used: Used) -> u64 {
        match self {
            Tres::Cpu | Tres::Billing => used.cpu,
            Tres::Mem => used.mem,
            Tres::Node => used.node,
        }
    }
}

type Row = BTreeMap<&'static str, String>;

const fn field(name: &'static str, header: &'static str, width: i16) -> Field<&'static str> {
    Field::titled(name, header, width, name)
}

/// Every field of all reports; a shortened name means the first that begins so.
const FIELDS: &[Field<&str>] = &[
    field("Accounts", "Account", 15),
    field("Allocated", "Allocated", 8),
    field("Cluster", "Cluster", 9),
    field("Down", "Down", 8),
    field("Energy", "Energy", 8),
    field("Idle", "Idle", 8),
    field("Login", "Login", 9),
    field("OverCommitted", "Over Comm", 9),
    field("Proper", "Proper Name", 15),
    field("Planned", "Planned", 8),
    field("PlannedDown", "PLND Down", 8),
    field("Reported", "Reported", 8),
    field("TresCount", "TRES Count", 10),
    field("TresName", "TRES Name", 14),
    field("Used", "Used", 8),
];

/// Fields whose columns grow with their numbers.
const GROWING: [&str; 8] = ["Allocated", "Down", "Energy", "Idle", "Planned", "PlannedDown", "Reported", "Used"];

/// What was used, and what there was.
#[derive(Debug)]
pub(super) struct Figures<'a> {
    words: &'a Words,
    cluster: String,
    /// What the nodes have, and that times the seconds of the span.
    count: Used,
    capacity: Used,
    ledger: Ledger,
    /// How many jobs of each account had so many CPUs, and what they used.
    sizes: BTreeMap<String, BTreeMap<u32, (u64, Used)>>,
}

impl<'a> Figures<'a> {
    pub(super) fn new(cluster: String, nodes: &[NodeRow], words: &'a Words) -> Figures<'a> {
        let mut count = Used::default();
        for node in nodes {
            count.add(Used { cpu: node.cpus.into(), mem: node.memory_mib, node: 1 });
        }
        // What is still to come was there for nobody.
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let seconds = Span { until_ms: words.span.until_ms.min(now_ms), ..words.span }.seconds();
        let capacity = Used { cpu: count.cpu * seconds, mem: count.mem * seconds, node: count.node * seconds };
        Figures { words, cluster, count, capacity, ledger: Ledger::default(), sizes: BTreeMap::new() }
    }

    pub(super) fn enter(&mut self, row: &JobRow, now_ms: i64) {
        let one_of = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|word| word == value);
        let words = self.words;
        let meant = one_of(&words.users, &row.user)
            && one_of(&words.accounts, &row.account)
            && one_of(&words.partitions, &row.partition);
        let used = Used::by(row, words.span, now_ms);
        if !meant || row.started_ms == 0 || used == Used::default() {
            return;
        }
        self.ledger.enter(row, used);
        let account = if words.flat || !words.accounts.is_empty() { row.account.as_str() } else { "root" };
        let size = self.sizes.entry(account.to_owned()).or_default().entry(row.cpus).or_default();
        size.0 += 1;
        size.1.add(used);
    }

    /// All lines of the report.
    ///
    /// # Errors
    /// A field that there is not, and resources that a report does not take.
    pub(super) fn lines(&self, asked: &Asked) -> Outcome<Vec<String>> {
        if self.words.report == Report::SizesByAccount {
            return self.sizes_lines(asked);
        }
        let (usual, rows) = match self.words.report {
            Report::Utilization => {
                ("cluster,allocated,down,planneddown,idle,planned,reported", self.utilization(asked))
            }
            Report::AccountByUser => ("cluster,accounts,login,proper,used,energy", self.by_account(asked)),
            Report::UserByAccount => ("cluster,login,proper,accounts,used,energy", self.by_user(asked, usize::MAX)),
            _ => ("cluster,login,proper,accounts,used,energy", self.by_user(asked, self.words.top)),
        };
        // The name stands where Slurm puts it: before what is used.
        let usual = if !asked.tres_named {
            usual.to_owned()
        } else if self.words.report == Report::Utilization {
            usual.replace("cluster,", "cluster,tresname,")
        } else {
            usual.replace("used,energy", "tresname,used")
        };
        let fields = self.words.format.as_deref().unwrap_or(&usual);
        let mut table = Table::parse(fields, FIELDS, asked.style.clone())
            .map_err(|field| Failure::new(format_args!(" Unknown field '{field}'")))?;
        for name in GROWING {
            let widest = rows.iter().filter_map(|row| row.get(name)).map(String::len).max();
            table.widen(name, widest.unwrap_or(0));
        }
        let mut lines = if asked.heading { self.title(asked) } else { Vec::new() };
        lines.extend(if asked.heading { table.heading() } else { Vec::new() });
        lines.extend(rows.iter().map(|row| table.line(|field| row.get(field).cloned().unwrap_or_default())));
        Ok(lines)
    }

    /// The lines above the columns.
    fn title(&self, asked: &Asked) -> Vec<String> {
        let words = self.words;
        let time = |ms| show::time(ms).unwrap_or_default();
        let span = format!("{} - {}", time(words.span.from_ms), time(words.span.until_ms - 1000));
        let secs = words.span.seconds();
        let title = match words.report {
            Report::Utilization => format!("Cluster Utilization {span}"),
            Report::AccountByUser => format!("Cluster/Account/User Utilization {span} ({secs} secs)"),
            Report::UserByAccount => format!("Cluster/User/Account Utilization {span} ({secs} secs)"),
            Report::TopUsage => format!("Top {} Users {span} ({secs} secs)", words.top),
            Report::SizesByAccount => format!("Job Sizes {span} ({secs} secs)"),
        };
        let dashes = "-".repeat(80);
        let mut lines = vec![dashes.clone(), title];
        match (words.report, words.job_count) {
            (Report::SizesByAccount, true) => lines.push("Units are in number of jobs ran".into()),
            (Report::SizesByAccount, false) => {
                lines.push(format!("TRES type is {}", asked.tres[0].name()));
                lines.push(format!("Time reported in {}", asked.time.text));
            }
            _ => {
                let unit = if asked.tres_named { "TRES" } else { "CPU" };
                lines.push(format!("Usage reported in {unit} {}", asked.time.text));
            }
        }
        lines.push(dashes);
        lines
    }

    /// One row for each resource. Where more was used than the nodes of today could give, there were others.
    fn utilization(&self, asked: &Asked) -> Vec<Row> {
        let all = self.ledger.sum(None);
        let row = |tres: &Tres| {
            let used = tres.of(all);
            let capacity = tres.of(self.capacity).max(used);
            Row::from([
                ("Cluster", self.cluster.clone()),
                ("TresName", tres.name().to_owned()),
                ("TresCount", tres.of(self.count).to_string()),
                ("Allocated", asked.time.text(used, capacity)),
                ("Idle", asked.time.text(capacity - used, capacity)),
                ("Reported", asked.time.text(capacity, capacity)),
            ])
        };
        asked.tres.iter().map(row).collect()
    }

    fn row(&self, asked: &Asked, tres: Tres, account: &str, user: &str, used: Used) -> Row {
        Row::from([
            ("Cluster", self.cluster.clone()),
            ("Accounts", account.to_owned()),
            ("Login", user.to_owned()),
            ("Proper", if user.is_empty() { String::new() } else { proper_name(user) }),
            ("TresName", tres.name().to_owned()),
            ("TresCount", tres.of(self.count).to_string()),
            ("Used", asked.time.text(tres.of(used), tres.of(self.capacity))),
        ])
    }

    /// From the root down; what names no account is the root's.
    fn by_account(&self, asked: &Asked) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut add = |account: &str, user: &str, used| {
            rows.extend(asked.tres.iter().map(|tres| self.row(asked, *tres, account, user, used)));
        };
        let mut last = "";
        if !self.ledger.of.is_empty() {
            add("root", "", self.ledger.sum(None));
        }
        for ((account, user), used) in &self.ledger.of {
            if account != last {
                add(account, "", self.ledger.sum(Some(account)));
            }
            last = account;
            add(if account.is_empty() { "root" } else { account }, user, *used);
        }
        rows
    }

    /// Those who used the most first.
    fn by_user(&self, asked: &Asked, most: usize) -> Vec<Row> {
        let mut used: BTreeMap<(String, String), Used> = BTreeMap::new();
        for ((account, user), some) in &self.ledger.of {
            let account = if self.words.group { String::new() } else { account.clone() };
            used.entry((account, user.clone())).or_default().add(*some);
        }
        let mut used: Vec<_> = used.into_iter().collect();
        used.sort_by_key(|(_, used)| std::cmp::Reverse(asked.tres[0].of(*used)));
        let accounts = |user: &String| {
            let mine = self.ledger.of.keys().filter(|(_, of)| of == user).map(|(account, _)| account.as_str());
            mine.filter(|account| !account.is_empty()).collect::<Vec<_>>().join(",")
        };
        let rows = used.iter().take(most).flat_map(|((account, user), used)| {
            let account = if self.words.group { accounts(user) } else { account.clone() };
            asked.tres.iter().map(move |tres| self.row(asked, *tres, &account, user, *used))
        });
        rows.collect()
    }

    fn sizes_lines(&self, asked: &Asked) -> Outcome<Vec<String>> {
        let [tres] = asked.tres[..] else {
            return Err(Failure::new(
                " Job report only supports a single --tres type.\n Generate a separate report for each TRES type.",
            ));
        };
        let bounds: Vec<u32> = std::iter::once(0).chain(self.words.grouping.iter().copied()).collect();
        let ranges = || bounds.iter().zip(bounds.iter().skip(1).map(Some).chain([None]));
        let ranges_text = ranges().map(|(from, to)| match to {
            Some(to) => (format!("{from}-{} CPUs", to - 1), 13),
            None => (format!(">= {from} CPUs"), 13),
        });
        let first = [("Cluster".to_owned(), 9), ("Account".to_owned(), 9)];
        let heads: Vec<(String, usize)> =
            first.into_iter().chain(ranges_text).chain([("% of cluster".to_owned(), 12)]).collect();
        let all = tres.of(self.ledger.sum(None));
        let row = |account: &str, sizes: &BTreeMap<u32, (u64, Used)>| {
            let inside = |from: u32, to: Option<&u32>| {
                let within = sizes.range(from..).filter(move |(cpus, _)| to.is_none_or(|to| *cpus < to));
                within.fold((0, 0), |(jobs, used), (_, (more, some))| (jobs + more, used + tres.of(*some)))
            };
            let sums: Vec<(u64, u64)> = ranges().map(|(from, to)| inside(*from, to)).collect();
            let own: u64 = sums.iter().map(|(_, used)| used).sum();
            let texts = sums.iter().map(|(jobs, used)| match self.words.job_count {
                true => jobs.to_string(),
                false => asked.time.text(*used, tres.of(self.capacity)),
            });
            let names = [self.cluster.clone(), account.to_owned()];
            names.into_iter().chain(texts).chain([super::words::percent(own, all)]).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = self.sizes.iter().map(|(account, sizes)| row(account, sizes)).collect();
        let mut lines = if asked.heading { self.title(asked) } else { Vec::new() };
        lines.extend(grid(&asked.style, &heads, &rows, asked.heading));
        Ok(lines)
    }
}

/// Columns whose headers depend on what is asked for.
fn grid(style: &Style, heads: &[(String, usize)], rows: &[Vec<String>], heading: bool) -> Vec<String> {
    let names: Vec<String> = heads.iter().map(|(name, _)| name.clone()).collect();
    let joined = |texts: &[String]| match style {
        Style::Columns => texts.iter().zip(heads).map(|(text, (_, width))| format!("{text:>width$} ")).collect(),
        Style::Delimited { delimiter, behind_each } => {
            texts.join(delimiter) + if *behind_each { delimiter.as_str() } else { "" }
        }
    };
    let mut lines = if heading { vec![joined(&names)] } else { Vec::new() };
    if heading && *style == Style::Columns {
        lines.push(heads.iter().map(|(_, width)| "-".repeat(*width) + " ").collect());
    }
    lines.extend(rows.iter().map(|row| joined(row)));
    lines
}
