//! `covey completions`: what a shell needs to complete every command, made from the same definitions as `--help`.
//!
//! Both ways to call a command are known: behind `covey`, and under the name of a link to it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap_complete::Shell;

use super::definitions::{self, all};
use crate::failure::{ended, print};
use crate::local::arguments::parsed;

/// Prints a script by which a shell completes covey's commands and options.
#[derive(Debug, Parser)]
#[command(
    name = "covey completions",
    after_help = "Examples:\n  eval \"$(covey completions bash)\"\n  covey completions zsh > ~/.zsh/completions/_covey\n  \
                  covey completions fish > ~/.config/fish/completions/covey.fish"
)]
pub(super) struct Args {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &[OsString], daemons: Vec<clap::Command>) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| print(script(args.shell, daemons))))
}

/// The script for all names.
fn script(shell: Shell, daemons: Vec<clap::Command>) -> String {
    let mut text = Vec::new();
    let mut add =
        |mut command: clap::Command, name: &str| clap_complete::generate(shell, &mut command, name, &mut text);
    let commands = all(daemons);
    for (name, command) in commands.iter().filter(|(name, _)| definitions::is_slurms(name)) {
        add(command.clone(), name);
    }
    add(definitions::covey(commands), "covey");
    String::from_utf8(text).expect("names and helps are text")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell, Vec::new());
            for name in crate::COMMANDS {
                assert!(script.contains(name), "{shell} knows {name}");
            }
        }
    }

    #[test]
    fn bash_accepts_the_script() {
        let mut bash =
            Command::new("bash").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn().expect("bash is there");
        let script = script(Shell::Bash, Vec::new());
        bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("it reads");
        assert!(bash.wait().expect("it ends").success());
        for name in ["complete -F _squeue", "complete -F _covey", "--noheader"] {
            assert!(script.contains(name), "{name}");
        }
    }
}
