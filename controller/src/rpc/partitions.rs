//! `ChangePartition`: partitions made, changed and deleted by commands.

use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::allow::Verb;
use sched::partition::Change;
use sched::step::{Answer, Input};
use tonic::{Request, Status};

use super::{Desk, refuse, unavailable};
use crate::audit::recorded::Note;

/// The most words about a partition in one call: each key a few times over.
const WORDS_MAX: usize = 64;

pub(super) async fn change(
    desk: &Desk,
    request: Request<v1::ChangePartitionRequest>,
) -> Result<v1::ChangePartitionReply, Status> {
    let input = read(request.get_ref())?;
    let verb = verb_of(&input);
    let note = Note::of(request.extensions());
    note.verb(verb);
    note.what(request.get_ref().name.as_str());
    desk.rights.asker_here(&request, verb)?;
    match desk.post.ask(input, Vec::new()).await.map_err(unavailable)? {
        Answer::Done => Ok(v1::ChangePartitionReply {}),
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("a change of a partition was answered with {other:?}"))),
    }
}

/// What it takes: of a partition that is there, the state alone is for operators, too.
fn verb_of(input: &Input) -> Verb {
    match input {
        Input::UpdatePartition { change, .. } if change.is_of_state_alone() => Verb::PartitionState,
        _ => Verb::ChangePartition,
    }
}

fn read(request: &v1::ChangePartitionRequest) -> Result<Input, Status> {
    if request.words.len() > WORDS_MAX {
        let value = format!("{} of them; at most {WORDS_MAX}", request.words.len());
        return Err(WireError::Meaningless { field: "words", value }.into());
    }
    let mut change = Change::default();
    for word in &request.words {
        change.set(&word.key, &word.value).map_err(|error| {
            refused(ErrorReason::PartitionInvalid, "Invalid partition specification", Some(&error.to_string()))
        })?;
    }
    let name = request.name.as_str().into();
    match request.verb() {
        v1::PartitionVerb::Create => Ok(Input::CreatePartition { name, change }),
        v1::PartitionVerb::Update => Ok(Input::UpdatePartition { name, change }),
        v1::PartitionVerb::Delete => Ok(Input::DeletePartition { name }),
        v1::PartitionVerb::Unspecified => Err(WireError::Missing("verb").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_update_of_nothing_but_the_state_is_for_operators() {
        use v1::PartitionVerb::{Create, Delete, Update};
        let verb = |verb: v1::PartitionVerb, words: &[(&str, &str)]| {
            let word = |(key, value): &(&str, &str)| v1::PartitionWord { key: (*key).into(), value: (*value).into() };
            let words = words.iter().map(word).collect();
            let request = v1::ChangePartitionRequest { verb: verb.into(), name: "a".into(), words };
            verb_of(&read(&request).expect("it means something"))
        };
        assert_eq!(verb(Update, &[("State", "DOWN")]), Verb::PartitionState);
        assert_eq!(verb(Update, &[("stat", "up"), ("STATE", "drain")]), Verb::PartitionState);
        for (kind, words) in
            [(Update, &[("State", "UP"), ("MaxTime", "5")][..]), (Create, &[("State", "UP")]), (Delete, &[])]
        {
            assert_eq!(verb(kind, words), Verb::ChangePartition);
        }
    }
}
