//! What a stepd says, kept until srun has it: numbered, bounded, and said again after a broken stream.
//!
//! Whoever has more to say than may wait, waits; so a task whose output nobody takes stands still in its pipe, and nothing is
//! lost. Once nobody listens any more, everything that is said is dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::v1::StepSaid;
use proto::v1::step_said::Kind;
use tokio::sync::{Notify, Semaphore};

/// Bytes of output that srun has not confirmed yet.
pub(super) const UNRECEIVED_BYTES_MAX: usize = 4 << 20;
/// What is kept of a message beside its bytes.
const MESSAGE_BYTES: usize = 256;

/// The words of one stepd.
pub(super) struct Voice {
    spoken: Mutex<Spoken>,
    room: Semaphore,
    /// There is something to be sent.
    news: Notify,
    /// Something was confirmed.
    heard: Notify,
}

#[derive(Default)]
struct Spoken {
    seq_last: u64,
    /// Without gaps, up to `seq_last`.
    kept: VecDeque<StepSaid>,
    detached: bool,
    input_received: u64,
}

impl Voice {
    pub(super) fn new() -> Voice {
        let (news, heard) = (Notify::new(), Notify::new());
        Voice { spoken: Mutex::default(), room: Semaphore::new(UNRECEIVED_BYTES_MAX), news, heard }
    }

    /// Says something, once there is room for it.
    pub(super) async fn say(&self, kind: Kind) {
        let bytes = u32::try_from(bytes_of(&kind)).unwrap_or(u32::MAX);
        if let Ok(permit) = self.room.acquire_many(bytes).await {
            permit.forget();
        }
        let mut spoken = self.spoken();
        if spoken.detached {
            return;
        }
        spoken.seq_last += 1;
        let seq = spoken.seq_last;
        spoken.kept.push_back(StepSaid { seq, kind: Some(kind) });
        self.news.notify_one();
    }

    /// srun has everything up to this number.
    pub(super) fn on_received(&self, seq: u64) {
        let mut spoken = self.spoken();
        while spoken.kept.front().is_some_and(|said| said.seq <= seq) {
            let said = spoken.kept.pop_front();
            self.room.add_permits(said.and_then(|said| said.kind).map_or(0, |kind| bytes_of(&kind)));
        }
        self.heard.notify_one();
    }

    /// Nobody listens any more.
    pub(super) fn detach(&self) {
        let mut spoken = self.spoken();
        spoken.detached = true;
        spoken.kept.clear();
        // Whoever waits for room goes on.
        self.room.close();
        self.heard.notify_one();
    }

    /// All input up to this number was written.
    pub(super) fn took_input(&self, seq: u64) {
        self.spoken().input_received = seq;
        self.news.notify_one();
    }

    /// The number of the last input that was written.
    pub(super) fn input_received(&self) -> u64 {
        self.spoken().input_received
    }

    /// What was said first after this number.
    pub(super) fn after(&self, seq: u64) -> Option<StepSaid> {
        let spoken = self.spoken();
        let first = spoken.kept.front()?.seq;
        let at = usize::try_from((seq + 1).saturating_sub(first)).ok()?;
        spoken.kept.get(at).cloned()
    }

    /// Waits until there may be something to send.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until srun has everything, or nobody listens.
    pub(super) async fn all_received(&self) {
        while !self.spoken().kept.is_empty() {
            self.heard.notified().await;
        }
    }

    fn spoken(&self) -> MutexGuard<'_, Spoken> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(kind: &Kind) -> usize {
    let bytes = match kind {
        Kind::Output(output) => output.bytes.len(),
        Kind::TaskFailed(failed) => failed.why.len(),
        Kind::Message(text) => text.len(),
        Kind::TaskEnded(_) => 0,
    };
    // One that is larger than all room would wait for ever.
    (MESSAGE_BYTES + bytes).min(UNRECEIVED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::v1::StepOutput;

    use super::*;

    fn output(bytes: usize) -> Kind {
        Kind::Output(StepOutput { task: 0, error: false, bytes: vec![b'x'; bytes] })
    }

    #[tokio::test]
    async fn what_is_not_confirmed_is_said_again_and_waits_for_room() {
        let voice = Arc::new(Voice::new());
        voice.say(output(UNRECEIVED_BYTES_MAX - 2 * MESSAGE_BYTES - 1)).await;
        voice.say(output(1)).await;
        let said = |seq| voice.after(seq).map(|said| said.seq);
        assert_eq!((said(0), said(1), said(2), said(0)), (Some(1), Some(2), None, Some(1)));
        let more = tokio::spawn({
            let voice = voice.clone();
            async move { voice.say(output(7)).await }
        });
        tokio::task::yield_now().await;
        assert!(!more.is_finished(), "there is no room");
        voice.on_received(1);
        more.await.expect("there is now");
        assert_eq!((said(0), said(2)), (Some(2), Some(3)), "what was confirmed is gone");
        voice.on_received(3);
        voice.all_received().await;
    }

    #[tokio::test]
    async fn without_listeners_nothing_is_kept_and_nobody_waits() {
        let voice = Voice::new();
        voice.say(output(UNRECEIVED_BYTES_MAX)).await;
        voice.detach();
        voice.say(output(UNRECEIVED_BYTES_MAX)).await;
        voice.all_received().await;
        assert!(voice.after(0).is_none());
    }
}
