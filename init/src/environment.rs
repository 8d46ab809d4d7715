//! Variables out of files: how secrets reach a daemon's environment without standing in any argument.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The longest file that is read.
const BYTES_MAX: u64 = 64 << 10;

/// Why a file gives no variables. The text never holds what is in the file.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// It cannot be read.
    #[error("cannot read the variables in {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is too long.
    #[error("{} is longer than the {BYTES_MAX} bytes that a file of variables may have", .0.display())]
    TooLong(PathBuf),
    /// A line is none.
    #[error("line {line} of {} is not of the form NAME=VALUE", path.display())]
    Line {
        /// Where.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
    },
}

/// The variables of these files; of a name that stands in several the last one counts.
///
/// # Errors
/// The first file or line that cannot be taken.
pub(crate) fn read_all(files: &[PathBuf]) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut variables = Vec::new();
    for path in files {
        variables.extend(read(path)?);
    }
    Ok(variables)
}

fn read(path: &Path) -> Result<Vec<(String, String)>, EnvironmentError> {
    let failed = |source| EnvironmentError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(EnvironmentError::TooLong(path.to_owned()));
    }
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let pair = line.split_once('=').filter(|(name, _)| is_name(name));
            let (name, value) = pair.ok_or_else(|| EnvironmentError::Line { path: path.to_owned(), line: at + 1 })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_become_variables_and_a_bad_one_is_named_without_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        fs::write(&path, "# keys\n\nA=1\n  B_2 = two=2\nA=3\n").expect("written");
        assert!(matches!(read(&path), Err(EnvironmentError::Line { line: 4, .. })), "a blank is in no name");
        fs::write(&path, "# keys\n\nA=1\nB_2=two=2\n").expect("written");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read_all(std::slice::from_ref(&path)).expect("good"), [pair("A", "1"), pair("B_2", "two=2")]);
        fs::write(&path, "SECRET\n").expect("written");
        let error = read(&path).expect_err("no variable").to_string();
        assert!(error.starts_with("line 1 of ") && !error.contains("SECRET"), "{error}");
        fs::write(&path, "#".repeat(70_000)).expect("written");
        assert!(matches!(read(&path), Err(EnvironmentError::TooLong(_))));
        assert!(matches!(read(&folder.path().join("none")), Err(EnvironmentError::Read { .. })));
    }
}
