//! The batch script: where it is found, what it must look like, what it is called.
//!
//! The text is copied at submit; later edits change nothing. What its directives mean is in `options`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sched::settings::Settings;
use sched::spec::directives;

use crate::failure::{Failure, Outcome};
use crate::submitter::Submitter;

/// The largest script that is read at all, in bytes; Slurm's hard limit. What the controller takes is less.
const READ_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A script, ready to be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// Its bytes; they need not be UTF-8.
    pub(super) text: Vec<u8>,
    /// What the job is called unless somebody says otherwise.
    pub(super) name: String,
    /// Path and arguments as typed, for `Command=`; empty where there is no file.
    pub(super) command: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
}

impl Script {
    /// A command in a script of its own.
    pub(super) fn wrapped(command: &str) -> Script {
        let text = format!("#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n").into_bytes();
        Script { text, name: "wrap".into(), command: String::new(), arguments: Vec::new() }
    }

    /// Reads the script that the first word names, or stdin when there is no word.
    pub(super) fn read(words: &[OsString], submitter: &Submitter) -> Outcome<Script> {
        let script = match words.split_first() {
            None => {
                Script { text: read_stdin()?, name: "sbatch".into(), command: String::new(), arguments: Vec::new() }
            }
            Some((name, arguments)) => Script::read_file(name, arguments, submitter)?,
        };
        Ok(script)
    }

    fn read_file(name: &OsStr, arguments: &[OsString], submitter: &Submitter) -> Outcome<Script> {
        let path = find(Path::new(name), &submitter.dir, std::env::var_os("PATH").as_deref());
        let text = read_bounded(&path).map_err(|error| {
            Failure::new(format_args!("sbatch: error: Unable to open file {}", name.display())).hint(Some(error))
        })?;
        let arguments = texts(arguments)?;
        let command =
            std::iter::once(submitter.absolute(&path)).chain(arguments.iter().cloned()).collect::<Vec<_>>().join(" ");
        let base = path.file_name().unwrap_or(name).to_string_lossy().into_owned();
        Ok(Script { text, name: base, command, arguments })
    }

    /// Checks that it may be submitted.
    pub(super) fn check(&self) -> Outcome<()> {
        let checked = directives::check(&self.text, Settings::default().script_bytes_max);
        checked.map_err(|error| {
            let lines = error.to_string().lines().map(|line| format!("sbatch: error: {line}")).collect::<Vec<_>>();
            Failure::new(lines.join("\n"))
        })
    }
}

/// Words that travel as text.
pub(super) fn texts(words: &[OsString]) -> Outcome<Vec<String>> {
    let text = |word: &OsString| {
        let refused =
            || Failure::new(format_args!("sbatch: error: the argument {} is not valid UTF-8", word.display()));
        word.to_str().map(str::to_owned).ok_or_else(refused)
    };
    words.iter().map(text).collect()
}

/// A name with a dot or a slash in front is a path; any other is looked for here, then in PATH.
fn find(name: &Path, dir: &Path, path: Option<&OsStr>) -> PathBuf {
    let here = dir.join(name);
    if name.as_os_str().as_bytes().starts_with(b".") || name.is_absolute() || here.is_file() {
        return here;
    }
    let mut places = path.map(std::env::split_paths).into_iter().flatten().map(|folder| folder.join(name));
    places.find(|place| place.is_file()).unwrap_or(here)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(READ_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn read_stdin() -> Outcome<Vec<u8>> {
    let mut text = Vec::new();
    let read = io::stdin().lock().take(READ_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|error| Failure::chain("sbatch: error: cannot read the script from stdin: ", &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("job.sh"), b"#!/bin/sh\n").expect("a script");
        let script =
            Script::read(&["job.sh".into(), "-x".into()], &Submitter::ada_in(folder.path())).expect("it is there");
        assert_eq!((script.name.as_str(), script.arguments.as_slice()), ("job.sh", ["-x".to_owned()].as_slice()));
        assert_eq!(script.command, format!("{}/job.sh -x", folder.path().display()));
        let missing =
            Script::read(&["./no.sh".into()], &Submitter::ada_in(folder.path())).expect_err("it is not there");
        assert!(missing.text().starts_with("sbatch: error: Unable to open file ./no.sh\n"), "{}", missing.text());
        let elsewhere = find(Path::new("job.sh"), Path::new("/nowhere"), Some(folder.path().as_os_str()));
        assert_eq!(elsewhere, folder.path().join("job.sh"));
    }

    #[test]
    fn every_line_of_a_refusal_has_the_prefix() {
        let script = Script { text: b"echo\n".to_vec(), ..Script::wrapped("") };
        let text = script.check().expect_err("no interpreter").text();
        assert_eq!(
            text,
            "sbatch: error: This does not look like a batch script.  The first\n\
             sbatch: error: line must start with #! followed by the path to an interpreter.\n\
             sbatch: error: For instance: #!/bin/sh\n"
        );
        assert_eq!(Script::wrapped("true").check(), Ok(()));
    }
}
