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
    let Some(first) = words.first() else {
        return Err(Failure::new(format_args!("too few arguments for keyword:{name}")));
    };
    // So may those that name nodes and a partition.
    let Some((at, kind)) = words.iter().enumerate().find_map(|(at, word)| Some((at, kind(word)?))) else {
        return Err(no_entity(verb, first));
    };
    let mut words: Vec<Word<'_>> = words.iter().map(|word| read(word)).collect::<Outcome<_>>()?;
    let (_, named) = words.remove(at);
    match (kind, verb) {
        ("nodename", Verb::Update) => update_node::update(named, &words, timeout_s).await,
        ("nodename", _) => Err(no_entity(verb, first)),
        _ => update_partition::change(verb, named, &words, timeout_s).await,
    }
}

/// The kind of thing that a word names; Slurm wants three letters of a key.
fn kind(word: &str) -> Option<&'static str> {
    let (key, _) = word.split_once('=')?;
    keyword(key, &["nodename", "partitionname"]).filter(|_| key.len() >= 3)
}

/// Slurm's words where nothing is named that could be changed.
fn no_entity(verb: Verb, word: &str) -> Failure {
    match verb {
        Verb::Create => Failure::new(format_args!("scontrol: error: Invalid creation entity: {word}")),
        Verb::Delete => Failure::new(format_args!("Invalid deletion entity: {word}")),
        Verb::Update => Failure::new("No valid entity in update command").line(
            "Input line must include \"NodeName\", \"PartitionName\", \"Reservation\", \"JobId\", or \"SlurmctldDebug\"",
        ),
    }
    .hint(Some("Covey updates jobid=, nodename= and partitionname=, and creates and deletes partitionname="))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_named_anywhere_by_three_letters_at_least() {
        for (word, meant) in [
            ("NodeName=n1", Some("nodename")),
            ("nod=n1", Some("nodename")),
            ("part=p", Some("partitionname")),
            ("no=n1", None),
            ("state=drain", None),
            ("nodename", None),
        ] {
            assert_eq!(kind(word), meant, "{word}");
        }
    }

    #[test]
    fn a_thing_that_is_not_named_is_refused_in_slurms_words() {
        let refused = |verb| no_entity(verb, "foo=bar").text();
        assert!(refused(Verb::Create).starts_with("scontrol: error: Invalid creation entity: foo=bar\n"));
        assert!(refused(Verb::Delete).starts_with("Invalid deletion entity: foo=bar\n"));
        assert!(refused(Verb::Update).starts_with(
            "No valid entity in update command\nInput line must include \"NodeName\", \"PartitionName\", \"Reservation\", \
             \"JobId\", or \"SlurmctldDebug\"\n"
        ));
    }
}
