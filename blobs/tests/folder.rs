//! The folder store, on a real file system.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blobs::{BlobError, BlobName, BlobStore, Environment, StoreUrl};
use bytes::Bytes;

fn open(folder: &Path, rest: &str) -> BlobStore {
    let base = StoreUrl::from_user(folder.to_str().expect("a UTF-8 folder"), Path::new("/")).expect("a folder");
    let url: StoreUrl = format!("{base}{rest}").parse().expect("a URL");
    BlobStore::open(&url, &Environment::default()).expect("folders always open")
}

fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("a good name")
}

async fn names(store: &BlobStore) -> Vec<String> {
    store.list().await.expect("a listing").into_iter().map(|blob| blob.name.to_string()).collect()
}

const ODD_NAMES: [&str; 14] = [
    " blank at start",
    "%41",
    "50% off.jpg",
    "C:x",
    "[1]{2}*?.jpg",
    "a b.jpg",
    "a#1.jpg",
    "a+b&c=d.jpg",
    "a\\b",
    "c|d",
    "deep/er/x~y^z`.jpg",
    "q?.jpg",
    "z\"<>'.jpg",
    "\u{732b}/\u{e9}.jpg",
];

#[tokio::test]
async fn odd_names_come_back_as_they_were_put() {
    let temp = tempfile::tempdir().expect("a folder");
    let store = open(temp.path(), "sub%20%5B%25%5D/");
    for odd in ODD_NAMES {
        store.put(&name(odd), Bytes::from(odd)).await.expect(odd);
        let path = store.local_path(&name(odd)).expect("a folder has files");
        assert_eq!(std::fs::read_to_string(&path).expect("put where it said"), odd, "{}", path.display());
    }
    let listed = store.list().await.expect("a listing");
    assert_eq!(listed.iter().map(|blob| blob.name.as_str()).collect::<Vec<_>>(), ODD_NAMES);
    for blob in listed {
        assert_eq!(store.get(&blob.name, 100).await.expect("listed, so there"), blob.name.as_str());
        assert_eq!(store.head(&blob.name).await.expect("listed, so there"), blob.size_bytes);
        let single: StoreUrl = store.url().blob(&blob.name).parse().expect("the URL of a blob");
        assert_eq!(single.folder(), store.local_path(&blob.name));
        store.delete(&blob.name).await.expect("listed, so there");
    }
    assert!(matches!(store.list().await, Err(BlobError::NothingListed { .. })));
}

#[tokio::test]
async fn a_listing_is_sorted_and_filtered() {
    let temp = tempfile::tempdir().expect("a folder");
    let store = open(temp.path(), "");
    for text in ["b.jpg", "a.jpg", "in/c.jpg", "a.png", "in.jpg"] {
        store.put(&name(text), Bytes::from_static(b"xyz")).await.expect("writable");
    }
    std::fs::write(temp.path().join("b.jpg#1"), "half").expect("an unfinished put");
    assert_eq!(names(&store).await, ["a.jpg", "a.png", "b.jpg", "in.jpg", "in/c.jpg"]);
    assert_eq!(names(&open(temp.path(), "*.jpg")).await, ["a.jpg", "b.jpg", "in.jpg"]);
    assert_eq!(names(&open(temp.path(), "[!b]?jpg*")).await.len(), 1);
    assert_eq!(names(&open(temp.path(), "in/")).await, ["c.jpg"]);
    assert_eq!(store.list().await.expect("a listing")[0].size_bytes, 3);
    let nothing = open(temp.path(), "*.gif").list().await.expect_err("no gif");
    assert!(nothing.to_string().ends_with("/*.gif"), "{nothing}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let temp = tempfile::tempdir().expect("a folder");
    let store = open(temp.path(), "gone/");
    let error = store.list().await.expect_err("no folder");
    assert!(matches!(error, BlobError::NoContainer { .. }) && error.to_string().contains("gone/"), "{error}");
    assert!(matches!(store.check_writable().await, Err(BlobError::NoContainer { .. })));
    assert!(!temp.path().join("gone").exists());
    store.make().await.expect("a folder can be made");
    store.make().await.expect("and is already there");
    store.check_writable().await.expect("and is writable");
    assert!(matches!(store.list().await, Err(BlobError::NothingListed { .. })));

    let cat = name("cat.jpg");
    let wanted = store.url().blob(&cat);
    for error in [
        store.get(&cat, 1).await.map(drop).expect_err("no cat"),
        store.head(&cat).await.map(drop).expect_err("no cat"),
        store.delete(&cat).await.expect_err("no cat"),
    ] {
        assert!(matches!(&error, BlobError::NoBlob { blob } if *blob == wanted), "{error}");
    }
}

#[tokio::test]
async fn a_blob_that_is_too_large_is_not_read() {
    let temp = tempfile::tempdir().expect("a folder");
    let store = open(temp.path(), "");
    store.put(&name("ten"), Bytes::from_static(b"0123456789")).await.expect("writable");
    assert_eq!(store.get(&name("ten"), 10).await.expect("ten bytes fit").len(), 10);
    let error = store.get(&name("ten"), 9).await.expect_err("nine do not");
    assert!(matches!(error, BlobError::TooLarge { size_bytes: 10, bytes_max: 9, .. }), "{error}");
}

/// Mode bits do not stop root, who may run the tests; a file where a folder should be, and `/proc`, stop everyone.
#[tokio::test]
async fn an_unwritable_place_is_told_with_its_cause() {
    let temp = tempfile::tempdir().expect("a folder");
    std::fs::write(temp.path().join("file"), "").expect("writable");
    let below = open(temp.path(), "file/sub/");
    assert!(matches!(below.make().await, Err(BlobError::Make { .. })));
    assert!(matches!(below.put(&name("x"), Bytes::new()).await, Err(BlobError::Put { .. })));
    assert!(below.check_writable().await.is_err());
    let reserved = open(temp.path(), "").put(&name("page#12"), Bytes::new()).await.expect_err("a temporary name");
    assert!(std::error::Error::source(&reserved).expect("a cause").to_string().contains("choose another"));

    let proc = open(Path::new("/proc"), "");
    let error = proc.check_writable().await.expect_err("/proc takes no files");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(matches!(error, BlobError::NotWritable { .. }), "{error}");
    assert_eq!(error.to_string(), "file:///proc/ is not writable");
    assert!(cause.contains("os error"), "{cause}");
}

/// One thread of tasks, but the file system is reached from several, so that puts and reads do meet.
#[tokio::test]
async fn nobody_ever_sees_part_of_a_blob() {
    const SIZE_BYTES: usize = 1 << 20;
    let temp = tempfile::tempdir().expect("a folder");
    let store = open(temp.path(), "");
    store.put(&name("first"), Bytes::from(vec![0; SIZE_BYTES])).await.expect("writable");
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        async move {
            let mut blobs_seen = 0;
            while !done.load(Ordering::Acquire) {
                for blob in store.list().await.expect("a listing") {
                    assert_eq!(blob.size_bytes, SIZE_BYTES as u64, "{}", blob.name);
                    let bytes = store.get(&blob.name, SIZE_BYTES as u64).await.expect("whole");
                    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{} is mixed", blob.name);
                    blobs_seen += 1;
                }
            }
            blobs_seen
        }
    });
    for round in 0..40u8 {
        let bytes = Bytes::from(vec![round; SIZE_BYTES]);
        store.put(&name(&format!("b{}", round % 4)), bytes).await.expect("writable");
    }
    done.store(true, Ordering::Release);
    assert!(reader.await.expect("the reader saw whole blobs only") > 0);
    assert_eq!(std::fs::read_dir(temp.path()).expect("a folder").count(), 5, "temporary files are gone");
}

#[tokio::test]
async fn the_memory_store_is_one_for_the_process() {
    let url: StoreUrl = "memory:///shared-by-two/".parse().expect("a URL");
    let open = || BlobStore::open(&url, &Environment::default()).expect("memory opens");
    open().make().await.expect("nothing to make");
    open().check_writable().await.expect("writable");
    assert!(matches!(open().list().await, Err(BlobError::NothingListed { .. })));
    open().put(&name("a/b"), Bytes::from_static(b"x")).await.expect("writable");
    assert_eq!(names(&open()).await, ["a/b"]);
    assert_eq!(open().get(&name("a/b"), 1).await.expect("there"), "x");
    assert_eq!(open().local_path(&name("a/b")), None);
}
