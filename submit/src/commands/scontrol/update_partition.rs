//! `scontrol create`, `update` and `delete partitionname=`. Silent where all goes well.

use std::process::ExitCode;

use proto::v1::{ChangePartitionRequest, PartitionVerb, PartitionWord};
use sched::partition::{Change, ChangeError};

use super::update::{Verb, Word, aborted};
use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};

/// Makes, changes or deletes a partition.
pub(super) async fn change(verb: Verb, name: &str, words: &[Word<'_>], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    let request = read(verb, name, words)?;
    let done = async {
        let channel = connect(timeout_s).await?;
        client(&channel).change_partition(request).await?;
        Ok(())
    };
    let refused = |error: CallError| Failure::call("scontrol", &prefix(verb, name), &error);
    done.await.map(|()| ExitCode::SUCCESS).map_err(refused)
}

/// What a refused call starts with.
fn prefix(verb: Verb, name: &str) -> String {
    match verb {
        Verb::Create => "Error creating the partition: ".into(),
        Verb::Update => "slurm_update error: ".into(),
        Verb::Delete => format!("delete_partition {name}: "),
    }
}

fn read(verb: Verb, name: &str, words: &[Word<'_>]) -> Outcome<ChangePartitionRequest> {
    let mut tried = Change::default();
    for (key, value) in words {
        tried.set(key, value).map_err(|error| match error {
            ChangeError::Value { .. } => aborted(format_args!("scontrol: error: {error}")),
            _ => aborted(format_args!("Update of this parameter is not supported: {key}={value}")).hint(Some(error)),
        })?;
    }
    let verb = match verb {
        Verb::Update if words.is_empty() => return Err(Failure::new("No changes specified")),
        Verb::Delete if !words.is_empty() => {
            return Err(aborted("scontrol: error: a partition is deleted by its name alone"));
        }
        Verb::Create => PartitionVerb::Create,
        Verb::Update => PartitionVerb::Update,
        Verb::Delete => PartitionVerb::Delete,
    };
    let words = words.iter().map(|(key, value)| PartitionWord { key: (*key).into(), value: (*value).into() });
    Ok(ChangePartitionRequest { verb: verb.into(), name: name.into(), words: words.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_checked_before_they_are_sent() {
        let request = read(Verb::Create, "fast", &[("nodes", "n[1-3]"), ("MAXTIME", "1-0")]).expect("good");
        assert_eq!((request.verb(), request.name.as_str(), request.words.len()), (PartitionVerb::Create, "fast", 2));
        for (verb, words, text) in [
            (
                Verb::Update,
                &[("AllowGroups", "staff")][..],
                "parameter is not supported: AllowGroups=staff\nRequest aborted\n",
            ),
            (Verb::Update, &[("max", "5")], "max may mean MaxTime or MaxNodes or "),
            (Verb::Update, &[("state", "off")], "State=off has no meaning: give UP, DOWN, DRAIN or INACTIVE\n"),
            (Verb::Update, &[], "No changes specified\n"),
            (Verb::Delete, &[("state", "up")], "by its name alone\n"),
        ] {
            let failure = read(verb, "p", words).expect_err("refused");
            assert!(failure.text().contains(text) && failure.code() == 1, "{}", failure.text());
        }
    }
}
