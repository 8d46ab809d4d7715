//! Many blobs at a time, in bounded memory, with a bar for whoever watches.

use std::future::Future;

use futures::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;

/// Blobs that move at the same time; the next ones wait.
const AT_ONCE_MAX: usize = 16;

/// Memory for the blobs that move; one that is larger moves alone.
const IN_FLIGHT_MIB_MAX: u32 = 256;

/// The largest blob that is read into memory; a larger one is refused.
pub(crate) const BLOB_BYTES_MAX: u64 = 4 << 30;

/// What moves from or to a file takes no more memory than this, whatever its length.
pub(crate) const PARTS_BYTES_MAX: u64 = 96 << 20;

/// From so many on a bar is shown, if stderr is a terminal.
const BAR_MIN: usize = 8;

/// Does `work` with every item, several at a time, until one fails. `size_bytes` says how much memory an item takes.
///
/// # Errors
/// The first failure. What was under way then may be done or not.
pub(crate) async fn each<T, W, E>(items: Vec<T>, size_bytes: impl Fn(&T) -> u64, work: impl Fn(T) -> W) -> Result<(), E>
where
    W: Future<Output = Result<(), E>>,
{
    let memory = Semaphore::new(IN_FLIGHT_MIB_MAX as usize);
    let bar = if items.len() < BAR_MIN { ProgressBar::hidden() } else { ProgressBar::new(items.len() as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len}  {eta} left").expect("a good template"));
    let (memory, work) = (&memory, &work);
    let moves = items.into_iter().map(|item| {
        let mib = u32::try_from(size_bytes(&item) >> 20).unwrap_or(u32::MAX).saturating_add(1);
        async move {
            let _room = memory.acquire_many(mib.min(IN_FLIGHT_MIB_MAX)).await.expect("it is never closed");
            work(item).await
        }
    });
    let done = futures::stream::iter(moves).buffer_unordered(AT_ONCE_MAX);
    let outcome = done
        .try_for_each(|()| {
            std::future::ready({
                bar.inc(1);
                Ok(())
            })
        })
        .await;
    bar.finish_and_clear();
    outcome
}
