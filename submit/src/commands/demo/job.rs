//! The one array job: a map as of `sbatch --map-op=grayscale`, or an array of a script; watched to its end, and what became of
//! each task. Start at [`convert`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use blobs::{BlobError, BlobStore};
use indicatif::DecimalBytes;
use proto::v1::{self, JobRow, JobState, ListJobsRequest, work};
use sched::spec::output_name::OutputName;

use super::pictures::Source;
use super::progress::Bar;
use super::report::Report;
use super::{Stores, check, refused};
use crate::ask::Ask;
use crate::call::{CallError, Channel, client};
use crate::commands::blob::transfer::each;
use crate::failure::{Failure, Outcome, print};
use crate::mapping::{MapRequest, Mapping};
use crate::send::{Submission, send};
use crate::submitter::Submitter;
use crate::wait::wait;

/// What converts.
pub(super) enum Work {
    /// The built-in operation, on every blob of the input.
    Map,
    /// An array of this script, whose task i is to convert the i-th blob. It is told the two URLs.
    Script(Vec<u8>),
}

impl Work {
    /// That of the script, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(script: Option<&Path>, submitter: &Submitter) -> Outcome<Work> {
        let Some(path) = script.map(|path| submitter.dir.join(path)) else { return Ok(Work::Map) };
        let text = fs::read(&path)
            .map_err(|error| Failure::chain(&format!("covey demo: error: cannot read {}: ", path.display()), &error));
        text.map(Work::Script)
    }
}

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

/// Puts the pictures into the input, runs the job, and looks at every output.
///
/// # Errors
/// When a picture cannot be put, the job cannot be submitted, or the controller stays away.
pub(super) async fn convert(
    channel: &Channel,
    source: Source,
    stores: &Stores,
    name: &OutputName,
    work: Work,
    submitter: &Submitter,
) -> Outcome<Report> {
    let (count, bytes) = source.put(&stores.input).await?;
    print(format!("put {count} pictures, {}, into {}\n", DecimalBytes(bytes), stores.input.url()))?;
    let run = run(channel, stores, name, work, submitter).await?;
    let faults = check::faults(stores, &run.tasks).await;
    Ok(Report::new(&run, faults, stores.output.url()))
}

/// Submits, shows progress, waits, and asks what became of the tasks.
async fn run(channel: &Channel, stores: &Stores, name: &OutputName, work: Work, submitter: &Submitter) -> Outcome<Run> {
    let (from, to, name_text) = (stores.input.url().to_string(), stores.output.url().to_string(), name.to_string());
    let request = MapRequest { from: &from, to: &to, name: &name_text, throttle: 0 };
    let mapping = Mapping::prepare(request, &submitter.dir).await.map_err(|error| error.failure("covey demo"))?;
    let ask = Ask { output: Some("none".into()), ..Ask::default() };
    let (submission, manifest) = match work {
        Work::Map => {
            let op = work::Kind::Op("grayscale".into());
            let submission =
                mapping.submission(ask.spec("grayscale".into(), "covey demo".into(), op, submitter), None, Vec::new());
            let manifest = submission.manifest.clone();
            (submission, manifest)
        }
        Work::Script(text) => {
            let script = work::Kind::Script(work::Script { arguments: vec![from.clone(), to.clone()] });
            let spec = ask.spec("grayscale".into(), "covey demo --script".into(), script, submitter);
            let manifest = mapping.into_manifest();
            let spec = v1::JobSpec { array: format!("0-{}", manifest.len() - 1), ..spec };
            let environment = ask.environment("covey demo", submitter)?;
            (Submission { spec, script: Some(text), environment, manifest: Vec::new() }, manifest)
        }
    };
    let manifest = &manifest;
    clear(&stores.output, name, manifest).await.map_err(|error| refused(&error))?;

    let mut bar = Bar::new(manifest.len());
    let begun = Instant::now();
    let id = send(channel, &submission, None).await.map_err(|error| unanswered(&error))?.job_id;
    let last = wait(channel, id, |progress| bar.show(progress)).await;
    let seconds = begun.elapsed().as_secs_f64();
    bar.clear();
    last.map_err(|error| unanswered(&error))?;

    let mut rows = rows(channel, id).await.map_err(|error| unanswered(&error))?;
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

pub(super) fn unanswered(error: &CallError) -> Failure {
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
