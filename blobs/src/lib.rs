//! Blob stores as Covey sees them: a checked URL, a sorted listing, whole blobs in and out.
//!
//! Folders, Azure, S3, Google Cloud Storage, plain HTTP (read only) and the memory of this process all look the same
//! from outside. Credentials come from the environment alone, so no URL and no message can carry one.
//!
//! Not here: streaming of parts of a blob, copies between stores, creating of buckets, and any thought about jobs.
//!
//! Start reading at [`BlobStore`], then [`StoreUrl`].

mod cause;
mod connect;
mod environment;
mod error;
mod folder;
mod list;
mod name;
mod pattern;
mod store;
mod url;

pub use cause::Cause;
pub use environment::Environment;
pub use error::BlobError;
pub use list::{Blob, LISTED_BLOBS_MAX};
pub use name::{BlobName, NAME_BYTES_MAX};
pub use store::BlobStore;
pub use url::{Scheme, StoreUrl};
