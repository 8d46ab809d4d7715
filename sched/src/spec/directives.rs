//! Batch scripts at submit: the `#SBATCH` and `#COVEY` lines in them, and whether they look like scripts at all.
//!
//! Options are not known here, only lines and words; a script is bytes and need not be UTF-8. Start at [`read`].

use thiserror::Error;

use super::words::{self, OpenQuote};

/// What a directive starts with, in the first column. Whatever follows is its options, blank or not, as in Slurm.
const SLURMS: &[u8] = b"#SBATCH";
/// For options that Slurm does not have; here a blank must follow.
const OURS: &[u8] = b"#COVEY";

/// One directive line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The line's number, counted from 1.
    pub line: u32,
    /// Its words after the prefix, unquoted; possibly none.
    pub words: Vec<Vec<u8>>,
}

/// A directive that cannot be split into words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}")]
pub struct DirectiveError {
    /// The line's number, counted from 1.
    pub line: u32,
    /// What is wrong with it.
    pub source: OpenQuote,
}

/// Reads the directives up to the first line that is neither blank nor a comment.
///
/// # Errors
/// When a directive opens a quote and does not close it.
pub fn read(script: &[u8]) -> Result<Vec<Directive>, DirectiveError> {
    let is_head = |line: &&[u8]| matches!(line.trim_ascii_start().first(), None | Some(b'#'));
    let mut directives = Vec::new();
    for (line, text) in (1..).zip(script.split(|byte| *byte == b'\n').take_while(is_head)) {
        if let Some(options) = options(text) {
            let words = words::split(options).map_err(|source| DirectiveError { line, source })?;
            directives.push(Directive { line, words });
        }
    }
    Ok(directives)
}

/// What follows the prefix, if the line is a directive.
fn options(line: &[u8]) -> Option<&[u8]> {
    let ours = || line.strip_prefix(OURS).filter(|rest| matches!(rest.first(), None | Some(b' ' | b'\t')));
    line.strip_prefix(SLURMS).or_else(ours)
}

/// Checks that `script` may be submitted, in the order in which Slurm does.
///
/// # Errors
/// The first check that fails.
pub fn check(script: &[u8], bytes_max: usize) -> Result<(), ScriptError> {
    if script.is_empty() {
        return Err(ScriptError::Empty);
    }
    if script.iter().all(|byte| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB) {
        return Err(ScriptError::OnlyWhitespace);
    }
    if !script.starts_with(b"#!") {
        return Err(ScriptError::NoInterpreter);
    }
    if script.contains(&0) {
        return Err(ScriptError::Nul);
    }
    if script.windows(2).any(|pair| pair == b"\r\n") {
        return Err(ScriptError::DosLineBreaks);
    }
    if script.len() > bytes_max {
        return Err(ScriptError::TooLong { bytes: script.len(), bytes_max });
    }
    Ok(())
}

/// White space for C's `isspace`, which Slurm asks, but not for Rust.
const VERTICAL_TAB: u8 = 0x0b;

/// Why a script was refused. Each message is Slurm's, and each of its lines is printed as an error of its own.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScriptError {
    /// No byte at all.
    #[error("Batch script is empty!")]
    Empty,
    /// Nothing but blanks and line breaks.
    #[error("Batch script contains only whitespace!")]
    OnlyWhitespace,
    /// The first two bytes are not `#!`.
    #[error(
        "This does not look like a batch script.  The first\n\
         line must start with #! followed by the path to an interpreter.\n\
         For instance: #!/bin/sh"
    )]
    NoInterpreter,
    /// A zero byte somewhere.
    #[error("The Slurm controller does not allow scripts that\ncontain a NULL character '\\0'.")]
    Nul,
    /// A carriage return before a line break.
    #[error("Batch script contains DOS line breaks (\\r\\n)\ninstead of expected UNIX line breaks (\\n).")]
    DosLineBreaks,
    /// Longer than the limit given. Slurm leaves this to the controller, whose text names neither script nor size.
    #[error("Batch script of {bytes} bytes is too large: at most {bytes_max} bytes are allowed")]
    TooLong {
        /// The size of the script.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 64;

    fn found(script: &str) -> Vec<(u32, String)> {
        let directives = read(script.as_bytes()).expect(script).into_iter();
        directives.map(|it| (it.line, String::from_utf8(it.words.join(&b'|')).expect("the script was UTF-8"))).collect()
    }

    #[test]
    fn reads_the_head_of_a_script_only() {
        let script = "#!/bin/sh\n#SBATCH -J one -t 5 # why\n\n  # c\n#COVEY --map-op=\"gray scale\"\n   \n#SBATCH\t-n\t2\n\
                      echo\n#SBATCH -J late\n";
        let expected = [(2, "-J|one|-t|5"), (5, "--map-op=gray scale"), (7, "-n|2")];
        assert_eq!(found(script), expected.map(|(line, words)| (line, words.to_owned())));
    }

    #[test]
    fn only_the_exact_prefix_in_column_zero_counts() {
        for line in ["# SBATCH -J x", " #SBATCH -J x", "##SBATCH -J x", "#sbatch -J x", "#COVEYS x", ""] {
            assert_eq!(found(line), [], "{line}");
        }
        assert_eq!(found("#SBATCH"), [(1, String::new())]);
        assert_eq!(found("#SBATCH-J x   "), [(1, "-J|x".into())]);
        assert_eq!(found("#SBATCHX -J x"), [(1, "X|-J|x".into())], "a stray word, which sbatch refuses");
    }

    #[test]
    fn an_open_quote_is_reported_with_its_line() {
        let error = read(b"#!/bin/sh\n\n#SBATCH -J \"abc\n").expect_err("the quote is open");
        assert_eq!((error.line, error.source.quote), (3, '"'));
        assert!(read(b"#!/bin/sh\necho\n#SBATCH -J \"abc\n").is_ok(), "the script proper is not read");
    }

    #[test]
    fn a_script_need_not_be_utf8() {
        let directives = read(b"#!/bin/sh\n#SBATCH -J \xff\xfe\n").expect("bytes are enough");
        assert_eq!(directives[0].words, [b"-J".to_vec(), b"\xff\xfe".to_vec()]);
    }

    #[test]
    fn checks_come_in_slurms_order_with_slurms_texts() {
        let cases: &[(&[u8], Result<(), &str>)] = &[
            (b"#!/bin/sh\necho\n", Ok(())),
            (b"#!", Ok(())),
            (b"#!/bin/sh\r", Ok(())),
            (b"", Err("Batch script is empty!")),
            (b" \r\n\t\x0b\x0c", Err("Batch script contains only whitespace!")),
            (b"\n#!/bin/sh\n", Err("This does not look like a batch script.  The first")),
            (b"x\0y", Err("This does not look like a batch script.  The first")),
            (b"#!/bin/sh\r\n\0", Err("The Slurm controller does not allow scripts that")),
            (b"#!/bin/sh\necho\r\n", Err("Batch script contains DOS line breaks (\\r\\n)")),
            (&[b"#!".as_slice(), &[b'x'; BYTES_MAX - 2]].concat(), Ok(())),
            (
                &[b"#!".as_slice(), &[b'x'; BYTES_MAX - 1]].concat(),
                Err("Batch script of 65 bytes is too large: at most 64 bytes are allowed"),
            ),
        ];
        for (script, expected) in cases {
            let checked = check(script, BYTES_MAX).map_err(|error| error.to_string());
            let expected = expected.map_err(str::to_owned);
            let first_line = checked.map_err(|text| text.lines().next().map_or_else(String::new, str::to_owned));
            assert_eq!(first_line, expected, "{}", script.escape_ascii());
        }
        assert_eq!(ScriptError::NoInterpreter.to_string().lines().last(), Some("For instance: #!/bin/sh"));
        assert_eq!(ScriptError::Nul.to_string().lines().last(), Some("contain a NULL character '\\0'."));
        let dos = ScriptError::DosLineBreaks.to_string();
        assert_eq!(dos.lines().last(), Some("instead of expected UNIX line breaks (\\n)."));
    }

    proptest! {
        #[test]
        fn no_script_panics(script in prop::collection::vec(any::<u8>(), 0..80)) {
            let headed = [b"#SBATCH ".as_slice(), &script].concat();
            let _ = (read(&script), read(&headed), check(&headed, BYTES_MAX));
        }
    }
}
