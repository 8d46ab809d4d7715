//! `sshare`: what was used, by account and user, from all of history.
//!
//! Nobody has shares: every job waits its turn by priority alone. So the columns of shares are empty, and usage does not decay. Rows
//! of accounts and users come where `-a`, `-A` or `-u` ask for them: a program that asks for its own takes the answer for all the
//! accounts that it may name, and any account may be named.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use serde_json::{Value as Json, json};

use crate::call::{block_on, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::fields::{Field, StyleOptions, Table, overview};
use crate::getopt;
use crate::json::number::{set, unset};
use crate::json::{Form, Meta};
use crate::past::{Ledger, Span, Used, cluster, fold};
use crate::show::items;

const EXAMPLES: &str = "\
Examples:
  sshare -a                                    what every account and user has used
  sshare -a --json                             the same for a program
  sshare -U -u ada -n -P -o account,rawusage   what ada has used, for a script";

#[derive(Args, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// Rows of all users
    #[arg(short, long)]
    all: bool,
    /// Rows of these accounts
    #[arg(short = 'A', long, value_name = "LIST")]
    accounts: Option<String>,
    /// Rows of these users
    #[arg(short, long, value_name = "LIST", alias = "uid")]
    users: Option<String>,
    /// Rows of users alone, without those of accounts
    #[arg(short = 'U', long = "Users")]
    users_only: bool,
    /// Also the usage as a part of all usage, and more columns that are empty here
    #[arg(short, long)]
    long: bool,
    /// Also a column of partitions, which is empty: usage is not counted by partition
    #[arg(short = 'm', long)]
    partition: bool,
    /// Fields, as in account,user%20,rawusage; -e lists them
    #[arg(short = 'o', long, value_name = "FIELDS")]
    format: Option<String>,
    /// List the fields
    #[arg(short = 'e', long)]
    helpformat: bool,
    /// Write JSON of Slurm's data parser (v0.0.43); "list" prints the versions
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    #[command(flatten)]
    style: StyleOptions,
    /// Of these clusters, or all
    #[arg(short = 'M', long, value_name = "NAMES", alias = "cluster")]
    clusters: Option<String>,
    /// No effect
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sshare")).about("Show what accounts and users have used");
    getopt::conventions(command.after_help(EXAMPLES), None)
}

/// A row: the root's, an account's or a user's.
#[derive(Debug)]
struct Share {
    cluster: String,
    /// Levels below the root.
    depth: usize,
    account: String,
    user: String,
    used: Used,
    /// Of everything, and of the account above.
    all: u64,
    above: u64,
}

type Value = fn(&Share) -> String;

const FIELDS: &[Field<Value>] = &[
    Field::new("Account", -20, |it| " ".repeat(it.depth) + &it.account),
    Field::new("Cluster", 10, |it| it.cluster.clone()),
    Field::new("EffectvUsage", 13, |it| part(it.used.cpu, it.above)),
    Field::new("FairShare", 10, |_| String::new()),
    Field::new("GrpTRESMins", 30, |_| String::new()),
    Field::new("GrpTRESRaw", 30, tres),
    Field::new("ID", 6, |_| String::new()),
    Field::new("LevelFS", 10, |_| String::new()),
    Field::new("NormShares", 11, |_| String::new()),
    Field::new("NormUsage", 11, |it| part(it.used.cpu, it.all)),
    Field::new("Partition", 12, |_| String::new()),
    Field::new("RawShares", 10, |_| String::new()),
    Field::new("RawUsage", 11, |it| it.used.cpu.to_string()),
    Field::new("TRESRunMins", 30, |_| String::new()),
    Field::new("User", 10, |it| it.user.clone()),
];

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(share(args))
}

fn share(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    if options.helpformat {
        return print(overview(FIELDS, 4, 18));
    }
    let table = table(&options)?;
    let form = Form::of("sshare", options.json.as_deref(), options.yaml.as_deref())?;
    block_on(async {
        let refused = |error| Failure::call("sshare", "sshare: error: ", &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        let name = cluster(&channel).await.map_err(refused)?.name;
        check_cluster("sshare", options.clusters.as_deref(), &name)?;
        let mut ledger = Ledger::default();
        let enter = |row: &proto::v1::JobRow, now_ms| ledger.enter(row, Used::by(row, Span::ALL, now_ms));
        fold(&channel, Span::ALL, enter).await.map_err(refused)?;
        if let Some(form) = form {
            let shares: Vec<Json> = rows(&ledger, &options, &name).iter().map(shape).collect();
            let shares = json!({ "shares": shares, "total_shares": 0 });
            return form.print(&Meta::here("sshare", args, &name).object("shares", shares));
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let heading = if options.style.noheader { Vec::new() } else { table.heading() };
        let lines = rows(&ledger, &options, &name).into_iter().map(|row| table.line(|value| value(&row)));
        for line in heading.into_iter().chain(lines) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A row in the shape of Slurm's data parser: there are no shares, and no factor of them.
fn shape(it: &Share) -> Json {
    let parent = match it.depth {
        0 => "",
        1 => "root",
        _ => &it.account,
    };
    json!({
        "id": 0,
        "cluster": it.cluster,
        "name": if it.user.is_empty() { &it.account } else { &it.user },
        "parent": parent,
        "partition": "",
        "shares_normalized": unset(),
        "shares": unset(),
        "tres": {
            "run_seconds": [],
            "group_minutes": [],
            "usage": [
                { "name": "cpu", "value": it.used.cpu },
                { "name": "mem", "value": it.used.mem },
                { "name": "node", "value": it.used.node },
                { "name": "billing", "value": it.used.cpu },
            ],
        },
        "effective_usage": set(ratio(it.used.cpu, it.above)),
        "usage_normalized": set(ratio(it.used.cpu, it.all)),
        "usage": it.used.cpu,
        "fairshare": { "factor": unset(), "level": unset() },
        "type": [if it.user.is_empty() { "ASSOCIATION" } else { "USER" }],
    })
}

/// Refuses clusters that this is not.
pub(crate) fn check_cluster(command: &str, asked: Option<&str>, own: &str) -> Outcome<()> {
    let other = items(asked.unwrap_or_default()).into_iter().find(|name| name != own && name != "all");
    other.map_or(Ok(()), |other| {
        Err(Failure::new(format_args!(
            "{command}: error: '{other}' can't be reached now, or it is an invalid entry for --cluster"
        ))
        .hint(Some(format_args!("this cluster is called {own}"))))
    })
}

fn table(options: &Options) -> Outcome<Table<Value>> {
    let partition = if options.partition { "partition," } else { "" };
    let usual = match options.long {
        false => format!("account,user,{partition}rawshares,normshares,rawusage,effectvusage,fairshare"),
        true => format!(
            "account,user,{partition}rawshares,normshares,rawusage,normusage,effectvusage,fairshare,levelfs,grptresmins,\
             tresrunmins"
        ),
    };
    let style = options.style.style(None);
    Table::parse(options.format.as_deref().unwrap_or(&usual), FIELDS, style)
        .map_err(|field| Failure::new(format_args!("sshare: error: Invalid field requested: \"{field}\"")))
}

/// The rows, from the root down.
fn rows(ledger: &Ledger, options: &Options, cluster: &str) -> Vec<Share> {
    let given = |list: &Option<String>| items(list.as_deref().unwrap_or_default());
    let (accounts, users) = (given(&options.accounts), given(&options.users));
    let asked = options.all || !accounts.is_empty() || !users.is_empty();
    let all = ledger.sum(None);
    let row = |depth, account: &str, user: &str, used, above: Used| Share {
        cluster: cluster.to_owned(),
        depth,
        account: account.to_owned(),
        user: user.to_owned(),
        used,
        all: all.cpu,
        above: above.cpu,
    };
    let mut rows = vec![row(0, "root", "", all, all)];
    let mut last: Option<&str> = None;
    for ((account, user), used) in ledger.of.iter().filter(|_| asked) {
        let meant = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        if !meant(&accounts, account) || !meant(&users, user) {
            continue;
        }
        // What names no account is the root's.
        let of_root = account.is_empty();
        let above = if of_root { all } else { ledger.sum(Some(account)) };
        if !of_root && last.replace(account) != Some(account) {
            rows.push(row(1, account, "", above, all));
        }
        rows.push(row(if of_root { 1 } else { 2 }, if of_root { "root" } else { account }, user, *used, above));
    }
    rows.retain(|row| !options.users_only || !row.user.is_empty());
    rows
}

/// One number as a part of another.
fn part(some: u64, all: u64) -> String {
    format!("{:.6}", ratio(some, all))
}

#[allow(clippy::cast_precision_loss, reason = "six digits are shown")]
fn ratio(some: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

fn tres(it: &Share) -> String {
    format!("cpu={},mem={},node={},billing={}", it.used.cpu, it.used.mem, it.used.node, it.used.cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(words: &[&str]) -> Vec<String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let matches = getopt::read(&mut command(), &words).expect("known options");
        let options = Options::from_arg_matches(&matches).expect("these options");
        let mut ledger = Ledger::default();
        for (account, user, cpu) in [("", "ada", 50), ("physics", "ada", 100), ("physics", "bob", 50)] {
            let key = (account.to_owned(), user.to_owned());
            ledger.of.insert(key, Used { cpu, mem: 1, node: 2 });
        }
        let table = table(&options).expect("known fields");
        let lines = rows(&ledger, &options, "covey").into_iter().map(|row| table.line(|value| value(&row)));
        if options.style.noheader { lines.collect() } else { table.heading().into_iter().chain(lines).collect() }
    }

    #[test]
    fn usage_goes_down_from_the_root() {
        assert_eq!(
            printed(&["-a"]),
            [
                "Account                    User  RawShares  NormShares    RawUsage  EffectvUsage  FairShare ",
                "-------------------- ---------- ---------- ----------- ----------- ------------- ---------- ",
                "root                                                           200      1.000000            ",
                " root                       ada                                 50      0.250000            ",
                " physics                                                       150      0.750000            ",
                "  physics                   ada                                100      0.666667            ",
                "  physics                   bob                                 50      0.333333            ",
            ]
        );
        let short = |words: &[&str]| printed(&[&["-nPo", "account,user,normusage"], words].concat());
        assert_eq!(short(&["-u", "bob"]), ["root||1.000000", " physics||0.750000", "  physics|bob|0.250000"]);
        assert_eq!(short(&["-U", "-A", "physics"]), ["  physics|ada|0.500000", "  physics|bob|0.250000"]);
        let wide = "   RawUsage   NormUsage  EffectvUsage  FairShare    LevelFS                    GrpTRESMins ";
        assert!(printed(&["-l"])[0].contains(&wide[3..]));
    }

    #[test]
    fn a_document_has_usage_and_no_shares() {
        let mut ledger = Ledger::default();
        ledger.of.insert(("physics".to_owned(), "ada".to_owned()), Used { cpu: 100, mem: 1, node: 2 });
        let options = Options { all: true, ..Options::default() };
        let told: Vec<Json> = rows(&ledger, &options, "covey").iter().map(shape).collect();
        let names: Vec<_> = told.iter().map(|row| (row["name"].as_str(), row["parent"].as_str())).collect();
        let expected = [("root", ""), ("physics", "root"), ("ada", "physics")];
        assert_eq!(names, expected.map(|(name, parent)| (Some(name), Some(parent))));
        let ada = &told[2];
        assert_eq!(ada["usage"], 100);
        assert_eq!(ada["effective_usage"]["number"], 1.0);
        assert_eq!(ada["type"][0], "USER");
        assert_eq!(ada["shares"]["set"], false);
    }

    #[test]
    fn who_asks_for_the_accounts_of_his_own_may_name_any() {
        // Snakemake takes any list for all accounts that there are, and none for no limits.
        assert!(printed(&["-U", "--format", "Account%256", "--noheader"]).is_empty());
    }
}
