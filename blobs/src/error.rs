//! What can go wrong with a store, one variant per operation.
//!
//! `url` and `blob` are URLs as text. They hold no credentials, because a [`StoreUrl`](crate::StoreUrl) cannot.

use crate::Cause;

/// A failure that names the store or the blob; [`BlobError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum BlobError {
    /// The text is not the URL of a store.
    #[error("bad blob URL '{url}': {fault}")]
    BadUrl { url: String, fault: &'static str },

    /// The path of the URL cannot be a prefix of blob names.
    #[error("bad path in blob URL '{url}': {fault}")]
    BadPrefix { url: String, fault: &'static str },

    /// The last part of the URL looks like a glob and is none.
    #[error("bad glob in blob URL '{url}'")]
    BadGlob { url: String, source: Cause },

    /// The text is not a blob name.
    #[error("bad blob name {name:?}: {fault}")]
    BadName { name: String, fault: &'static str },

    /// The store lists a blob that Covey cannot address.
    #[error("{url} holds a blob with the bad name {name:?}: {fault}")]
    ListedBadName { url: String, name: String, fault: &'static str },

    /// The environment holds no credentials for the store.
    #[error("{url}: no {account} is known: set {fix}")]
    NoCredentials { url: String, account: &'static str, fix: &'static str },

    /// The environment names an endpoint without TLS and does not allow that.
    #[error("{url}: {variable} is an http:// URL: set {fix}=true to allow it, or use https://")]
    PlainEndpoint { url: String, variable: &'static str, fix: &'static str },

    /// The settings of the store are contradictory or unreadable.
    #[error("cannot open {url}")]
    Open { url: String, source: Cause },

    /// The folder, bucket or storage container does not exist.
    #[error("{url} does not exist: there is no such {place}")]
    NoContainer { url: String, place: &'static str },

    /// The listing worked and holds nothing.
    #[error("there are no blobs at {url}")]
    NothingListed { url: String },

    /// The listing is longer than a job may be.
    #[error("{url} holds more than {blobs_max} blobs: use a longer prefix or a glob")]
    TooManyListed { url: String, blobs_max: usize },

    /// The listing failed.
    #[error("cannot list {url}")]
    List { url: String, source: Cause },

    /// There is no such blob.
    #[error("{blob} does not exist")]
    NoBlob { blob: String },

    /// The blob is larger than its reader has room for.
    #[error("{blob} has {size_bytes} bytes, more than the {bytes_max} allowed here")]
    TooLarge { blob: String, size_bytes: u64, bytes_max: u64 },

    /// Fewer or more bytes came than the store had announced.
    #[error("{blob} should have {announced_bytes} bytes, but {read_bytes} came")]
    WrongLength { blob: String, announced_bytes: u64, read_bytes: u64 },

    /// Reading the blob failed.
    #[error("cannot read {blob}")]
    Get { blob: String, source: Cause },

    /// Asking for the size of the blob failed.
    #[error("cannot look up {blob}")]
    Head { blob: String, source: Cause },

    /// Writing the blob failed; it is absent or what it was before.
    #[error("cannot write {blob}")]
    Put { blob: String, source: Cause },

    /// Somebody else has put another blob there since this one was begun.
    #[error("{blob} was changed by somebody else meanwhile, and stays as they left it")]
    Changed { blob: String },

    /// One request cannot carry it.
    #[error("{blob} would have {size_bytes} bytes, more than the {bytes_max} that one signed request can carry")]
    TooLargeToSign { blob: String, size_bytes: u64, bytes_max: u64 },

    /// No URL could be signed.
    #[error("cannot sign a URL for {blob}")]
    Sign { blob: String, source: Cause },

    /// The credentials are of a kind that signs nothing.
    #[error("{url}: the credentials that are known for it cannot sign URLs for others")]
    NoSigner { url: String },

    /// The file with the settings of stores cannot be used.
    #[error("cannot use the settings in {file}")]
    Settings { file: String, source: Cause },

    /// The file with the settings of stores may be read by others.
    #[error("{file} may be read by others, and it holds keys: chmod 600 it")]
    OpenSettings { file: String },

    /// A line of that file is no setting.
    #[error("{file}, line {line}: write it as NAME=value, such as AZURE_STORAGE_ACCOUNT_NAME=lab")]
    BadSetting { file: String, line: usize },

    /// Deleting the blob failed.
    #[error("cannot delete {blob}")]
    Delete { blob: String, source: Cause },

    /// The folder could not be made, or the bucket not be reached.
    #[error("cannot prepare {url}")]
    Make { url: String, source: Cause },

    /// The store exists and takes no blobs.
    #[error("{url} is not writable")]
    NotWritable { url: String, source: Cause },

    /// Web servers are only read.
    #[error("{url}: {scheme} is read only")]
    ReadOnly { url: String, scheme: &'static str },
}

impl BlobError {
    /// What the user can do, where the message does not already say so.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoContainer { place: "folder", .. } => Some("check the spelling, or make the folder first"),
            Self::NoContainer { .. } => {
                Some("Covey creates no buckets or storage containers: create it with the tool of its provider")
            }
            Self::NothingListed { .. } => {
                Some("a prefix ends at a slash, and a glob looks at one level only: check both")
            }
            Self::List { url, .. } if url.starts_with("http") => {
                Some("a web server can only be listed if it speaks WebDAV; single blobs can be read from any")
            }
            Self::TooLargeToSign { .. } => {
                Some("let nodes use keys or roles of their own, for uploads in parts: covey noded --store-auth=node")
            }
            Self::NoSigner { .. } => Some(
                "give an account's key, or let nodes use keys or roles of their own: covey noded --store-auth=node",
            ),
            Self::ReadOnly { .. } => Some("write to file:///, az://, s3:// or gs:// instead"),
            Self::List { source, .. }
            | Self::Get { source, .. }
            | Self::Head { source, .. }
            | Self::Put { source, .. }
            | Self::Delete { source, .. }
            | Self::Make { source, .. }
            | Self::NotWritable { source, .. }
                if source.is_refused() =>
            {
                Some("the store denied access: check credentials, or owner and mode of the folder")
            }
            _ => None,
        }
    }
}
