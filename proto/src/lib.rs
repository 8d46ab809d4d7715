//! The wire: generated messages and services ([`v1`]), checked conversions to what the rest of the house thinks in, and
//! how the two sides find each other ([`endpoint`], [`dial`]).
//!
//! Messages do not travel further than this crate and the rpc modules. The `.proto` files are the documentation of every
//! call. Start with [`link`] for nodes and [`spec`] for jobs.

pub mod behalf;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod job_columns;
pub mod join_token;
pub mod link;
pub mod listen;
pub mod node_certificate;
pub mod reason;
pub mod request;
mod secret;
mod short_path;
pub mod spec;
mod step;
pub mod tls;
pub mod trust;

/// What tonic makes of `covey/v1/*.proto`; their comments are its documentation.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines, reason = "generated code")]
    tonic::include_proto!("covey.v1");
}

/// The compiled `.proto` files, for server reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The largest message on the link between a node and the controller, in bytes: a job's script (4 MiB), its environment and
/// the names of a batch of tasks fit. A larger one ends the link.
pub const LINK_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The largest message of a command's call or its answer, in bytes. A listing is cut into pages well below it.
pub const CALL_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
