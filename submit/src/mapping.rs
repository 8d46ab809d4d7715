//! Maps: from two URLs and a template to the manifest and the map of a [`Submission`].
//!
//! Everything that can be known before the submit is checked here: that there are blobs, that the outputs can be
//! written, and that they do not fall on each other or on the inputs. Reads no blob. Start at [`Mapping::prepare`].

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use blobs::{BlobError, BlobName, BlobStore, Environment, Scheme, StoreUrl};
use proto::v1;
use sched::spec::output_name::{OutputName, OutputNameError};
use thiserror::Error;

use crate::failure::Failure;
use crate::send::Submission;

/// How outputs are called when nobody says.
pub(crate) const NAME_DEFAULT: &str = "{name}";
/// A listing that takes longer than this tells a person at a terminal so.
const LISTING_QUIET: Duration = Duration::from_secs(1);

/// A map as typed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapRequest<'a> {
    /// Where the blobs are, perhaps with a glob.
    pub(crate) from: &'a str,
    /// Where outputs go.
    pub(crate) to: &'a str,
    /// How they are called.
    pub(crate) name: &'a str,
    /// At most so many tasks at a time; 0 means no limit.
    pub(crate) throttle: u32,
}

/// A map whose blobs are known.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    map: v1::Map,
    manifest: Vec<String>,
}

/// Why a map cannot be submitted.
#[derive(Debug, Error)]
pub(crate) enum MapError {
    /// A store said no, or there is nothing in it.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// No template for the outputs' names.
    #[error("the output name cannot be used")]
    Name(#[from] OutputNameError),
    /// An output's name that no blob can have.
    #[error("the output name '{template}' makes a bad name of the blob {blob}")]
    BadOutput {
        /// The template.
        template: String,
        /// The input for which it was tried.
        blob: String,
        /// What is wrong with the name.
        source: BlobError,
    },
    /// Outputs would replace their inputs.
    #[error(
        "input and output are the same place, {url}, and the outputs would replace the inputs: choose another \
         output name, as in '{{stem}}.{{job}}{{ext}}'"
    )]
    SamePlace {
        /// The place.
        url: String,
    },
}

impl MapError {
    /// The end of a command that met it.
    pub(crate) fn failure(&self, command: &str) -> Failure {
        let hint = match self {
            MapError::Store(error) => error.hint(),
            _ => None,
        };
        Failure::chain(&format!("{command}: error: "), self).hint(hint)
    }
}

impl Mapping {
    /// Lists the inputs and checks everything that a map can fail on before it starts. The output's folder is made.
    ///
    /// # Errors
    /// The first check that fails; each names the URL or the template.
    pub(crate) async fn prepare(request: MapRequest<'_>, cwd: &Path) -> Result<Mapping, MapError> {
        let (from, to) = (StoreUrl::from_user(request.from, cwd)?, StoreUrl::from_user(request.to, cwd)?);
        let template: OutputName = request.name.parse()?;
        let environment = Environment::from_environment()?;
        let (inputs, outputs) = (BlobStore::open(&from, &environment)?, BlobStore::open(&to, &environment)?);
        let blobs = listed(&inputs).await?;
        let manifest: Vec<String> = blobs.into_iter().map(|blob| blob.name.as_str().to_owned()).collect();
        check_first(&template, &manifest)?;
        if from.without_pattern() == to.without_pattern() && replaces_inputs(&template, &manifest) {
            return Err(MapError::SamePlace { url: to.without_pattern().to_string() });
        }
        if to.scheme() == Scheme::File {
            outputs.make().await?;
        }
        outputs.check_writable().await?;
        let map = v1::Map {
            from: from.to_string(),
            to: to.without_pattern().to_string(),
            output_name: request.name.to_owned(),
            throttle: request.throttle,
        };
        Ok(Mapping { map, manifest })
    }

    /// The sorted names of the blobs.
    pub(crate) fn into_manifest(self) -> Vec<String> {
        self.manifest
    }

    /// The submission of `spec` over these blobs.
    pub(crate) fn submission(self, spec: v1::JobSpec, script: Option<Vec<u8>>, environment: Vec<u8>) -> Submission {
        Submission { spec: v1::JobSpec { map: Some(self.map), ..spec }, script, environment, manifest: self.manifest }
    }
}

/// Lists a store, and tells a person at a terminal when that takes its time.
async fn listed(store: &BlobStore) -> Result<Vec<blobs::Blob>, BlobError> {
    let listing = store.list();
    tokio::pin!(listing);
    match tokio::time::timeout(LISTING_QUIET, &mut listing).await {
        Ok(blobs) => blobs,
        Err(_) => {
            if std::io::stderr().is_terminal() {
                eprintln!("covey: listing {} ...", store.url());
            }
            listing.await
        }
    }
}

/// A job's number that no job has yet, for trying a template.
const NO_JOB: u32 = 0;

/// Tries the template on the first blob: what is wrong with one name is mostly wrong with all.
fn check_first(template: &OutputName, manifest: &[String]) -> Result<(), MapError> {
    let blob = manifest.first().expect("a listing without blobs is an error");
    let name = BlobName::new(template.fill(blob, NO_JOB, 0)).map(drop);
    name.map_err(|source| MapError::BadOutput { template: template.to_string(), blob: blob.clone(), source })
}

/// Whether any output would have the name of an input.
fn replaces_inputs(template: &OutputName, manifest: &[String]) -> bool {
    let is_input = |output: String| manifest.binary_search(&output).is_ok();
    (0..).zip(manifest).any(|(index, blob)| is_input(template.fill(blob, NO_JOB, index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn prepared(from: &str, to: &str, name: &str, cwd: &Path) -> Result<Mapping, String> {
        let request = MapRequest { from, to, name, throttle: 0 };
        Mapping::prepare(request, cwd).await.map_err(|error| error.failure("sbatch").text())
    }

    #[tokio::test]
    async fn a_folder_becomes_a_manifest_and_its_outputs_folder_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("a folder in it");
        for name in ["b.png", "a.jpg", "c.txt"] {
            std::fs::write(folder.path().join("in").join(name), b"x").expect("a file in it");
        }
        let mapping = prepared("in/", "out", NAME_DEFAULT, folder.path()).await.expect("all is well");
        assert_eq!(mapping.manifest, ["a.jpg", "b.png", "c.txt"]);
        assert_eq!(mapping.map.to, format!("file://{}/out/", folder.path().display()));
        assert_eq!(std::fs::read_dir(folder.path().join("out")).expect("it was made").count(), 0);
        let globbed = prepared("in/*.jpg", "out", "{index}", folder.path()).await.expect("a glob chooses");
        assert_eq!(globbed.manifest, ["a.jpg"]);
        for (from, to, name, message) in [
            ("in/*.gif", "out", NAME_DEFAULT, "there are no blobs at file://"),
            ("no", "out", NAME_DEFAULT, "/no/ does not exist"),
            ("in", "./in/", NAME_DEFAULT, "input and output are the same place, file://"),
            ("in/*.jpg", "in", "{stem}{ext}", "input and output are the same place, file://"),
            ("in", "in", "{stem}{ext}", "input and output are the same place, file://"),
            ("in", "out", "all", "cannot be used: \"all\" gives every output the same name"),
            ("in", "out", "{nam}", "cannot be used: {nam} has no meaning in an output name"),
            ("in", "out", "../{name}", "the output name '../{name}' makes a bad name of the blob a.jpg: "),
            ("in", "http://h/out", NAME_DEFAULT, "http://h/out/: http is read only"),
            ("ftp://x", "out", NAME_DEFAULT, "bad blob URL 'ftp://x'"),
        ] {
            let refusal = prepared(from, to, name, folder.path()).await.expect_err(message);
            assert!(refusal.starts_with("sbatch: error: ") && refusal.contains(message), "{refusal}");
        }
        prepared("in", "in", "{stem}.{job}{ext}", folder.path()).await.expect("other names in the same place are fine");
    }
}
