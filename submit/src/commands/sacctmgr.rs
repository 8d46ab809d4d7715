//! `sacctmgr`: users, accounts, associations, qos, tres and the rest of Slurm's accounting database, as far as the state of the
//! cluster and the history of its jobs know them.
//!
//! There is no database: an account or a wckey is a name that any job may have, and is there once one has had it. So nothing can be
//! added, changed or deleted, and an association says who has used an account, not who may. The rows are in `sacctmgr/rows`.

mod fields;
mod json;
mod rows;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};

use crate::call::{block_on, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::fields::{StyleOptions, Table, find};
use crate::getopt;
use crate::json::{Form, Meta};
use crate::past::cluster;
use crate::show::items;
use fields::{Entity, FIELDS, Row, WITH_ASSOCIATIONS, entities, entity};

const ABOUT: &str = "Show what Slurm keeps in its accounting database, as far as Covey knows it

Entities: account, association, cluster, configuration, event, federation, problem, qos, reservation, resource, \
runawayjobs, stats, transaction, tres, user, wckey. Accounts are names here, and any is accepted: there is nothing to \
add, modify or delete.";

const EXAMPLES: &str = "\
Examples:
  sacctmgr show tres                                   what is counted
  sacctmgr list associations user=ada format=account%30,user
  sacctmgr -n -P show qos format=name                  for a script
  sacctmgr show users --json                           for a program";

#[derive(Args, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// What to do: show or list, an entity, names of what is meant, conditions such as user=ada, and format=FIELDS
    #[arg(value_name = "WORDS", num_args = 0..)]
    words: Vec<String>,
    #[command(flatten)]
    style: StyleOptions,
    /// Ask nothing before a change; there are no changes
    #[arg(short, long)]
    immediate: bool,
    /// Also the fields of associations
    #[arg(short = 's', long)]
    associations: bool,
    /// One line for each record, which is always so
    #[arg(short, long)]
    oneliner: bool,
    /// Only errors
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// No changes, which is always so
    #[arg(short, long)]
    readonly: bool,
    /// Write JSON of Slurm's data parser (v0.0.43); "list" prints the versions
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    /// No effect
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sacctmgr")).about("Show accounting's users, accounts, ...");
    getopt::conventions(command.long_about(ABOUT).after_help(EXAMPLES), Some('h'))
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(manage(args))
}

fn manage(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let verb = options.words.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let is = |name: &str, letters: usize| verb.len() >= letters && name.starts_with(&verb);
    match verb.as_str() {
        "" => Err(Failure::new("sacctmgr: error: no command is given").hint(Some("try: sacctmgr show user"))),
        _ if is("show", 1) || is("list", 1) => show(&options, args),
        _ if is("version", 4) => print(format_args!("slurm {}\n", getopt::SLURM_VERSION)),
        _ if is("help", 1) => print(command().render_long_help()),
        _ if is("add", 2) || is("create", 2) => unchanged("Nothing new added."),
        _ if is("modify", 1) || is("update", 1) => unchanged("Nothing modified"),
        _ if is("delete", 3) || is("remove", 3) => unchanged("Nothing deleted"),
        _ => Err(Failure::new(format_args!("sacctmgr: error: invalid keyword: {}", options.words[0]))
            .hint(Some("of Slurm's verbs, show, list, help and version do something here"))),
    }
}

/// Slurm's text for a change that changes nothing, which scripts know, and why.
fn unchanged(text: &str) -> Outcome<ExitCode> {
    print(format_args!(" {text}\n"))?;
    Err(Failure::silent(1)
        .hint(Some("accounts are names here, and any is accepted: there is nothing to add, modify or delete")))
}

fn show(options: &Options, args: &[OsString]) -> Outcome<ExitCode> {
    let form = Form::of("sacctmgr", options.json.as_deref(), options.yaml.as_deref())?;
    let word = options.words.get(1).map_or("", String::as_str);
    let entity = entity(word).ok_or_else(|| {
        Failure::new(format_args!("sacctmgr: error: No valid entity in list command: {word:?}"))
            .hint(Some(format_args!("entities are {}", entities())))
    })?;
    let asked = Asked::read(options, entity, &options.words[2..])?;
    block_on(async {
        let refused = |error| Failure::call("sacctmgr", "sacctmgr: error: ", &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        let about = cluster(&channel).await.map_err(refused)?;
        match entity.name {
            "configuration" => return print(configuration(&about)),
            "runawayjobs" => {
                return print(format_args!("Runaway Jobs: No runaway jobs found on cluster {}\n", about.name));
            }
            "stats" => {
                return Err(Failure::new("sacctmgr: error: there is no slurmdbd, and nothing is counted of one")
                    .hint(Some("sdiag has the controller's figures")));
            }
            _ => {}
        }
        let rows = rows::rows(&channel, entity.name, &about).await.map_err(refused)?;
        if let Some(form) = form {
            let rows = rows.into_iter().filter(|row| asked.takes(row)).collect();
            let document = json::document(entity.name, rows, &Meta::here("sacctmgr", args, &about.name));
            let none = || Failure::new(format_args!("sacctmgr: error: there is no JSON of {}", entity.name));
            return form.print(&document.ok_or_else(none)?);
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for line in asked.lines(&rows) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The settings, as `show configuration` prints them.
fn configuration(about: &proto::v1::GetClusterReply) -> String {
    let now = crate::show::time(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    let version = [("SLURM_VERSION", getopt::SLURM_VERSION)];
    let settings = about.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
    let lines: String = settings.chain(version).map(|(key, value)| format!("{key:<22} = {value}\n")).collect();
    format!("Configuration data as of {now}\n{lines}")
}

/// What of an entity is shown.
#[derive(Debug)]
struct Asked {
    table: Table<&'static str>,
    heading: bool,
    /// What a field must be, where a row has it: one of these.
    conditions: Vec<(&'static str, Vec<String>)>,
}

/// Conditions of Slurm's by which nothing here can be told apart; the last word of each is optional.
const NO_CONDITIONS: [&str; 27] = [
    "action",
    "actor",
    "adminlevel",
    "all_clusters",
    "all_time",
    "condflags",
    "descriptions",
    "end",
    "events",
    "flags",
    "ids",
    "maxcpus",
    "mincpus",
    "onlydefaults",
    "organizations",
    "parents",
    "qoslevel",
    "reason",
    "servers",
    "start",
    "tree",
    "withassoc",
    "withdeleted",
    "withcoordinators",
    "withfed",
    "withrawqoslevel",
    "withsubaccounts",
];

impl Asked {
    /// Reads what follows the entity.
    ///
    /// # Errors
    /// The first condition or field that there is not, in Slurm's words.
    fn read(options: &Options, entity: Entity, words: &[String]) -> Outcome<Asked> {
        let mut format = String::new();
        let mut conditions: Vec<(&'static str, Vec<String>)> = Vec::new();
        let mut joined = options.associations;
        for word in words {
            let (key, value) = word.split_once('=').map_or((None, word.as_str()), |(key, value)| (Some(key), value));
            let lower = key.unwrap_or(word).to_ascii_lowercase();
            let begins = |name: &&str| lower.len() >= 3 && name.starts_with(lower.trim_end_matches('s'));
            let field = match lower.as_str() {
                "where" => continue,
                _ if key.is_some() && "format".starts_with(&lower) => {
                    format = format!("{format},{value}");
                    continue;
                }
                _ if key.is_none() && lower == "withassoc" => {
                    joined = true;
                    continue;
                }
                _ if key.is_none() && (NO_CONDITIONS.contains(&lower.as_str()) || lower.starts_with("wo")) => continue,
                // A word alone is a name.
                _ if key.is_none() => own_name(entity),
                "name" | "names" => own_name(entity),
                _ if ["users", "accounts", "accts", "clusters", "types", "nodes", "states", "partitions"]
                    .iter()
                    .any(begins) =>
                {
                    condition(&lower)
                }
                _ if NO_CONDITIONS.iter().any(begins) || ["id", "def"].iter().any(|it| lower.starts_with(it)) => {
                    continue;
                }
                _ => {
                    return Err(Failure::new(format_args!(" Unknown condition: {word}"))
                        .hint(Some("conditions are such as user=ada")));
                }
            };
            conditions.push((field, items(value.trim_matches(['"', '\'']))));
        }
        let style = options.style.style(None);
        let usual = match entity.name {
            "user" | "account" if joined => format!("{}{WITH_ASSOCIATIONS}", entity.fields),
            _ => entity.fields.to_owned(),
        };
        let table = Table::parse(if format.is_empty() { &usual } else { &format }, FIELDS, style)
            .map_err(|field| Failure::new(format_args!(" Unknown field '{field}'")))?;
        Ok(Asked { table, heading: !options.style.noheader, conditions })
    }

    fn takes(&self, row: &Row) -> bool {
        self.conditions.iter().all(|(field, values)| row.get(field).is_none_or(|value| values.contains(value)))
    }

    fn lines(&self, rows: &[Row]) -> Vec<String> {
        let text = |row: &Row, field: &str| row.get(field).cloned().unwrap_or_default();
        let lines = rows.iter().filter(|row| self.takes(row)).map(|row| self.table.line(|field| text(row, field)));
        let heading = if self.heading { self.table.heading() } else { Vec::new() };
        heading.into_iter().chain(lines).collect()
    }
}

/// The field that names an entity.
fn own_name(entity: Entity) -> &'static str {
    match entity.name {
        "user" => "User",
        "account" | "association" => "Account",
        "cluster" => "Cluster",
        "event" => "NodeName",
        _ => "Name",
    }
}

/// The field that a condition's key, cut short, in small letters and perhaps in the plural, is about.
fn condition(key: &str) -> &'static str {
    let key = match key.trim_end_matches('s') {
        "node" => "nodename",
        "acct" => "account",
        key => key,
    };
    find(FIELDS, key).map_or("Name", |field| field.value)
}
