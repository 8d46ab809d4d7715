//! What is put: bytes in memory, or a file that is read piece by piece; and a file that is written piece by piece.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::Cause;
use crate::store::on_disk;

/// Bytes of a file that are in memory at once.
const PIECE_BYTES: usize = 1 << 20;

/// The content of a blob, before it is one.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// In a file, which must not change meanwhile.
    File {
        /// Where.
        path: PathBuf,
        /// How long it is.
        size_bytes: u64,
    },
}

impl Content {
    /// A file as it is now.
    ///
    /// # Errors
    /// There is no such file, or it cannot be looked at.
    pub fn of_file(path: impl Into<PathBuf>) -> io::Result<Content> {
        let path = path.into();
        let size_bytes = std::fs::metadata(&path)?.len();
        Ok(Content::File { path, size_bytes })
    }

    /// How long it is.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { size_bytes, .. } => *size_bytes,
        }
    }

    /// It, piece by piece. A file that has another length by now is an error.
    pub(crate) fn pieces(&self) -> BoxStream<'static, io::Result<Bytes>> {
        match self {
            Content::Bytes(bytes) => stream::once(std::future::ready(Ok(bytes.clone()))).boxed(),
            Content::File { path, size_bytes } => {
                let start = Reading { path: path.clone(), file: None, left_bytes: *size_bytes };
                stream::try_unfold(start, |reading| async {
                    on_disk(|| reading.next()).await.map_err(io::Error::other)
                })
                .boxed()
            }
        }
    }

    /// All of it in memory.
    pub(crate) async fn bytes(&self) -> Result<Bytes, Cause> {
        match self {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::File { path, .. } => {
                let path = path.clone();
                on_disk(move || std::fs::read(path)).await.map(Bytes::from)
            }
        }
    }
}

struct Reading {
    path: PathBuf,
    file: Option<File>,
    left_bytes: u64,
}

impl Reading {
    fn next(mut self) -> io::Result<Option<(Bytes, Reading)>> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() && self.left_bytes == 0 {
            return Ok(None);
        }
        let left_bytes = self.left_bytes.checked_sub(piece.len() as u64).filter(|_| !piece.is_empty());
        let changed = || io::Error::other(format!("{} has changed while it was read", self.path.display()));
        let left_bytes = left_bytes.ok_or_else(changed)?;
        Ok(Some((piece.into(), Reading { file: Some(file), left_bytes, ..self })))
    }
}

/// Writes what comes into a new file at `path`, in place of any; answers how many bytes came.
pub(crate) async fn write_file<E: Into<Cause>>(
    path: &Path,
    mut pieces: BoxStream<'_, Result<Bytes, E>>,
) -> Result<u64, Cause> {
    let to = path.to_owned();
    let mut file = on_disk(move || File::create(to)).await?;
    let mut written_bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Into::into)?;
        written_bytes += piece.len() as u64;
        file = on_disk(move || file.write_all(&piece).map(|()| file)).await?;
    }
    Ok(written_bytes)
}

/// Whether what comes is this content.
pub(crate) async fn is_same<E: Into<Cause>>(
    content: &Content,
    mut found: BoxStream<'_, Result<Bytes, E>>,
) -> Result<bool, Cause> {
    let mut ours = content.pieces();
    let (mut left, mut right) = (Bytes::new(), Bytes::new());
    loop {
        while left.is_empty() {
            match ours.next().await {
                Some(piece) => left = piece?,
                None => break,
            }
        }
        while right.is_empty() {
            match found.next().await {
                Some(piece) => right = piece.map_err(Into::into)?,
                None => break,
            }
        }
        let both = left.len().min(right.len());
        if both == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left.split_to(both) != right.split_to(both) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &'static [&'static str]) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes())))).boxed()
    }

    #[tokio::test]
    async fn contents_are_compared_across_their_pieces() {
        let content = Content::Bytes(Bytes::from_static(b"abcdef"));
        for (found, same) in [
            (&["abc", "", "def"][..], true),
            (&["abcdef"], true),
            (&["abc", "de"], false),
            (&["abcdef", "g"], false),
            (&["abx", "def"], false),
            (&[], false),
        ] {
            assert_eq!(is_same(&content, pieces(found)).await.expect("no failure"), same, "{found:?}");
        }
        assert!(is_same(&Content::Bytes(Bytes::new()), pieces(&[])).await.expect("no failure"));
    }

    #[tokio::test]
    async fn a_file_goes_out_in_pieces_and_comes_back() {
        let temp = tempfile::tempdir().expect("a folder");
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 7).map(|i| (i % 251) as u8).collect();
        std::fs::write(&from, &bytes).expect("written");
        let content = Content::of_file(&from).expect("there");
        let sizes: Vec<usize> = content.pieces().map(|piece| piece.expect("read").len()).collect().await;
        assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 7]);
        assert_eq!(write_file(&to, content.pieces()).await.expect("written"), bytes.len() as u64);
        assert_eq!(std::fs::read(&to).expect("there"), bytes);
        assert!(is_same(&content, Content::of_file(&to).expect("there").pieces()).await.expect("both are there"));

        std::fs::write(&from, b"short").expect("written");
        let error = write_file(&to, content.pieces()).await.expect_err("it has another length");
        assert!(error.to_string().contains("has changed while it was read"), "{error}");
    }
}
