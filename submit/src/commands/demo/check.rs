//! Reads every output again: is it there, a picture, gray, and of its input's size?

use std::thread;

use blobs::{BlobName, BlobStore};
use futures::StreamExt;
use ops::PictureFacts;

use super::Stores;
use super::job::Task;
use crate::commands::blob::transfer::BLOB_BYTES_MAX;
use crate::failure::chain;

/// What is wrong with each task, in their order; `None` for a good one. Tasks that have not completed are not looked at.
pub(super) async fn faults(stores: &Stores, tasks: &[Task]) -> Vec<Option<String>> {
    let at_once = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let looks = tasks.iter().map(|task| async move {
        if !task.is_completed() {
            return Some(ending(task));
        }
        let input = facts(&stores.input, &task.input).await;
        let output = facts(&stores.output, &task.output).await;
        match (input, output) {
            (Ok(input), Ok(output)) => difference(&input, &output).map(|what| format!("{}: {what}", task.output)),
            (Err(why), _) | (_, Err(why)) => Some(why),
        }
    });
    futures::stream::iter(looks).buffered(at_once).collect().await
}

/// How a task ended that did not complete.
fn ending(task: &Task) -> String {
    let state = task.row.state().as_str_name().trim_start_matches("JOB_STATE_");
    match task.row.note.as_str() {
        "" => format!("{}: the task ended as {state}", task.input),
        note => format!("{}: the task ended as {state}: {note}", task.input),
    }
}

async fn facts(store: &BlobStore, name: &str) -> Result<PictureFacts, String> {
    let name = BlobName::new(name).map_err(|error| chain(&error))?;
    let bytes = store.get(&name, BLOB_BYTES_MAX).await.map_err(|error| chain(&error))?;
    let inspected = tokio::task::spawn_blocking(move || ops::inspect(&bytes)).await;
    inspected.map_err(|error| chain(&error))?.map_err(|error| format!("{name}: {}", chain(&error)))
}

/// What an output lacks.
fn difference(input: &PictureFacts, output: &PictureFacts) -> Option<String> {
    let (wanted, found) = ((input.width, input.height), (output.width, output.height));
    if !output.gray {
        Some("the output is not gray".into())
    } else if wanted != found {
        Some(format!("the output has {}x{} pixels and its input {}x{}", found.0, found.1, wanted.0, wanted.1))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use blobs::{Environment, StoreUrl};
    use bytes::Bytes;
    use ops::{Limits, Op, made};
    use proto::v1::{JobRow, JobState};

    use super::*;

    async fn put(store: &BlobStore, name: &str, bytes: Vec<u8>) {
        store.put(&BlobName::new(name).expect("a name"), Bytes::from(bytes)).await.expect("memory takes it");
    }

    fn task(name: &str, state: JobState, note: &str) -> Task {
        let row = JobRow { state: state.into(), note: note.into(), ..JobRow::default() };
        Task { input: name.into(), output: name.into(), row }
    }

    #[tokio::test]
    async fn only_gray_pictures_of_the_right_size_pass() {
        let store = |name: &str| {
            let url: StoreUrl = format!("memory:///demo-check/{name}/").parse().expect("a URL");
            BlobStore::open(&url, &Environment::default()).expect("memory opens")
        };
        let stores = Stores { input: store("in"), output: store("out") };
        let colour = made::picture(5).bytes;
        let gray = ops::run(Op::Grayscale, &colour, &Limits::default()).expect("a picture");
        let other = ops::run(Op::Grayscale, &made::picture(47).bytes, &Limits::default()).expect("a picture");
        for name in ["good", "gone", "colour", "size", "broken"] {
            put(&stores.input, name, colour.clone()).await;
        }
        put(&stores.output, "good", gray.clone()).await;
        put(&stores.output, "colour", colour).await;
        put(&stores.output, "size", other).await;
        put(&stores.output, "broken", gray[..gray.len() / 2].to_vec()).await;
        let mut tasks =
            ["good", "gone", "colour", "size", "broken"].map(|name| task(name, JobState::Completed, "")).to_vec();
        tasks.push(task("lost.jpg", JobState::Failed, "the JPEG picture ends too early"));
        tasks.push(task("cut.jpg", JobState::Cancelled, ""));
        let faults = faults(&stores, &tasks).await;
        let expected = [
            None,
            Some("memory:///demo-check/out/gone does not exist"),
            Some("colour: the output is not gray"),
            Some("size: the output has "),
            Some("broken: the JPEG picture ends too early"),
            Some("lost.jpg: the task ended as FAILED: the JPEG picture ends too early"),
            Some("cut.jpg: the task ended as CANCELLED"),
        ];
        assert_eq!(faults.len(), expected.len());
        for (fault, expected) in faults.iter().zip(expected) {
            match (fault, expected) {
                (None, None) => {}
                (Some(fault), Some(expected)) => assert!(fault.starts_with(expected), "{fault}"),
                _ => panic!("{fault:?} is not {expected:?}"),
            }
        }
    }
}
