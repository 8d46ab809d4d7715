//! Signs URLs for nodes, which hold no keys of blob stores: one blob each, for the attempt of a map that the node runs right now.
//!
//! Whoever asks for an output is told what is there at this moment, and is checked again after that: so nobody else had begun the
//! same output by then, and the signed put changes nothing that was put later. Nothing that is signed is kept or logged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blobs::{BlobError, BlobName, BlobStore, Environment, SignedRequest, StoreUrl};
use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::cluster::Cluster;
use sched::ids::{AttemptKey, BlobHash};
use sched::spec::job::Map;
use sched::spec::output_name::{OutputName, OutputNameError};
use thiserror::Error;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::info;

use crate::briefs::Manifest;
use crate::driver::Published;
use crate::error_chain::chain;
use crate::journal::{Journal, JournalError};

/// How long a URL is good; nodes ask when they are about to use it.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Calls that are answered at the same time; others wait. Each may ask a store what is at the output's name.
const CALLS_MAX: usize = 64;
/// Manifests that are kept in memory; the one that was read first goes first, and is read again when needed.
const MANIFESTS_MAX: usize = 8;
/// Stores that are kept open; beyond that all are opened anew.
const STORES_MAX: usize = 256;

/// Whoever holds the keys.
pub(crate) struct Signatory {
    published: Arc<Published>,
    journal: Arc<dyn Journal>,
    keys: Environment,
    calls: Semaphore,
    stores: Mutex<BTreeMap<String, BlobStore>>,
    manifests: Mutex<Vec<(BlobHash, Arc<Manifest>)>>,
}

/// Why nothing is signed.
#[derive(Debug, Error)]
enum SignError {
    #[error("attempt {0} does not run on this node any more")]
    NotRunning(AttemptKey),
    #[error("attempt {0} is of no map")]
    NoMap(AttemptKey),
    #[error("the controller cannot let a node at the blob: {source}{}", hint(source))]
    Store { source: BlobError },
    #[error(transparent)]
    OutputName(#[from] OutputNameError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal has no blob {0}, which the job needs")]
    NoManifest(BlobHash),
}

fn hint(error: &BlobError) -> String {
    error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

impl From<BlobError> for SignError {
    fn from(source: BlobError) -> SignError {
        SignError::Store { source }
    }
}

impl Signatory {
    pub(crate) fn new(published: Arc<Published>, journal: Arc<dyn Journal>, keys: Environment) -> Signatory {
        let calls = Semaphore::new(CALLS_MAX);
        Signatory { published, journal, keys, calls, stores: Mutex::default(), manifests: Mutex::default() }
    }

    /// What a node asks for; `node` is its name where it has proved one.
    pub(crate) async fn sign(
        &self,
        request: v1::SignBlobRequest,
        node: Option<&str>,
    ) -> Result<v1::SignBlobReply, Status> {
        let wanted = request.r#use();
        let key: AttemptKey = request.key.ok_or(WireError::Missing("key"))?.into();
        let _turn = self.calls.acquire().await.expect("it is never closed");
        let signed = match wanted {
            v1::BlobUse::Input => self.input(key, node).await,
            v1::BlobUse::Output => self.output(key, node).await,
            v1::BlobUse::Unspecified => return Err(WireError::Missing("use").into()),
        };
        signed.map_err(|error| {
            info!(attempt = %key, error = &error as &dyn std::error::Error, "nothing is signed");
            // What the store or the journal has to say goes on one line, to whoever reads of the task.
            let cause = std::error::Error::source(&error).and_then(std::error::Error::source);
            let text = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)));
            refused(ErrorReason::NotSigned, "no signed URL", Some(&text))
        })
    }

    async fn input(&self, key: AttemptKey, node: Option<&str>) -> Result<v1::SignBlobReply, SignError> {
        let map = running(&self.published.cluster(), key, node)?;
        let blob = BlobName::new(self.blob_name(key, &map).await?)?;
        let signed = self.store(&map.from)?.sign_input(&blob, LIFE).await?;
        let (head, get) = (Some(on_the_wire(&signed.head)), Some(on_the_wire(&signed.get)));
        Ok(v1::SignBlobReply { blob: signed.blob, head, get, put: None })
    }

    async fn output(&self, key: AttemptKey, node: Option<&str>) -> Result<v1::SignBlobReply, SignError> {
        let map = running(&self.published.cluster(), key, node)?;
        let template: OutputName = map.output_name.parse()?;
        let blob = self.blob_name(key, &map).await?;
        let output = BlobName::new(template.fill(&blob, key.job.0, key.index))?;
        let store = self.store(&map.to)?;
        let before = store.before(&output).await?;
        running(&self.published.cluster(), key, node)?;
        let signed = store.sign_output(&output, &before, LIFE).await?;
        let (get, put) = (Some(on_the_wire(&signed.get)), Some(on_the_wire(&signed.put)));
        Ok(v1::SignBlobReply { blob: signed.blob, head: None, get, put })
    }

    fn store(&self, url: &str) -> Result<BlobStore, BlobError> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(url) {
            return Ok(store.clone());
        }
        let parsed: StoreUrl = url.parse()?;
        let store = BlobStore::open(&parsed.without_pattern(), &self.keys)?;
        if stores.len() >= STORES_MAX {
            stores.clear();
        }
        stores.insert(url.to_owned(), store.clone());
        Ok(store)
    }

    /// The name of the blob that the task reads.
    async fn blob_name(&self, key: AttemptKey, map: &Map) -> Result<String, SignError> {
        let manifest = self.manifest(map.manifest).await?;
        manifest.name(key.index).map(ToOwned::to_owned).ok_or(SignError::NoMap(key))
    }

    async fn manifest(&self, hash: BlobHash) -> Result<Arc<Manifest>, SignError> {
        let kept = |manifests: &Vec<(BlobHash, Arc<Manifest>)>| {
            manifests.iter().find(|(known, _)| *known == hash).map(|(_, manifest)| manifest.clone())
        };
        if let Some(manifest) = kept(&self.manifests.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(manifest);
        }
        let journal = self.journal.clone();
        let read = tokio::task::spawn_blocking(move || journal.get_blob(&hash)).await;
        let bytes = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let manifest = Arc::new(Manifest::read(bytes.ok_or(SignError::NoManifest(hash))?));
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        if kept(&manifests).is_none() {
            if manifests.len() >= MANIFESTS_MAX {
                manifests.remove(0);
            }
            manifests.push((hash, manifest.clone()));
        }
        Ok(manifest)
    }
}

/// The map of an attempt that runs, on this node where one has proved its name.
fn running(cluster: &Cluster, key: AttemptKey, node: Option<&str>) -> Result<Map, SignError> {
    let gone = || SignError::NotRunning(key);
    let job = cluster.job(key.job).ok_or_else(gone)?;
    let task = job.tasks.get(&key.index).filter(|task| task.attempts == key.attempt).ok_or_else(gone)?;
    let share = task.state.shares().and_then(|shares| shares.first()).ok_or_else(gone)?;
    let there = cluster.node_name(share.node).ok_or_else(gone)?;
    if node.is_some_and(|node| node != &**there) {
        return Err(gone());
    }
    job.terms_of(task).spec.map.as_deref().cloned().ok_or(SignError::NoMap(key))
}

fn on_the_wire(signed: &SignedRequest) -> v1::SignedRequest {
    let header = |(name, value): &(String, String)| v1::Header { name: name.clone(), value: value.clone() };
    v1::SignedRequest { url: signed.secret_url().to_owned(), headers: signed.headers().iter().map(header).collect() }
}
