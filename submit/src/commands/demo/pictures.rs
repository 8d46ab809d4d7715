//! Puts pictures into a store: made ones, or those of a folder.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use blobs::{BlobError, BlobName, BlobStore};
use bytes::Bytes;
use ops::{Format, made};

use crate::commands::blob::transfer::each;
use crate::failure::{Failure, Outcome};

/// The beginning of a file that tells its format.
const HEAD_BYTES: u64 = 64;

/// Where the pictures come from.
pub(super) enum Source {
    /// They are drawn on the spot.
    Made,
    /// They are copied.
    Files(Vec<Picture>),
}

/// A picture in a folder.
pub(super) struct Picture {
    path: PathBuf,
    name: BlobName,
    bytes: u64,
}

impl Source {
    /// The pictures of a folder, if one is given. What is none, by its first bytes, is left out and named.
    ///
    /// # Errors
    /// When the folder has no picture, or something in it cannot be read.
    pub(super) fn find(dir: Option<&Path>) -> Outcome<Source> {
        let Some(dir) = dir else { return Ok(Source::Made) };
        let (pictures, others) = look(dir).map_err(|error| Failure::chain(&unreadable(dir), &error))?;
        if pictures.is_empty() {
            let formats = Format::ALL.map(Format::name).join(", ");
            let message = format!("covey demo: error: there is no picture in {} ({formats})", dir.display());
            return Err(Failure::new(message));
        }
        if !others.is_empty() {
            eprintln!("covey demo: left out what is no picture: {}", others.join(", "));
        }
        Ok(Source::Files(pictures))
    }

    /// Puts the pictures into a store, and tells their number and bytes.
    ///
    /// # Errors
    /// When one cannot be read, or the store does not take it.
    pub(super) async fn put(self, store: &BlobStore) -> Outcome<(usize, u64)> {
        match self {
            Source::Made => draw(store).await.map_err(|error| super::refused(&error)),
            Source::Files(pictures) => copy(pictures, store).await,
        }
    }
}

/// Draws on as many threads as the machine has to offer.
async fn draw(store: &BlobStore) -> Result<(usize, u64), BlobError> {
    let bytes = Cell::new(0);
    let work = |index| {
        let bytes = &bytes;
        async move {
            let drawn = tokio::task::spawn_blocking(move || made::picture(index)).await;
            let picture = drawn.expect("there is a picture for every index below their number");
            bytes.set(bytes.get() + picture.bytes.len() as u64);
            store.put(&BlobName::new(picture.name)?, Bytes::from(picture.bytes)).await
        }
    };
    each((0..made::COUNT).collect(), |_| 0, work).await?;
    Ok((made::COUNT, bytes.get()))
}

async fn copy(pictures: Vec<Picture>, store: &BlobStore) -> Outcome<(usize, u64)> {
    let told = (pictures.len(), pictures.iter().map(|picture| picture.bytes).sum());
    let put = |picture: Picture| async move {
        let read = fs::read(&picture.path);
        let bytes = read.map_err(|error| Failure::chain(&unreadable(&picture.path), &error))?;
        store.put(&picture.name, Bytes::from(bytes)).await.map_err(|error| super::refused(&error))
    };
    each(pictures, |picture| picture.bytes, put).await?;
    Ok(told)
}

/// The pictures of a folder, and the names of its other files. Folders in it, and hidden files, are left alone.
fn look(dir: &Path) -> io::Result<(Vec<Picture>, Vec<String>)> {
    let (mut pictures, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // A link that leads nowhere, and what is no file, is no picture: opening it could wait for ever.
        let Some(found) = fs::metadata(&path).ok().filter(|found| found.is_file() || found.is_dir()) else { continue };
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if found.is_dir() || shown.starts_with('.') {
            continue;
        }
        let mut head = Vec::new();
        File::open(&path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        match (Format::of(&head), BlobName::new(shown.clone())) {
            (Ok(_), Ok(name)) => pictures.push(Picture { path, name, bytes: found.len() }),
            _ => others.push(shown),
        }
    }
    others.sort_unstable();
    Ok((pictures, others))
}

fn unreadable(path: &Path) -> String {
    format!("covey demo: error: cannot read {}: ", path.display())
}

#[cfg(test)]
mod tests {
    use blobs::{Environment, StoreUrl};

    use super::*;

    fn memory(name: &str) -> BlobStore {
        let url: StoreUrl = format!("memory:///{name}/").parse().expect("a URL");
        BlobStore::open(&url, &Environment::default()).expect("memory opens")
    }

    #[tokio::test]
    async fn a_folder_gives_its_pictures_and_no_other_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = made::picture(made::COUNT - 1);
        fs::write(folder.path().join("one.png"), &picture.bytes).expect("written");
        fs::write(folder.path().join("README.md"), "no picture").expect("written");
        fs::write(folder.path().join(".hidden.png"), &picture.bytes).expect("written");
        fs::create_dir(folder.path().join("sub")).expect("made");
        let store = memory("demo-copied");
        let source = Source::find(Some(folder.path())).expect("one picture");
        assert_eq!(source.put(&store).await.expect("memory takes it"), (1, picture.bytes.len() as u64));
        let listed = store.list().await.expect("not empty");
        assert_eq!(listed.iter().map(|blob| blob.name.as_str()).collect::<Vec<_>>(), ["one.png"]);
    }

    #[test]
    fn a_folder_without_pictures_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("README.md"), "no picture").expect("written");
        for (dir, message) in
            [(folder.path(), "there is no picture in "), (Path::new("/nowhere"), "cannot read /nowhere: No such file")]
        {
            let text = Source::find(Some(dir)).err().expect("no picture").text();
            assert!(text.contains(message), "{text}");
        }
    }
}
