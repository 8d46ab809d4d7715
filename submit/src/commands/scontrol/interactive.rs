//! Commands line by line: `scontrol` without a verb, at a terminal or with lines on stdin.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use super::{Options, told};
use crate::failure::{Failure, Outcome};

const PROMPT: &str = "scontrol: ";
/// Bytes of a line; what is longer is no command.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Reads and does commands until the end of stdin, or one that ends it. What goes wrong is told and does not end it; the exit code
/// is then 1, as in Slurm.
pub(super) fn run(mut options: Options) -> Outcome<ExitCode> {
    let stdin = io::stdin().lock();
    let echo = !stdin.is_terminal();
    all(stdin, echo, (&mut io::stdout(), &mut io::stderr()), |words| told(&mut options, words))
}

/// Does every line of `lines`. Where nobody types, each is shown behind its prompt.
fn all(
    mut lines: impl BufRead,
    echo: bool,
    (out, errors): (&mut impl Write, &mut impl Write),
    mut obey: impl FnMut(&[String]) -> Outcome<ExitCode>,
) -> Outcome<ExitCode> {
    let mut exit = ExitCode::SUCCESS;
    let mut last: Vec<String> = Vec::new();
    loop {
        show(out, PROMPT)?;
        let mut line = String::new();
        if io::Read::take(&mut lines, LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            show(out, "\n")?;
            return Ok(exit);
        }
        if echo {
            show(out, &format!("{}\n", line.trim_end()))?;
        }
        let words = match shell_words::split(line.trim()) {
            Ok(words) => words,
            Err(error) => {
                exit = ExitCode::FAILURE;
                writeln!(errors, "scontrol: error: {error}")?;
                continue;
            }
        };
        let words = if words.first().is_some_and(|word| word == "!!") { last.clone() } else { words };
        let Some(first) = words.first() else { continue };
        if ["exit", "quit"].iter().any(|verb| verb.starts_with(&first.to_ascii_lowercase())) {
            return Ok(exit);
        }
        if let Err(failure) = obey(&words) {
            exit = told_of(&failure, errors)?;
        }
        last = words;
    }
}

fn told_of(failure: &Failure, errors: &mut impl Write) -> io::Result<ExitCode> {
    errors.write_all(failure.text().as_bytes())?;
    Ok(if failure.code() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obeyed(lines: &str) -> (Vec<String>, String, ExitCode) {
        let (mut seen, mut out, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let exit = all(lines.as_bytes(), true, (&mut out, &mut errors), |words| {
            seen.push(words.join("|"));
            if words[0] == "bogus" { Err(Failure::new("invalid keyword: bogus")) } else { Ok(ExitCode::SUCCESS) }
        });
        (seen, String::from_utf8(errors).expect("text"), exit.expect("stdout can be written"))
    }

    #[test]
    fn lines_are_done_until_quit_and_errors_do_not_end_it() {
        let (seen, errors, exit) = obeyed("version\n\nupdate nodename=a reason='disk bad'\nbogus\n!!\nq\nping\n");
        assert_eq!(seen, ["version", "update|nodename=a|reason=disk bad", "bogus", "bogus"]);
        assert_eq!(errors, "invalid keyword: bogus\ninvalid keyword: bogus\n");
        assert_eq!(exit, ExitCode::FAILURE);
        assert_eq!(obeyed("version\n").2, ExitCode::SUCCESS);
        assert!(obeyed("ping 'x\nversion\n").1.starts_with("scontrol: error: "));
    }
}
