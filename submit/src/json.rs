//! `--json` and `--yaml` in the shape of Slurm's data parser: the frame around each document, for every command.
//!
//! The numbers of Slurm's kind are in `json/number`, and the documents in the files beside it. What Covey does not know is unset,
//! and never made up. Start at [`Form`] and [`Meta`].

pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod nodes;
pub(crate) mod number;
pub(crate) mod partitions;
pub(crate) mod pings;
pub(crate) mod statistics;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome, print};
use crate::getopt::SLURM_VERSION;
use crate::submitter::Submitter;

/// The version of Slurm's data parser whose shape this is.
const PARSER: &str = "v0.0.43";

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `--json`.
    Json,
    /// `--yaml`.
    Yaml,
}

impl Form {
    /// What the two options ask for; `list` prints the versions that there are, and ends the command.
    ///
    /// # Errors
    /// A version that is another one than [`PARSER`].
    pub(crate) fn of(command: &str, json: Option<&str>, yaml: Option<&str>) -> Outcome<Option<Form>> {
        let Some((form, version)) = json.map(|v| (Form::Json, v)).or_else(|| yaml.map(|v| (Form::Yaml, v))) else {
            return Ok(None);
        };
        let version = version.strip_prefix("data_parser/").unwrap_or(version);
        match version.split('+').next().unwrap_or_default() {
            "" | PARSER => Ok(Some(form)),
            "list" => {
                print(format_args!("Possible data_parser plugins:\ndata_parser/{PARSER}\n"))?;
                Err(Failure::silent(0))
            }
            other => Err(Failure::new(format_args!("{command}: fatal: Unable to find plugin: data_parser/{other}"))
                .hint(Some(format_args!("{command} knows one shape: data_parser/{PARSER}")))),
        }
    }

    /// Writes a document to stdout, row by row.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub(crate) fn print(self, document: &Document<'_>) -> Outcome<ExitCode> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        self.write(document, &mut out)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn write(self, document: &Document<'_>, out: &mut impl Write) -> io::Result<()> {
        match self {
            Form::Json => {
                serde_json::to_writer_pretty(&mut *out, document)?;
                writeln!(out)
            }
            Form::Yaml => {
                writeln!(out, "---")?;
                serde_saphyr::to_io_writer(out, document).map_err(|error| match error {
                    serde_saphyr::SerializeError::IO { error } => error,
                    other => io::Error::other(other),
                })
            }
        }
    }
}

/// A list of rows under its name if there is one, and what stands beside it. Rows are made one at a time when it is written, because those of a
/// long listing would fill the memory.
pub(crate) struct Document<'a> {
    rows: Option<(&'static str, Rows<'a>)>,
    rest: Value,
}

/// Makes the rows.
type Rows<'a> = Box<dyn Fn() -> Box<dyn Iterator<Item = Value> + 'a> + 'a>;

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        if let Some((key, rows)) = &self.rows {
            fields.serialize_entry(key, &Lazy(rows))?;
        }
        for (key, value) in self.rest.as_object().into_iter().flatten() {
            fields.serialize_entry(key, value)?;
        }
        fields.end()
    }
}

struct Lazy<'a, 'b>(&'a Rows<'b>);

impl Serialize for Lazy<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// What stands around a document: who asked, with which command.
#[derive(Debug)]
pub(crate) struct Meta {
    source: String,
    user: String,
    group: String,
    words: Vec<String>,
    cluster: String,
}

impl Meta {
    /// For a command with its arguments, run by whoever runs this.
    pub(crate) fn here(command: &str, args: &[OsString], cluster: &str) -> Meta {
        let terminal = rustix::termios::ttyname(rustix::stdio::stdin(), Vec::new());
        let words = args.iter().map(|word| word.to_string_lossy().into_owned());
        let submitter = Submitter::here().ok();
        let (user, group) = submitter.map(|it| (it.user.name, it.user.group)).unwrap_or_default();
        Meta {
            source: terminal.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            user,
            group,
            words: std::iter::once(command.to_owned()).chain(words).collect(),
            cluster: cluster.to_owned(),
        }
    }

    /// The document of `rows`, and of the fields of `rest`.
    pub(crate) fn around<'a, I>(&self, key: &'static str, rows: impl Fn() -> I + 'a, rest: Value) -> Document<'a>
    where
        I: Iterator<Item = Value> + 'a,
    {
        Document { rows: Some((key, Box::new(move || Box::new(rows())))), rest: joined([rest, self.frame()]) }
    }

    /// The document of one object under its name.
    pub(crate) fn object<'a>(&self, key: &'static str, value: Value) -> Document<'a> {
        Document { rows: None, rest: joined([json!({ key: value }), self.frame()]) }
    }

    /// What every document has.
    fn frame(&self) -> Value {
        let mut version = SLURM_VERSION.split('.');
        let mut part = || version.next().unwrap_or_default();
        let (major, minor, micro) = (part(), part(), part());
        json!({
            "meta": {
                "plugin": {
                    "type": "",
                    "name": "",
                    "data_parser": format!("data_parser/{PARSER}"),
                    "accounting_storage": "",
                },
                "client": { "source": self.source, "user": self.user, "group": self.group },
                "command": self.words,
                "slurm": {
                    "version": { "major": major, "minor": minor, "micro": micro },
                    "release": SLURM_VERSION,
                    "cluster": self.cluster,
                },
            },
            "errors": [],
            "warnings": [],
        })
    }
}

/// One object of the fields of several.
fn joined(objects: impl IntoIterator<Item = Value>) -> Value {
    let fields = objects.into_iter().filter_map(|object| match object {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect::<Map<_, _>>())
}

/// A comma list as a list.
fn list(text: &str) -> Value {
    crate::show::items(text).into()
}

/// Refuses clusters that this is not, as after `-M`.
///
/// # Errors
/// The first of them, in Slurm's text.
pub(crate) fn check_cluster(command: &str, asked: &[String], own: &str) -> Outcome<()> {
    match asked.iter().find(|name| *name != own && *name != "all") {
        None => Ok(()),
        Some(other) => Err(Failure::new(format_args!(
            "{command}: error: '{other}' can't be reached now, or it is an invalid entry for --cluster.  \
             Use 'sacctmgr list clusters' to see available clusters."
        ))
        .hint(Some(format_args!("this cluster is called {own}")))),
    }
}
