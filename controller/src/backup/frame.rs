//! The outer form of a backup: a header, and frames with checksums, of which one or several make a value.
//!
//! ```text
//! header  "COVEYBAK", format (4 bytes), checksum of both (8)
//! frame   kind (1), flags (1: packed with zstd, 2: the value goes on in the next frame), length (4), that many bytes,
//!         checksum (16) of the frame's number, its first 6 bytes and its content
//! ```
//! Numbers are big-endian, checksums the first bytes of BLAKE3. The frame's number is in its checksum, so that none can be missing,
//! doubled or moved; and the last frame is of kind `End`, so that a cut-off file is known for one. What values mean is in `save`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::BackupError;
use crate::journal::BLOB_BYTES_MAX;

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;
/// The most that one frame holds of a value; a longer value takes several.
const FRAME_BYTES_MAX: usize = 1 << 20;
const MAGIC: &[u8; 8] = b"COVEYBAK";
const HEADER_BYTES: usize = 20;
const HEAD_BYTES: usize = 6;
const CHECK_BYTES: usize = 16;
/// zstd's own default; the next levels cost far more than they save here.
const LEVEL: i32 = 3;

const PACKED: u8 = 1;
const MORE: u8 = 2;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first: what this is a backup of.
    Head = 1,
    /// The state.
    State = 2,
    /// A journal blob.
    Blob = 3,
    /// Some rows of history.
    History = 4,
    /// The last: what was counted.
    End = 5,
}

impl Kind {
    fn read(byte: u8) -> Option<Kind> {
        [Kind::Head, Kind::State, Kind::Blob, Kind::History, Kind::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Writes values.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    pack: bool,
    frames: u64,
}

impl<'a> Writer<'a> {
    /// Begins a backup, whose values are packed with zstd or left as they are.
    pub(super) fn begin(out: &'a mut dyn Write, pack: bool) -> Result<Writer<'a>, BackupError> {
        out.write_all(&header(FORMAT)).map_err(BackupError::Write)?;
        Ok(Writer { out, pack, frames: 0 })
    }

    pub(super) fn value(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), BackupError> {
        let mut rest = bytes;
        loop {
            let (part, after) = rest.split_at(rest.len().min(FRAME_BYTES_MAX));
            self.frame(kind, part, !after.is_empty()).map_err(BackupError::Write)?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Writes what is left to write.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        self.out.flush().map_err(BackupError::Write)
    }

    fn frame(&mut self, kind: Kind, part: &[u8], more: bool) -> io::Result<()> {
        let packed = if self.pack { Some(zstd::bulk::compress(part, LEVEL)?) } else { None };
        // What grows by packing stays as it is, and so a frame has a bound.
        let packed = packed.filter(|packed| packed.len() < part.len());
        let content = packed.as_deref().unwrap_or(part);
        let flags = if packed.is_some() { PACKED } else { 0 } | if more { MORE } else { 0 };
        let length = u32::try_from(content.len()).expect("a frame is far below 4 GiB");
        let [a, b, c, d] = length.to_be_bytes();
        let head = [kind as u8, flags, a, b, c, d];
        self.out.write_all(&head)?;
        self.out.write_all(content)?;
        self.out.write_all(&check(self.frames, &head, content))?;
        self.frames += 1;
        Ok(())
    }
}

/// Reads values, and names file and place of what is wrong.
pub(super) struct Reader<R> {
    file: R,
    path: PathBuf,
    offset: u64,
    frames: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub(super) fn begin(file: R, path: &Path) -> Result<Reader<R>, BackupError> {
        let mut reader = Reader { file, path: path.to_owned(), offset: 0, frames: 0, ended: false };
        let mut found = [0; HEADER_BYTES];
        let whole = reader.fill(&mut found)?;
        if !found.starts_with(MAGIC) {
            return Err(BackupError::NotABackup { path: path.to_owned() });
        }
        let format = u32::from_be_bytes(*found[MAGIC.len()..].first_chunk().expect("a header has a format"));
        if !whole || found != header(format) {
            return Err(reader.damaged(0, "its header is not whole"));
        }
        if format != FORMAT {
            return Err(BackupError::Newer { path: path.to_owned(), found: format, known: FORMAT });
        }
        reader.offset = HEADER_BYTES as u64;
        Ok(reader)
    }

    /// The next value; nothing after the last one, behind which nothing may follow.
    pub(super) fn value(&mut self) -> Result<Option<(Kind, Vec<u8>)>, BackupError> {
        if self.ended {
            let mut byte = [0];
            return if self.fill(&mut byte)? {
                Err(self.damaged(self.offset, "something follows its end"))
            } else {
                Ok(None)
            };
        }
        let begun = self.offset;
        let (kind, mut bytes, mut more) = self.frame()?;
        while more {
            let (next, part, goes_on) = self.frame()?;
            if next != kind || bytes.len() + part.len() > BLOB_BYTES_MAX {
                return Err(self.damaged(begun, "a value does not fit together"));
            }
            bytes.extend_from_slice(&part);
            more = goes_on;
        }
        self.ended = kind == Kind::End;
        Ok(Some((kind, bytes)))
    }

    /// What is wrong with a value that began before here.
    pub(super) fn wrong(&self, what: &str) -> BackupError {
        self.damaged(self.offset, what)
    }

    fn frame(&mut self) -> Result<(Kind, Vec<u8>, bool), BackupError> {
        let at = self.offset;
        let mut head = [0; HEAD_BYTES];
        if !self.fill(&mut head)? {
            return Err(self.damaged(at, "it ends early"));
        }
        let length = u32::from_be_bytes(*head.last_chunk().expect("6 bytes")) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(self.damaged(at, "a frame's length cannot be"));
        }
        let mut content = vec![0; length];
        let mut expected = [0; CHECK_BYTES];
        if !self.fill(&mut content)? || !self.fill(&mut expected)? {
            return Err(self.damaged(at, "it ends early"));
        }
        if check(self.frames, &head, &content) != expected {
            return Err(self.damaged(at, "a frame's checksum is another"));
        }
        self.offset += (HEAD_BYTES + length + CHECK_BYTES) as u64;
        self.frames += 1;
        let kind = Kind::read(head[0]).ok_or_else(|| self.damaged(at, "a frame is of an unknown kind"))?;
        if head[1] & PACKED != 0 {
            let unpacked = zstd::bulk::decompress(&content, FRAME_BYTES_MAX);
            content = unpacked.map_err(|error| self.damaged(at, &format!("a frame cannot be unpacked: {error}")))?;
        }
        Ok((kind, content, head[1] & MORE != 0))
    }

    /// Fills a buffer; false where the file ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, BackupError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => return Ok(false),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(BackupError::File { path: self.path.clone(), source }),
            }
        }
        Ok(true)
    }

    fn damaged(&self, offset: u64, what: &str) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), offset, what: what.to_owned() }
    }
}

fn header(format: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&format.to_be_bytes());
    let check = blake3::hash(&header[..12]);
    header[12..].copy_from_slice(&check.as_bytes()[..8]);
    header
}

fn check(number: u64, head: &[u8; HEAD_BYTES], content: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_be_bytes()).update(head).update(content);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<(Kind, Vec<u8>)> {
        let noise = |bytes: usize| {
            (0..bytes as u64)
                .map(|n| (n.wrapping_mul(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
                .collect::<Vec<_>>()
        };
        vec![
            (Kind::Head, b"head".to_vec()),
            (Kind::State, vec![7; 2 * FRAME_BYTES_MAX + 1]),
            (Kind::Blob, Vec::new()),
            (Kind::Blob, noise(FRAME_BYTES_MAX)),
            (Kind::End, b"end".to_vec()),
        ]
    }

    fn written(pack: bool) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::begin(&mut file, pack).expect("begun");
        values().iter().for_each(|(kind, bytes)| writer.value(*kind, bytes).expect("written"));
        writer.finish().expect("finished");
        file
    }

    fn read(file: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, BackupError> {
        let mut reader = Reader::begin(file, Path::new("x.bak"))?;
        std::iter::from_fn(|| reader.value().transpose()).collect()
    }

    #[test]
    fn values_come_back_packed_or_not() {
        let (packed, plain) = (written(true), written(false));
        assert!(read(&packed).expect("readable") == values() && read(&plain).expect("readable") == values());
        assert!(packed.len() < plain.len() / 2, "{} and {} bytes", packed.len(), plain.len());
    }

    #[test]
    fn every_cut_and_flip_is_named_with_its_place() {
        let file = written(true);
        for at in (0..file.len()).step_by(9973).chain([file.len() - 1, 8, 11, 19, 20, 21, 22]) {
            let cut = read(&file[..at]).expect_err("cut").to_string();
            assert!(cut.contains("x.bak") && (at < 8 || cut.contains("byte")), "{at}: {cut}");
            let mut flipped = file.clone();
            flipped[at] ^= 4;
            assert!(read(&flipped).is_err(), "a flip at {at} is not seen");
        }
        let longer = [&file[..], b"x"].concat();
        assert!(read(&longer).expect_err("more").to_string().contains("follows its end"));
    }

    #[test]
    fn moved_frames_and_other_formats_are_refused() {
        let mut file = Vec::new();
        let mut writer = Writer::begin(&mut file, false).expect("begun");
        [b"a", b"b"].iter().for_each(|bytes| writer.value(Kind::Blob, *bytes).expect("written"));
        writer.finish().expect("finished");
        let frame = HEAD_BYTES + 1 + CHECK_BYTES;
        let (first, second) = file[HEADER_BYTES..].split_at(frame);
        let moved = [&file[..HEADER_BYTES], second, first].concat();
        assert!(read(&moved).expect_err("moved").to_string().contains("byte 20"));
        let newer = [&header(2)[..], &file[HEADER_BYTES..]].concat();
        assert!(matches!(read(&newer), Err(BackupError::Newer { found: 2, .. })));
        assert!(matches!(read(b"PK\x03\x04"), Err(BackupError::NotABackup { .. })));
    }
}
