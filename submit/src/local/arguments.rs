//! Reading the arguments of Covey's own commands, which follow clap's habits and not Slurm's.

use std::ffi::OsString;

use clap::Parser;

use crate::failure::{Failure, Outcome, print};

/// The exit code for arguments that a command does not understand.
const BAD_ARGUMENTS: u8 = 2;

/// Reads the arguments. `--help` is printed here, and ends the command well.
///
/// # Errors
/// What is wrong with them, and how to learn more.
pub(crate) fn parsed<T: Parser>(args: &[OsString]) -> Outcome<T> {
    let read =
        T::command().no_binary_name(true).try_get_matches_from(args).and_then(|matches| T::from_arg_matches(&matches));
    read.or_else(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            return Err(Failure::new(text.trim_end()).exit(BAD_ARGUMENTS));
        }
        print(text)?;
        Err(Failure::silent(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "covey thing")]
    struct Thing {
        #[arg(long)]
        count: u32,
    }

    #[test]
    fn what_is_wrong_is_named_with_the_command() {
        assert_eq!(parsed::<Thing>(&["--count".into(), "3".into()]).expect("good").count, 3);
        let failure = parsed::<Thing>(&["--cuont".into()]).expect_err("a slip");
        let text = failure.text();
        assert!(text.contains("'--cuont'") && text.contains("Usage: covey thing --count"), "{text}");
        assert_eq!(parsed::<Thing>(&["--help".into()]).expect_err("ends here"), Failure::silent(0));
    }
}
