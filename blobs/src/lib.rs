//! Blob stores as Covey sees them: a checked URL, a sorted listing, whole blobs in and out.
//!
//! Folders, Azure, S3, Google Cloud Storage, plain HTTP (read only) and the memory of this process all look the same
//! from outside. Credentials come from the environment alone, so no URL that a user writes can carry one. Who holds them can
//! sign short-lived URLs ([`SignedInput`], [`SignedOutput`]) for a [`Courier`] that holds none.
//!
//! Not here: reading of parts of a blob, copies between stores, creating of buckets, and any thought about jobs.
//!
//! Start reading at [`BlobStore`], then [`StoreUrl`]; for what is signed at `sign.rs`, then [`Courier`].

mod azure_crypto;
mod before;
mod cause;
mod connect;
mod content;
mod courier;
mod environment;
mod error;
mod folder;
mod list;
mod name;
mod pattern;
mod put;
mod read;
mod sign;
mod store;
mod transport;
mod url;

pub use before::{BadBefore, Before};
pub use cause::Cause;
pub use content::Content;
pub use courier::Courier;
pub use environment::{Environment, SETTINGS_VARIABLE, is_setting};
pub use error::BlobError;
pub use list::{Blob, LISTED_BLOBS_MAX};
pub use name::{BlobName, NAME_BYTES_MAX};
pub use sign::{SIGNED_LIFE_MAX, SignedInput, SignedOutput, SignedRequest};
pub use store::BlobStore;
pub use url::{Scheme, StoreUrl};
