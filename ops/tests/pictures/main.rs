//! The traps that real pictures set, each with a picture made for it.
//!
//! Start at [`paint`], which makes pictures and holds the reference that results are compared with.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod damage;
mod jpeg;
#[cfg(feature = "turbojpeg")]
mod lossless;
mod others;
mod paint;
mod png;
mod refusals;
