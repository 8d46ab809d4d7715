//! Services on a bad day: busy, slow, broken off in the middle, with another clock. For clients with keys and without.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use blobs::{
    Before, BlobError, BlobName, BlobStore, Content, Courier, Environment, SignedInput, SignedOutput, SignedRequest,
};
use bytes::Bytes;

/// What reached the server.
#[derive(Clone, Debug)]
struct Asked {
    at: Instant,
    /// Such as `GET /lab/x HTTP/1.1`.
    line: String,
    body: Vec<u8>,
}

/// What it does about the nth request, counted from 0: bytes to send, or nothing at all until the client is gone.
type Mood = Box<dyn Fn(usize, &Asked) -> Option<String> + Send + Sync>;

struct Moody {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Moody {
    fn new(mood: impl Fn(usize, &Asked) -> Option<String> + Send + Sync + 'static) -> Moody {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (asked, mood): (Arc<Mutex<Vec<Asked>>>, Arc<Mood>) = (Arc::default(), Arc::new(Box::new(mood)));
        let all = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, mood) = (all.clone(), mood.clone());
                thread::spawn(move || answer(stream, &all, &mood));
            }
        });
        Moody { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test has panicked").clone()
    }

    /// How many requests had this method.
    fn count(&self, method: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line.starts_with(method)).count()
    }

    /// The three ways in, each to a blob that is at hand: plain, Azure and S3.
    fn stores(&self) -> [BlobStore; 3] {
        let endpoint = format!("http://{}", self.address);
        let azure = [
            ("AZURE_STORAGE_ACCOUNT_NAME", "lab"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "bm90IHRvbGQ="),
            ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ("AZURE_ALLOW_HTTP", "true"),
        ];
        [open(&format!("{endpoint}/lab/"), &[]), open("az://lab/", &azure), self.s3(&[])]
    }

    fn s3(&self, more: &[(&str, &str)]) -> BlobStore {
        let endpoint = format!("http://{}", self.address);
        let keys = [
            ("AWS_ACCESS_KEY_ID", "lab"),
            ("AWS_SECRET_ACCESS_KEY", "not-told"),
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        open("s3://lab/", &[&keys[..], more].concat())
    }

    fn signed(&self) -> SignedRequest {
        SignedRequest::new(format!("http://{}/lab/x?sig=SECRET", self.address), Vec::new())
    }

    fn input(&self) -> SignedInput {
        SignedInput { blob: "az://lab/x".into(), head: self.signed(), get: self.signed() }
    }

    fn output(&self) -> SignedOutput {
        SignedOutput { blob: "az://lab/x".into(), put: self.signed(), get: self.signed() }
    }
}

fn open(url: &str, settings: &[(&str, &str)]) -> BlobStore {
    let environment = Environment::from_pairs(settings.iter().copied());
    BlobStore::open(&url.parse().expect("a URL"), &environment).expect("the settings are there")
}

fn x() -> BlobName {
    BlobName::new("x").expect("a name")
}

fn courier() -> Courier {
    Courier::new().expect("a client")
}

fn cause(error: &BlobError) -> String {
    std::error::Error::source(error).expect("a cause").to_string()
}

fn answer(mut stream: TcpStream, all: &Mutex<Vec<Asked>>, mood: &Mood) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let line = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let length =
        headers.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    // A client that has hung up is its own test's business.
    let _ = reader.read_exact(&mut body);
    let asked = Asked { at: Instant::now(), line, body };
    let number = {
        let mut all = all.lock().expect("no test has panicked");
        all.push(asked.clone());
        all.len() - 1
    };
    match mood(number, &asked) {
        Some(text) => drop(stream.write_all(text.as_bytes())),
        // Ends when the client has had enough.
        None => drop(reader.read(&mut [0])),
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"))
}

const BLOB: &str = "ETag: \"1\"\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n";

/// The same of a server that tells no versions.
const UNVERSIONED: &str = "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n";

fn good() -> Option<String> {
    reply("200 OK", BLOB, "meow")
}

#[tokio::test]
async fn a_busy_store_is_asked_again_when_it_says() {
    for status in ["503 Service Unavailable", "429 Too Many Requests"] {
        let busy =
            || Moody::new(move |number, _| if number == 0 { reply(status, "Retry-After: 1\r\n", "") } else { good() });
        let waited = |moody: &Moody| {
            let asked = moody.asked();
            assert_eq!(asked.len(), 2, "{asked:?}");
            assert!(asked[1].at - asked[0].at >= Duration::from_secs(1), "it was asked too soon");
        };
        for kind in 0..3 {
            let moody = busy();
            assert_eq!(moody.stores()[kind].get(&x(), 10).await.expect("it gets over it"), "meow");
            waited(&moody);
        }
        let moody = busy();
        assert_eq!(courier().get(&moody.input(), 10).await.expect("it gets over it"), "meow");
        waited(&moody);
        let moody = busy();
        courier().put(&moody.output(), &Content::Bytes(Bytes::from_static(b"meow"))).await.expect("it gets over it");
        waited(&moody);
        assert!(moody.asked().iter().all(|asked| asked.body == b"meow"), "each time all of it");
    }
}

#[tokio::test]
async fn a_store_that_is_busy_for_an_hour_has_failed_now() {
    let moody = Moody::new(|_, _| reply("503 Slow Down", "Retry-After: 3600\r\n", "<E><Code>SlowDown</Code></E>"));
    let begun = Instant::now();
    for error in [
        moody.s3(&[]).get(&x(), 10).await.expect_err("busy"),
        courier().get(&moody.input(), 10).await.expect_err("busy"),
    ] {
        assert!(matches!(error, BlobError::Get { .. }), "{error}");
        assert!(cause(&error).contains("503") && cause(&error).contains("SlowDown"), "{}", cause(&error));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for it");
}

#[tokio::test]
async fn failures_on_the_way_are_tried_again() {
    let fails = |number: usize, _: &Asked| match number {
        0 => reply("500 Internal Server Error", "", ""),
        1 => reply("502 Bad Gateway", "", ""),
        _ => good(),
    };
    for kind in 0..3 {
        let moody = Moody::new(fails);
        assert_eq!(moody.stores()[kind].get(&x(), 10).await.expect("it gets over it"), "meow");
    }
    let moody = Moody::new(fails);
    assert_eq!(courier().size(&moody.input()).await.expect("it gets over it"), 4);
    assert_eq!(moody.count("HEAD"), 3);
}

#[tokio::test]
async fn half_a_blob_is_read_anew_and_never_taken_for_one() {
    let half =
        |headers: &str| Some(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{headers}Connection: close\r\n\r\nme"));
    // A plain server without versions is asked for all of it again.
    let once = move |number: usize, _: &Asked| {
        if number == 0 { half(UNVERSIONED) } else { reply("200 OK", UNVERSIONED, "meow") }
    };
    // Azure and S3 tell versions, and are asked for the rest alone.
    let rest = move |number: usize, _: &Asked| match number {
        0 => half(BLOB),
        _ => reply("206 Partial Content", &format!("{BLOB}Content-Range: bytes 2-3/4\r\n"), "ow"),
    };
    let temp = tempfile::tempdir().expect("a folder");
    let file = temp.path().join("x");
    for (kind, moody) in [Moody::new(once), Moody::new(rest), Moody::new(rest)].into_iter().enumerate() {
        assert_eq!(moody.stores()[kind].get(&x(), 10).await.expect("it gets over it"), "meow");
        assert_eq!(moody.asked().len(), 2);
    }
    let moody = Moody::new(once);
    assert_eq!(courier().download(&moody.input(), &file).await.expect("it gets over it"), 4);
    assert_eq!(std::fs::read(&file).expect("there"), b"meow");

    let always = Moody::new(move |_, _| half(UNVERSIONED));
    assert!(matches!(always.stores()[0].get(&x(), 10).await, Err(BlobError::Get { .. })));
    assert!(always.stores()[0].save(&x(), temp.path().join("y")).await.is_err());
    assert_eq!(std::fs::read_dir(temp.path()).expect("a folder").count(), 1, "nothing is left of it");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_and_tried_again() {
    let silent = Moody::new(|number, _| if number == 0 { None } else { good() });
    let store = silent.s3(&[("AWS_TIMEOUT", "1s")]);
    assert_eq!(store.get(&x(), 10).await.expect("it wakes up"), "meow");
    assert_eq!(silent.asked().len(), 2);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_knows_its_own_blob() {
    // The first put happens, and its connection breaks; then the name is taken.
    let lost = |what: &'static str| {
        Moody::new(move |number, asked| match (number, asked.line.split(' ').next()) {
            (0, _) => Some(String::new()),
            (_, Some("PUT")) => reply("412 Precondition Failed", "", ""),
            _ => reply("200 OK", BLOB, what),
        })
    };
    let content = Content::Bytes(Bytes::from_static(b"meow"));
    let own = lost("meow");
    courier().put(&own.output(), &content).await.expect("it is there");
    assert_eq!((own.count("PUT"), own.count("GET")), (2, 1));
    let other = courier().put(&lost("bark").output(), &content).await.expect_err("another's");
    assert!(matches!(other, BlobError::Changed { .. }), "{other}");
    lost("meow").s3(&[]).put_if(&x(), &content, &Before::Nothing).await.expect("it is there");
    let other = lost("bark").s3(&[]).put_if(&x(), &content, &Before::Nothing).await.expect_err("another's");
    assert!(matches!(other, BlobError::Changed { .. }), "{other}");
}

#[tokio::test]
async fn a_wrong_clock_is_told_and_not_a_wrong_key() {
    let late = Moody::new(|_, _| reply("403 Forbidden", "Date: Sun, 09 Sep 2001 01:46:40 GMT\r\n", ""));
    let mut failures = vec![courier().get(&late.input(), 10).await.expect_err("years off")];
    for store in &late.stores()[1..] {
        failures.push(store.get(&x(), 10).await.expect_err("years off"));
    }
    for error in failures {
        assert!(cause(&error).starts_with("the clock of this machine is "), "{}", cause(&error));
        assert!(cause(&error).ends_with(" minutes ahead of the store's, and no signature is good then: set it"));
    }
    assert_eq!(late.asked().len(), 3, "to ask again does not help");
}

#[tokio::test]
async fn signatures_never_show() {
    let refusing = Moody::new(|_, _| reply("403 Forbidden", "", "<Error><Code>AuthenticationFailed</Code></Error>"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead = format!("http://{}/x?sig=SECRET", listener.local_addr().expect("bound"));
    drop(listener);
    let request = SignedRequest::new(dead, Vec::new());
    let nobody = SignedInput { blob: "az://lab/x".into(), head: request.clone(), get: request };
    for (error, text) in [
        (courier().get(&refusing.input(), 10).await.expect_err("refused"), "AuthenticationFailed"),
        (courier().put(&refusing.output(), &Content::Bytes(Bytes::new())).await.expect_err("refused"), "403"),
        (courier().get(&nobody, 10).await.expect_err("nobody is there"), "refused"),
    ] {
        assert!(cause(&error).contains(text), "{}", cause(&error));
        assert!(!format!("{error} {error:?} {} {nobody:?}", cause(&error)).contains("SECRET"));
    }
}

#[tokio::test]
async fn what_one_request_cannot_carry_is_refused_before_it_is_tried() {
    let moody = Moody::new(|_, _| good());
    let large = Content::File { path: "/dev/zero".into(), size_bytes: 6_000 << 20 };
    let error = courier().put(&moody.output(), &large).await.expect_err("too large");
    assert!(
        matches!(error, BlobError::TooLargeToSign { .. })
            && error.hint().is_some_and(|hint| hint.contains("--store-auth=node"))
    );
    assert!(moody.asked().is_empty());
}

/// A bucket of 100,000 blobs, a thousand a page.
fn page(asked: &Asked) -> String {
    let token = asked.line.split(['?', '&']).find_map(|pair| pair.strip_prefix("continuation-token="));
    let page: usize = token.map_or(0, |token| token.parse().unwrap_or(0));
    let blob = |i| {
        format!(
            "<Contents><Key>in/{i:06}.png</Key><Size>{i}</Size><ETag>\"1\"</ETag>\
             <LastModified>2001-09-09T01:46:40.000Z</LastModified></Contents>"
        )
    };
    let blobs: String = (page * 1000..(page + 1) * 1000).map(blob).collect();
    let more =
        if page < 99 { format!("<NextContinuationToken>{}</NextContinuationToken>", page + 1) } else { String::new() };
    format!("<ListBucketResult>{blobs}<IsTruncated>{}</IsTruncated>{more}</ListBucketResult>", page < 99)
}

#[tokio::test]
async fn a_hundred_thousand_blobs_are_listed_page_by_page() {
    let bucket = Moody::new(|_, asked| reply("200 OK", "", &page(asked)));
    let store = open(
        "s3://lab/in/",
        &[
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_ENDPOINT", &format!("http://{}", bucket.address)),
            ("AWS_ALLOW_HTTP", "true"),
        ],
    );
    let (mut pages, mut blobs, mut largest) = (0, 0, 0);
    let begun = Instant::now();
    let show = |page: Vec<blobs::Blob>| -> Result<(), BlobError> {
        (pages, blobs, largest) = (pages + 1, blobs + page.len(), largest.max(page.len()));
        Ok(())
    };
    store.list_pages(show).await.expect("a listing");
    assert_eq!(blobs, 100_000);
    assert!(largest <= 1024, "a page of {largest}");
    assert!(pages >= 98 && begun.elapsed() < Duration::from_secs(60), "{pages} pages in {:?}", begun.elapsed());
    let listed = store.list().await.expect("a listing");
    assert_eq!((listed.len(), listed[99_999].name.as_str()), (100_000, "099999.png"));

    // Whoever has seen enough stops the listing.
    let before = bucket.asked().len();
    let enough = store.list_pages(|_| Err(BlobError::NothingListed { url: "enough".into() })).await;
    assert!(enough.is_err() && bucket.asked().len() - before <= 3, "{} more", bucket.asked().len() - before);
}
