//! `ChangePartition`: partitions made, changed and deleted by commands.

use proto::error::{WireError, refused};
use proto::v1;
use sched::partition::Change;
use sched::step::{Answer, Input};
use tonic::{Code, Status};

use super::{Desk, refuse, unavailable};

/// The most words about a partition in one call: each key a few times over.
const WORDS_MAX: usize = 64;

pub(super) async fn change(
    desk: &Desk,
    request: v1::ChangePartitionRequest,
) -> Result<v1::ChangePartitionReply, Status> {
    match desk.post.ask(read(&request)?, Vec::new()).await.map_err(unavailable)? {
        Answer::Done => Ok(v1::ChangePartitionReply {}),
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("a change of a partition was answered with {other:?}"))),
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
            refused(Code::InvalidArgument, "Invalid partition specification", Some(&error.to_string()))
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
