//! What nodes are told of a job, made once from its spec and its journal blobs and kept while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proto::link::{ArrayFacts, Brief, MapUrls, NodeShare, StartTask, Work};
use sched::cluster::Cluster;
use sched::event::Placement;
use sched::ids::{BlobHash, JobId, Name};
use sched::job::Job;
use sched::partition::Partition;
use sched::spec::job::{Request, Work as SpecWork};
use sched::terms::Terms;
use thiserror::Error;

use crate::journal::{Journal, JournalError};

/// Jobs whose briefs and manifests are kept in memory; the longest unused goes first, and is read again when needed.
const BRIEFS_MAX: usize = 256;
/// Bytes of these briefs and manifests; the newest one may pass it.
const BRIEFS_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A brief could not be made.
#[derive(Debug, Error)]
pub(crate) enum BriefError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal has lost something that a job needs.
    #[error("the journal has no blob {0}, which a job needs")]
    Missing(BlobHash),
}

/// Which of the briefs of a job: its terms may change, and it may start in several partitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edition {
    revision: u32,
    partition: Name,
}

impl Edition {
    /// The one for a task that is being started.
    pub(crate) fn of(job: &Job, placement: &Placement) -> Edition {
        let terms = terms_of(job, placement);
        let partition = placement.partition.as_ref().unwrap_or_else(|| terms.partition()).clone();
        Edition { revision: terms.revision, partition }
    }
}

fn terms_of<'a>(job: &'a Job, placement: &Placement) -> &'a Terms {
    job.tasks.get(&placement.index).map_or(&job.terms, |task| job.terms_of(task))
}

/// Briefs of the jobs that run.
pub(crate) struct Briefs {
    journal: Arc<dyn Journal>,
    kept: BTreeMap<(JobId, Edition), Kept>,
    bytes: usize,
    uses: u64,
}

struct Kept {
    last_use: u64,
    bytes: usize,
    brief: Arc<Brief>,
    manifest: Option<Arc<Manifest>>,
}

/// The blob names of a map: one text, and where each line starts.
pub(crate) struct Manifest {
    text: String,
    starts: Vec<u32>,
}

impl Manifest {
    /// Reads the lines of a manifest; what is no UTF-8 is replaced, and then names no blob.
    pub(crate) fn read(bytes: Vec<u8>) -> Manifest {
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').filter_map(|(at, _)| u32::try_from(at + 1).ok()));
        Manifest { text, starts }
    }

    /// The name that the task with this index reads.
    pub(crate) fn name(&self, index: u32) -> Option<&str> {
        let start = *self.starts.get(index as usize)? as usize;
        let line = self.text[start..].lines().next()?;
        Some(line)
    }
}

impl Briefs {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Briefs {
        Briefs { journal, kept: BTreeMap::new(), bytes: 0, uses: 0 }
    }

    /// What a node must know of this job to start such a task.
    pub(crate) fn brief(&mut self, cluster: &Cluster, job: &Job, first: &Placement) -> Result<Arc<Brief>, BriefError> {
        Ok(self.kept(cluster, job, first)?.brief.clone())
    }

    /// The tasks as a node is told them; all are of the first one's edition.
    pub(crate) fn tasks(
        &mut self,
        cluster: &Cluster,
        job: &Job,
        first: &Placement,
        placements: &[Placement],
    ) -> Result<Vec<StartTask>, BriefError> {
        let manifest = self.kept(cluster, job, first)?.manifest.clone();
        let task = |placement: &Placement| StartTask {
            index: placement.index,
            id: placement.id,
            attempt: placement.attempt,
            shares: placement.shares.iter().filter_map(|share| node_share(cluster, share)).collect(),
            blob: manifest.as_ref().and_then(|manifest| manifest.name(placement.index)).map(ToOwned::to_owned),
        };
        Ok(placements.iter().map(task).collect())
    }

    /// Drops what is kept for a job that is done.
    pub(crate) fn drop_job(&mut self, job: JobId) {
        let editions: Vec<_> = self.kept.keys().filter(|(kept, _)| *kept == job).cloned().collect();
        editions.iter().for_each(|key| self.drop_kept(key));
    }

    fn drop_kept(&mut self, key: &(JobId, Edition)) {
        if let Some(kept) = self.kept.remove(key) {
            self.bytes -= kept.bytes;
        }
    }

    fn kept(&mut self, cluster: &Cluster, job: &Job, first: &Placement) -> Result<&Kept, BriefError> {
        self.uses += 1;
        let key = (job.id, Edition::of(job, first));
        if !self.kept.contains_key(&key) {
            let here = cluster.partition(&key.1.partition);
            let kept = self.make(job, terms_of(job, first), &key.1.partition, here)?;
            self.make_room(kept.bytes);
            self.bytes += kept.bytes;
            self.kept.insert(key.clone(), kept);
        }
        let kept = self.kept.get_mut(&key).expect("it was there, or was just put there");
        kept.last_use = self.uses;
        Ok(kept)
    }

    fn make_room(&mut self, bytes: usize) {
        while self.kept.len() >= BRIEFS_MAX || self.bytes + bytes > BRIEFS_BYTES_MAX {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.last_use).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.drop_kept(&oldest);
        }
    }

    fn make(&self, job: &Job, terms: &Terms, name: &Name, here: Option<&Arc<Partition>>) -> Result<Kept, BriefError> {
        let spec = &terms.spec;
        let memory = here.map_or(spec.request.memory, |here| here.memory_of(spec.request.memory));
        let manifest = match &spec.map {
            Some(map) => Some(Arc::new(Manifest::read(self.blob(&map.manifest)?))),
            None => None,
        };
        let work = match &*spec.work {
            SpecWork::Script { script, arguments } => {
                Work::Script { text: self.blob(script)?.into(), arguments: arguments.clone() }
            }
            SpecWork::Command(words) => Work::Command(words.clone()),
            SpecWork::Op(op) => Work::Op(op.clone()),
            SpecWork::Allocation => Work::Allocation,
        };
        let brief = Brief {
            job: job.id,
            name: spec.name.to_string(),
            user: (*spec.user).clone(),
            request: Request { memory, ..(*spec.request).clone() },
            work,
            map: spec.map.as_ref().map(|map| MapUrls {
                from: map.from.clone(),
                to: map.to.clone(),
                output_name: map.output_name.clone(),
            }),
            files: (*spec.files).clone(),
            origin: (*spec.origin).clone(),
            export: spec.export.clone(),
            environment: Bytes::from(self.blob(&spec.environment)?),
            partition: name.to_string(),
            time_limit: terms.time_limit,
            warning: spec.warning,
            labels: (*spec.labels).clone(),
            dependency: spec.dependency.as_ref().map(ToString::to_string).unwrap_or_default(),
            limits: (*spec.limits).clone(),
            login_environment: spec.login_environment,
            requeue: spec.requeue,
            array: spec.array.as_ref().map(|array| ArrayFacts {
                count: array.count(),
                min: array.min(),
                max: array.max(),
                step: array.step(),
            }),
        };
        let script = if let Work::Script { text, .. } = &brief.work { text.len() } else { 0 };
        let names = manifest.as_ref().map_or(0, |manifest| manifest.text.len() + 4 * manifest.starts.len());
        let bytes = 4096 + script + brief.environment.len() + names;
        Ok(Kept { last_use: 0, bytes, brief: Arc::new(brief), manifest })
    }

    fn blob(&self, hash: &BlobHash) -> Result<Vec<u8>, BriefError> {
        self.journal.get_blob(hash)?.ok_or(BriefError::Missing(*hash))
    }
}

fn node_share(cluster: &Cluster, share: &sched::resources::Share) -> Option<NodeShare> {
    let node = cluster.node(share.node)?;
    Some(NodeShare {
        node: node.name.to_string(),
        processes: share.processes,
        cpus: share.amount.cpus,
        memory_mib: share.amount.memory_mib,
        devices: share.devices,
    })
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn a_manifest_finds_its_lines() {
        let manifest = Manifest::read(b"a.png\nb c.jpg\nd".to_vec());
        let names: Vec<_> = (0..4).map(|index| manifest.name(index)).collect();
        assert_eq!(names, [Some("a.png"), Some("b c.jpg"), Some("d"), None]);
    }
}
