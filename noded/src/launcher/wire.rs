//! Batches as bytes: a frame is a length (u32, little endian) and that many bytes of MessagePack, an array of values.
//!
//! Knows no socket; the launcher's `Client` and noded's `Link` move the bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The longest frame, without its length. A longer batch is sent in several frames; a longer single value is refused,
/// and a peer that announces a longer frame is hung up on.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

const LENGTH_BYTES: usize = size_of::<u32>();

/// Why a batch has no frame, or bytes are none.
#[derive(Debug, Error)]
pub enum FrameError {
    /// A value that no frame can hold.
    #[error(
        "a message of {bytes} bytes is over the {FRAME_BYTES_MAX} that fit a frame; make its command, environment or list shorter"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Only a value that serde refuses; none of ours does.
    #[error("cannot encode a frame")]
    Encode(#[source] rmp_serde::encode::Error),
    /// Not what this build of Covey understands.
    #[error("cannot decode a frame; are noded and its launcher of builds that fit together?")]
    Decode(#[source] rmp_serde::decode::Error),
}

/// Appends `batch` to `out`, in as few frames as hold it; nothing at all for an empty batch.
///
/// # Errors
/// [`FrameError::TooLong`] if one value alone is over [`FRAME_BYTES_MAX`]; `out` may then hold the frames before it.
pub fn encode<T: Serialize>(batch: &[T], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if batch.is_empty() {
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    rmp_serde::encode::write_named(out, batch).map_err(FrameError::Encode)?;
    let bytes = out.len() - start - LENGTH_BYTES;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= FRAME_BYTES_MAX => {
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            return Ok(());
        }
        _ => out.truncate(start),
    }
    if batch.len() == 1 {
        return Err(FrameError::TooLong { bytes });
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    encode(first, out)?;
    encode(second, out)
}

/// The length that a frame's first bytes announce, once they are there.
///
/// # Errors
/// [`FrameError::TooLong`] before anybody makes room for it.
pub fn announced(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX { Err(FrameError::TooLong { bytes: length }) } else { Ok(Some(length)) }
}

/// Takes one whole frame off the front of `bytes`, if it is there: the batch, and how many bytes it took.
///
/// # Errors
/// When the frame is too long or not understood; the connection is of no more use then.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(Vec<T>, usize)>, FrameError> {
    let Some(length) = announced(bytes)? else {
        return Ok(None);
    };
    let Some(body) = bytes.get(LENGTH_BYTES..LENGTH_BYTES + length) else {
        return Ok(None);
    };
    let batch = rmp_serde::from_slice(body).map_err(FrameError::Decode)?;
    Ok(Some((batch, LENGTH_BYTES + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut bytes = Vec::new();
        encode(&["a".to_owned(), "b".to_owned()], &mut bytes).expect("short");
        for cut in 0..bytes.len() {
            assert!(decode::<String>(&bytes[..cut]).expect("a prefix is no error").is_none());
        }
        let whole = bytes.len();
        bytes.extend_from_slice(b"next");
        let (batch, used) = decode::<String>(&bytes).expect("whole").expect("whole");
        assert_eq!((batch, used), (vec!["a".to_owned(), "b".to_owned()], whole));
    }

    #[test]
    fn a_long_batch_is_split_and_a_long_value_refused() {
        let piece = "x".repeat(FRAME_BYTES_MAX / 3);
        let batch = vec![piece; 7];
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes).expect("each value fits");
        let (mut got, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((some, used)) = decode::<String>(rest).expect("our own frames") {
            got.extend(some);
            rest = &rest[used..];
        }
        assert!(got == batch && rest.is_empty());
        assert!(matches!(encode(&["x".repeat(FRAME_BYTES_MAX)], &mut Vec::new()), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_huge_announcement_is_refused_at_once() {
        assert!(matches!(decode::<String>(&u32::MAX.to_le_bytes()), Err(FrameError::TooLong { .. })));
    }
}
