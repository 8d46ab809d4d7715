//! An attempt as a node keeps it on disk: what it needs to publish a map's output after its own restart.

use bytes::Bytes;
use prost::Message;

use super::{Brief, StartTask};
use crate::error::WireError;
use crate::v1;

/// An attempt's job and task as bytes, without script and environment: its process has those already.
#[must_use]
pub fn keep(brief: &Brief, task: &StartTask) -> Vec<u8> {
    let kept = v1::KeptAttempt { job: Some(brief.light().into()), task: Some(task.clone().into()) };
    kept.encode_to_vec()
}

/// Reads what [`keep`] wrote; `None` for anything else.
#[must_use]
pub fn read_kept(bytes: &[u8]) -> Option<(Brief, StartTask)> {
    let kept = v1::KeptAttempt::decode(bytes).ok()?;
    let brief: Result<Brief, WireError> = kept.job?.try_into();
    Some((brief.ok()?, kept.task?.into()))
}

impl Brief {
    /// The same without script and environment.
    #[must_use]
    pub fn light(&self) -> Brief {
        Brief { environment: Bytes::new(), work: without_text(&self.work), ..self.clone() }
    }
}

fn without_text(work: &super::Work) -> super::Work {
    match work {
        super::Work::Script { arguments, .. } => {
            super::Work::Script { text: Bytes::new(), arguments: arguments.clone() }
        }
        other => other.clone(),
    }
}
