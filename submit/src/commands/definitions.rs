//! The definition of every command, for completions and manual pages: what `--help` is made of.

use clap::{Command, CommandFactory};

/// The names under which a link may call this binary.
pub(crate) fn is_slurms(name: &str) -> bool {
    super::links::LINKED.contains(&name)
}

/// Every command by its name behind `covey`: those of [`crate::COMMANDS`], and the daemons.
pub(crate) fn all(daemons: Vec<Command>) -> Vec<(String, Command)> {
    let own = crate::COMMANDS.iter().map(|name| {
        let command = of(name).expect("every command is defined");
        (*name, command)
    });
    let daemons = daemons.into_iter().map(|command| {
        let name = command.get_name().trim_start_matches("covey ").to_owned();
        (name, command)
    });
    let plain = |(name, command): (String, Command)| {
        let shown = name.clone();
        // A page and a script name a command by one word; reading habits are of no use to them.
        (name, command.no_binary_name(false).name(shown))
    };
    own.map(|(name, command)| (name.to_owned(), command)).chain(daemons).map(plain).collect()
}

/// The whole program.
pub(crate) fn covey(commands: Vec<(String, Command)>) -> Command {
    Command::new("covey")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A batch scheduler for containers that Slurm users already know how to use")
        .subcommands(commands.into_iter().map(|(_, command)| command))
}

/// The definition of one of our own commands.
fn of(name: &str) -> Option<Command> {
    Some(match name {
        "sbatch" => super::sbatch::options::command(),
        "srun" => super::srun::command(),
        "salloc" => super::salloc::command(),
        "squeue" => super::squeue::command(),
        "scancel" => super::scancel::command(),
        "sinfo" => super::sinfo::command(),
        "scontrol" => super::scontrol::command(),
        "sacct" => super::sacct::options::command(),
        "sacctmgr" => super::sacctmgr::command(),
        "sshare" => super::sshare::command(),
        "sreport" => super::sreport::command(),
        "sstat" => super::sstat::command(),
        "sdiag" => super::sdiag::command(),
        "sprio" => super::sprio::command(),
        "why" => super::why::Args::command(),
        "logs" => super::logs::Args::command(),
        "map" => super::map::command(),
        "backup" => super::backup::Args::command(),
        "blob" => super::blob::Args::command(),
        "op" => super::op::Args::command(),
        "chaos" => super::chaos::Args::command(),
        "rerun" => super::rerun::Args::command(),
        "demo" => super::demo::Args::command(),
        "up" => super::up::Args::command(),
        "down" => super::down::Args::command(),
        "env" => super::env::Args::command(),
        "links" => super::links::Args::command(),
        "node" => super::node::Args::command(),
        "user" => super::user::Args::command(),
        "audit" => super::audit::Args::command(),
        "completions" => super::completions::Args::command(),
        "man" => super::man::Args::command(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_defined_and_every_option_helps() {
        for name in crate::COMMANDS {
            let command = of(name).unwrap_or_else(|| panic!("{name} has no definition here"));
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
        covey(all(Vec::new())).debug_assert();
    }
}
