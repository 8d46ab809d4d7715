//! `covey op`: a built-in operation on a file, for scripts that move their blobs themselves.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ops::{Limits, Op, OpError, UnknownOp};
use thiserror::Error;

use super::blob::transfer::BLOB_BYTES_MAX;
use crate::failure::{Failure, ended};
use crate::local::arguments::parsed;

/// Runs a built-in operation on a file: what a map does with each blob.
///
/// Known are grayscale and grayscale:lossless. The output appears whole or not at all, and replaces what was there.
#[derive(Debug, Parser)]
#[command(
    name = "covey op",
    after_help = "Example, in a script of an array job:\n  covey blob get az://input/cat.jpg work && covey op grayscale work/cat.jpg work/gray.jpg && covey blob put work/gray.jpg az://output/"
)]
pub(super) struct Args {
    /// The operation
    #[arg(value_name = "OP", value_parser = op)]
    op: Op,
    /// The file to read
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
}

/// Why there is no output.
#[derive(Debug, Error)]
enum OpCommandError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has more than the {BLOB_BYTES_MAX} bytes that one blob may have here", .0.display())]
    TooLarge(PathBuf),
    #[error("{}", path.display())]
    Op { path: PathBuf, source: OpError },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|Args { op, input, output }| {
        convert(op, &input, &output).map_err(|error| Failure::chain("covey op: error: ", &error))?;
        Ok(ExitCode::SUCCESS)
    }))
}

fn op(name: &str) -> Result<Op, UnknownOp> {
    name.parse()
}

fn convert(op: Op, input: &Path, output: &Path) -> Result<(), OpCommandError> {
    let unreadable = |source| OpCommandError::Read { path: input.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(input).map_err(unreadable)?.take(BLOB_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > BLOB_BYTES_MAX {
        return Err(OpCommandError::TooLarge(input.to_owned()));
    }
    let made = ops::run(op, &bytes, &Limits::default());
    let made = made.map_err(|source| OpCommandError::Op { path: input.to_owned(), source })?;
    write_whole(output, &made).map_err(|source| OpCommandError::Write { path: output.to_owned(), source })
}

/// Writes beside the file and then puts it in its place.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let aside = path.with_file_name(name);
    let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, path));
    written.inspect_err(|_| {
        // What could not be put in its place is of no use.
        fs::remove_file(&aside).ok();
    })
}

#[cfg(test)]
mod tests {
    use ops::{inspect, made};

    use super::*;

    #[test]
    fn a_file_becomes_gray_and_what_is_no_picture_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let [colour, gray, text] = ["colour.png", "gray.png", "text.png"].map(|name| folder.path().join(name));
        fs::write(&colour, made::picture(made::COUNT - 1).bytes).expect("written");
        fs::write(&text, "no picture").expect("written");
        convert(Op::Grayscale, &colour, &gray).expect("converted");
        assert!(inspect(&fs::read(&gray).expect("there")).expect("a picture").gray);
        let out = folder.path().join("out.png");
        let error = convert(Op::Grayscale, &text, &out).expect_err("no picture");
        assert!(matches!(&error, OpCommandError::Op { path, .. } if *path == text));
        convert(Op::Grayscale, &folder.path().join("none"), &out).expect_err("nothing to read");
        convert(Op::Grayscale, &colour, folder.path()).expect_err("a folder is no file");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 3, "nothing is left aside");
    }
}
