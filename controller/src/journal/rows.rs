//! How things become rows: keys, and values cut into chunks under one checksum.
//!
//! Every key starts with a byte for its kind; numbers in keys are big-endian, so that keys sort as numbers do.
//! A value is a head row (length, checksum, first chunk) under its key, and further chunks under key + chunk number.
//! Written head last, a value without a head is one that was never finished.

use std::iter::once;

use sled::IVec;

use super::BlobHash;

/// Largest chunk; with the head's 24 bytes no row is longer than this.
pub(super) const CHUNK_BYTES_MAX: usize = 32 << 10;
/// Length (8 bytes) and checksum (16 bytes) before the first chunk.
const HEAD_BYTES: usize = 24;

/// Kind byte of a record.
pub(super) const RECORD: u8 = b'r';
/// Kind byte of a checkpoint.
pub(super) const CHECKPOINT: u8 = b'c';
/// Kind byte of a blob.
pub(super) const BLOB: u8 = b'b';
/// The journal's format version.
pub(super) const FORMAT_KEY: &[u8] = b"mformat";
/// Epoch, next sequence and the tally of all history.
pub(super) const HEAD_KEY: &[u8] = b"mhead";

pub(super) fn record_key(sequence: u64) -> Vec<u8> {
    [&[RECORD][..], &sequence.to_be_bytes()].concat()
}

pub(super) fn checkpoint_key(sequence: u64) -> Vec<u8> {
    [&[CHECKPOINT][..], &sequence.to_be_bytes()].concat()
}

pub(super) fn blob_key(hash: &BlobHash) -> Vec<u8> {
    [&[BLOB][..], &hash.0].concat()
}

pub(super) fn history_key(day: u32, key: &[u8]) -> Vec<u8> {
    [&b"h"[..], &day.to_be_bytes(), key].concat()
}

/// Where the tally of one day's history is kept.
pub(super) fn tally_key(day: u32) -> Vec<u8> {
    [&b"mday"[..], &day.to_be_bytes()].concat()
}

/// What was found under a key.
pub(super) enum Found {
    /// No head row.
    Nothing,
    /// A head row, but not all that it promises.
    Damage,
    /// What was written.
    Whole(Vec<u8>),
}

/// The rows of a value, its head last.
pub(super) fn split<'a>(key: &'a [u8], bytes: &'a [u8]) -> impl Iterator<Item = (Vec<u8>, IVec)> + 'a {
    let (first, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES_MAX));
    let chunks = rest.chunks(CHUNK_BYTES_MAX).zip(1..).map(move |(chunk, n)| (chunk_key(key, n), chunk.into()));
    chunks.chain(once((key.to_vec(), [&head(bytes)[..], first].concat().into())))
}

/// A value of one row.
pub(super) fn seal(bytes: &[u8]) -> Vec<u8> {
    [&head(bytes)[..], bytes].concat()
}

/// Puts a value together again from what `get` finds.
pub(super) fn join<E>(key: &[u8], mut get: impl FnMut(&[u8]) -> Result<Option<IVec>, E>) -> Result<Found, E> {
    let Some(first) = get(key)? else { return Ok(Found::Nothing) };
    let Some((expected, body)) = first.split_first_chunk::<HEAD_BYTES>() else { return Ok(Found::Damage) };
    let mut bytes = body.to_vec();
    for n in 1.. {
        if head_length(expected) <= bytes.len() as u64 {
            break;
        }
        let Some(chunk) = get(&chunk_key(key, n))? else { return Ok(Found::Damage) };
        bytes.extend_from_slice(&chunk);
    }
    Ok(if head(&bytes) == *expected { Found::Whole(bytes) } else { Found::Damage })
}

/// Opens a value of one row; `None` when it is damaged.
pub(super) fn unseal(row: &[u8]) -> Option<&[u8]> {
    let (expected, body) = row.split_first_chunk::<HEAD_BYTES>()?;
    (head(body) == *expected).then_some(body)
}

fn head(bytes: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
    head[8..].copy_from_slice(&blake3::hash(bytes).as_bytes()[..HEAD_BYTES - 8]);
    head
}

fn head_length(head: &[u8; HEAD_BYTES]) -> u64 {
    u64::from_be_bytes(*head.first_chunk().expect("a head starts with its length"))
}

fn chunk_key(key: &[u8], n: u32) -> Vec<u8> {
    [key, &n.to_be_bytes()].concat()
}
