//! The one array job: submitted as `sbatch --map-op=grayscale` does, watched to its end, and what became of each task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use blobs::{BlobError, BlobStore};
use proto::dial::dial;
use proto::v1::{JobRow, JobState, ListJobsRequest, work};
use sched::spec::output_name::OutputName;

use super::progress::Bar;
use super::{Stores, refused};
use crate::ask::Ask;
use crate::call::{CallError, Channel, client, unnamed};
use crate::commands::blob::transfer::each;
use crate::failure::{Failure, Outcome};
use crate::local::layout::Layout;
use crate::mapping::{MapRequest, Mapping};
use crate::send::send;
use crate::submitter::Submitter;
use crate::wait::wait;

/// For a controller that has answered before.
const PATIENCE: Duration = Duration::from_secs(5);

/// A job that has ended.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// From just before the submit to the word that the last output is there.
    pub(super) seconds: f64,
    /// One for each picture, in the order of their names.
    pub(super) tasks: Vec<Task>,
}

/// What became of one picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    pub(super) input: String,
    pub(super) output: String,
    /// What the controller says of it; empty if it says nothing.
    pub(super) row: JobRow,
}

impl Task {
    pub(super) fn is_completed(&self) -> bool {
        self.row.state() == JobState::Completed
    }
}

/// Submits, shows progress, waits, and asks what became of the tasks.
///
/// # Errors
/// When the map cannot be submitted, or the controller stays away.
pub(super) async fn run(layout: &Layout, stores: &Stores, name: &OutputName, submitter: &Submitter) -> Outcome<Run> {
    let (from, to, name_text) = (stores.input.url().to_string(), stores.output.url().to_string(), name.to_string());
    let request = MapRequest { from: &from, to: &to, name: &name_text, throttle: 0 };
    let mapping = Mapping::prepare(request, &submitter.dir).await.map_err(|error| error.failure("covey demo"))?;
    let ask = Ask { output: Some("none".into()), ..Ask::default() };
    let spec = ask.spec("grayscale".into(), "covey demo".into(), work::Kind::Op("grayscale".into()), submitter);
    let submission = mapping.submission(spec, None, Vec::new());
    let manifest = &submission.manifest;
    clear(&stores.output, name, manifest).await.map_err(|error| refused(&error))?;
    let channel = unnamed(dial(&layout.endpoints(), PATIENCE).await.map_err(|error| unanswered(&error.into()))?);

    let mut bar = Bar::new(manifest.len());
    let begun = Instant::now();
    let id = send(&channel, &submission, None).await.map_err(|error| unanswered(&error))?.job_id;
    let last = wait(&channel, id, |progress| bar.show(progress)).await;
    let seconds = begun.elapsed().as_secs_f64();
    bar.clear();
    last.map_err(|error| unanswered(&error))?;

    let mut rows = rows(&channel, id).await.map_err(|error| unanswered(&error))?;
    let tasks = (0..).zip(manifest).map(|(index, input)| Task {
        input: input.clone(),
        output: name.fill(input, id, index),
        row: rows.remove(&index).unwrap_or_default(),
    });
    Ok(Run { seconds, tasks: tasks.collect() })
}

/// Removes outputs of an earlier demo, so that none of them passes for a new one. Names with a job's number in them are
/// known only afterwards, and stay.
async fn clear(output: &BlobStore, name: &OutputName, manifest: &[String]) -> Result<(), BlobError> {
    let expected = (0..).zip(manifest).map(|(index, input)| name.fill(input, 0, index)).collect::<BTreeSet<_>>();
    let found = match output.list().await {
        Err(BlobError::NothingListed { .. } | BlobError::NoContainer { .. }) => Vec::new(),
        found => found?,
    };
    let old = found.into_iter().map(|blob| blob.name).filter(|name| expected.contains(name.as_str()));
    each(old.collect(), |_| 0, |name| async move { output.delete(&name).await }).await
}

/// The tasks of a job by their index.
async fn rows(channel: &Channel, id: u32) -> Result<BTreeMap<u32, JobRow>, CallError> {
    let request = ListJobsRequest { ids: vec![id.to_string()], ended: true, ..ListJobsRequest::default() };
    let mut pages = client(channel).list_jobs(request).await?.into_inner();
    let mut rows = BTreeMap::new();
    while let Some(page) = pages.message().await? {
        rows.extend(page.rows.into_iter().filter_map(|row| Some((row.index?, row))));
    }
    Ok(rows)
}

fn unanswered(error: &CallError) -> Failure {
    Failure::call("covey demo", "covey demo: error: ", error)
}

#[cfg(test)]
mod tests {
    use blobs::{BlobName, Environment, StoreUrl};
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn only_outputs_that_are_to_be_made_again_are_cleared() {
        let url: StoreUrl = "memory:///demo-cleared/".parse().expect("a URL");
        let store = BlobStore::open(&url, &Environment::default()).expect("memory opens");
        for name in ["a.gray.jpg", "mine.jpg"] {
            store.put(&BlobName::new(name).expect("a name"), Bytes::new()).await.expect("memory takes it");
        }
        let name: OutputName = "{stem}.gray{ext}".parse().expect("a template");
        for _ in 0..2 {
            clear(&store, &name, &["a.jpg".into(), "b.jpg".into()]).await.expect("cleared");
            let left = store.list().await.expect("one is left");
            assert_eq!(left.iter().map(|blob| blob.name.as_str()).collect::<Vec<_>>(), ["mine.jpg"]);
        }
    }
}
