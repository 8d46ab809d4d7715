//! `scontrol update`, `create` and `delete`: which kind of thing is meant, by the key that names it.
//!
//! Each kind has its own file. Keys are taken in any case and may be cut short where only one is meant. Start at [`change`].

use std::process::ExitCode;

use super::{keyword, update_job, update_node, update_partition};
use crate::failure::{Failure, Outcome};

/// A key and its value, as typed.
pub(super) type Word<'a> = (&'a str, &'a str);

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
    Delete,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}

/// Changes what the first word names.
pub(super) async fn change(verb: Verb, words: &[&str], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    let name = verb.name();
    // The key that names the job may stand anywhere, as in Slurm.
    if verb == Verb::Update && words.iter().any(|word| keyword(word, &["jobid"]).is_some()) {
        return update_job::update(words, timeout_s).await;
    }
    let words: Vec<Word<'_>> = words.iter().map(|word| read(word)).collect::<Outcome<_>>()?;
    let Some(&(key, named)) = words.first() else {
        return Err(Failure::new(format_args!("too few arguments for keyword:{name}")));
    };
    let rest = &words[1..];
    match (keyword(key, &["nodename", "partitionname"]), verb) {
        (Some("nodename"), Verb::Update) => update_node::update(named, rest, timeout_s).await,
        (Some("partitionname"), verb) => update_partition::change(verb, named, rest, timeout_s).await,
        _ => Err(Failure::new(format_args!("scontrol: error: {name} is not built in Covey yet; nothing was changed"))
            .hint(Some("Covey updates jobid=, nodename= and partitionname=, and creates and deletes partitionname="))),
    }
}

fn read(word: &str) -> Outcome<Word<'_>> {
    word.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| aborted(format_args!("Invalid input: {word}")))
}

/// Slurm's words for a request that is not even sent.
pub(super) fn aborted(why: impl std::fmt::Display) -> Failure {
    Failure::new(why).line("Request aborted")
}
