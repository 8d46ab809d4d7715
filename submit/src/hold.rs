//! Holding an allocation for as long as a command runs: for `salloc`, and for `srun` outside of a job.
//!
//! A task of the runtime keeps the stream to the controller, and makes it anew under the same request id when it breaks: the same
//! request is the same job. Start at [`Hold::start`].

use std::future::Future;
use std::time::Duration;

use proto::v1::from_holder::Kind as Says;
use proto::v1::to_holder::Kind as Hears;
use proto::v1::{AllocateJob, FromHolder, Granted};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::call::{CallError, Channel, client, is_lost};

/// How long a controller is waited for that was never reached; one that has answered once is waited for as long as it takes.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// From one try to the next: at first, and doubled up to the maximum.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// A job that starts within this time has not waited: nothing is said of its queue.
pub(crate) const QUEUED_WAIT: Duration = Duration::from_millis(300);
/// For the controller to take note of a release.
const RELEASE_WAIT: Duration = Duration::from_secs(10);

/// What becomes of an allocation.
#[derive(Debug)]
pub(crate) enum News {
    /// It has this number, and waits.
    Queued(u32),
    /// Its nodes are there.
    Granted(Granted),
    /// It is over, and why.
    Ended(String),
    /// It was refused, or nobody could be asked.
    Failed(CallError),
}

/// What its holder wants.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Release(u8),
    Cancel,
}

/// An allocation that is held, or waited for.
pub(crate) struct Hold {
    news: mpsc::Receiver<News>,
    wishes: mpsc::Sender<Wish>,
}

impl Hold {
    /// Asks for it. Within a runtime.
    pub(crate) fn start(channel: Channel, job: AllocateJob) -> Hold {
        let (tell, news) = mpsc::channel(8);
        let (wishes, wished) = mpsc::channel(1);
        tokio::spawn(keep(channel, job, tell, wished));
        Hold { news, wishes }
    }

    /// What happens next; an end once nothing more can.
    pub(crate) async fn next(&mut self) -> News {
        self.news.recv().await.unwrap_or_else(|| News::Ended("COMPLETED".into()))
    }

    /// Waits until the nodes are there. `queued` is told the number of a job that has to wait, `stop` ends the wait.
    pub(crate) async fn granted(
        &mut self,
        mut queued: impl FnMut(u32),
        stop: impl Future<Output = ()>,
    ) -> Result<Granted, Ungranted> {
        let (mut job, mut told) = (None, false);
        let mut stop = std::pin::pin!(stop);
        let tell_at = Instant::now() + QUEUED_WAIT;
        loop {
            let may_tell = job.filter(|_| !told);
            tokio::select! {
                news = self.next() => match news {
                    News::Queued(id) => job = Some(id),
                    News::Granted(granted) => return Ok(granted),
                    News::Ended(why) => return Err(Ungranted::Ended(job, why)),
                    News::Failed(error) => return Err(Ungranted::Failed(error)),
                },
                () = tokio::time::sleep_until(tell_at.max(Instant::now())), if may_tell.is_some() => {
                    told = true;
                    may_tell.into_iter().for_each(&mut queued);
                }
                () = &mut stop => return Err(Ungranted::Stopped(job)),
            }
        }
    }

    /// Gives it back, and waits until the controller knows.
    pub(crate) async fn release(self, exit_code: u8) {
        self.finish(Wish::Release(exit_code)).await;
    }

    /// Cancels it, and waits until the controller knows.
    pub(crate) async fn cancel(self) {
        self.finish(Wish::Cancel).await;
    }

    async fn finish(mut self, wish: Wish) {
        // One that is over has nobody who hears it.
        self.wishes.send(wish).await.ok();
        let over = async { while !matches!(self.next().await, News::Ended(_) | News::Failed(_)) {} };
        tokio::time::timeout(RELEASE_WAIT, over).await.ok();
    }
}

/// Why there is no allocation.
pub(crate) enum Ungranted {
    /// It has ended before it began: its number, and why.
    Ended(Option<u32>, String),
    /// The controller says no.
    Failed(CallError),
    /// It was wanted no longer; it has not been cancelled yet.
    Stopped(Option<u32>),
}

async fn keep(channel: Channel, job: AllocateJob, tell: mpsc::Sender<News>, mut wished: mpsc::Receiver<Wish>) {
    let deadline = Instant::now() + FIRST_WAIT;
    let (mut answered, mut granted, mut wish, mut pause) = (false, false, None, PAUSE_MIN);
    loop {
        let talked = converse(&channel, &job, &tell, &mut wished, &mut wish, &mut (&mut answered, &mut granted)).await;
        match talked {
            Ok(true) => return,
            Err(status) if !is_lost(&status) || (!answered && Instant::now() > deadline) => {
                tell.send(News::Failed(status.into())).await.ok();
                return;
            }
            Ok(false) => pause = PAUSE_MIN,
            Err(_) => {}
        }
        sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// One stream; whether everything is over.
async fn converse(
    channel: &Channel,
    job: &AllocateJob,
    tell: &mpsc::Sender<News>,
    wished: &mut mpsc::Receiver<Wish>,
    wish: &mut Option<Wish>,
    (answered, granted): &mut (&mut bool, &mut bool),
) -> Result<bool, Status> {
    let (say, said) = mpsc::channel(4);
    let saying = |kind| FromHolder { kind: Some(kind) };
    let spoken = |wish| match wish {
        Wish::Release(code) => saying(Says::Release(code.into())),
        Wish::Cancel => saying(Says::Cancel(true)),
    };
    // There is room for the first two.
    say.try_send(saying(Says::Allocate(job.clone()))).ok();
    if let Some(wish) = *wish {
        say.try_send(spoken(wish)).ok();
    }
    let mut heard = client(channel).allocate(ReceiverStream::new(said)).await?.into_inner();
    loop {
        tokio::select! {
            message = heard.message() => match message?.map(|message| message.kind) {
                None => return Ok(false),
                Some(Some(Hears::Queued(id))) if !**answered => {
                    **answered = true;
                    tell.send(News::Queued(id)).await.ok();
                }
                Some(Some(Hears::Granted(shares))) if !**granted => {
                    **granted = true;
                    tell.send(News::Granted(shares)).await.ok();
                }
                Some(Some(Hears::Ended(why))) => {
                    tell.send(News::Ended(why)).await.ok();
                    return Ok(true);
                }
                Some(_) => {}
            },
            Some(wanted) = wished.recv(), if wish.is_none() => {
                *wish = Some(wanted);
                say.send(spoken(wanted)).await.ok();
            }
        }
    }
}
