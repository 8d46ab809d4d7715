//! Stores behind HTTP, against a server of a few lines: a plain web server, and an S3 that refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use blobs::{BlobError, BlobName, BlobStore, Environment, StoreUrl};
use bytes::Bytes;

/// Serves every connection with `answer(request line)`, one request each, until the process ends; gives `host:port`.
fn serve(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve_one(stream, answer));
        }
    });
    address
}

fn serve_one(mut stream: TcpStream, answer: fn(&str) -> String) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    // A client that has hung up is its own test's business.
    let _ = stream.write_all(answer(&request).as_bytes());
}

fn reply(status: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn web(request: &str) -> String {
    match request {
        "GET /in/a%20cat%23.jpg HTTP/1.1" => reply("200 OK", 4, "meow"),
        "HEAD /in/a%20cat%23.jpg HTTP/1.1" => reply("200 OK", 4, ""),
        "GET /in/short HTTP/1.1" => reply("200 OK", 10, "half"),
        "GET /in/huge HTTP/1.1" => reply("200 OK", usize::MAX >> 1, ""),
        line if line.starts_with("PROPFIND") => reply("405 Method Not Allowed", 0, ""),
        _ => reply("404 Not Found", 0, ""),
    }
}

fn open(url: &str, environment: &[(&str, &str)]) -> Result<BlobStore, BlobError> {
    BlobStore::open(&url.parse::<StoreUrl>().expect("a URL"), &Environment::from_pairs(environment.iter().copied()))
}

fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("a good name")
}

#[tokio::test]
async fn a_web_server_is_read_and_never_written() {
    let url = format!("http://{}/in/", serve(web));
    let store = open(&url, &[]).expect("no credentials needed");
    let cat = name("a cat#.jpg");
    assert_eq!(store.get(&cat, 4).await.expect("there"), "meow");
    assert_eq!(store.head(&cat).await.expect("there"), 4);
    assert!(matches!(store.get(&name("dog"), 4).await, Err(BlobError::NoBlob { blob }) if blob == format!("{url}dog")));
    assert!(matches!(store.get(&name("short"), 10).await, Err(BlobError::Get { .. })), "half a blob is no blob");
    assert!(matches!(store.get(&name("huge"), 10).await, Err(BlobError::TooLarge { bytes_max: 10, .. })));

    for refused in [
        store.put(&cat, Bytes::new()).await,
        store.delete(&cat).await,
        store.make().await,
        store.check_writable().await,
    ] {
        let error = refused.expect_err("read only");
        assert_eq!(error.to_string(), format!("{url}: http is read only"));
    }
    let error = store.list().await.expect_err("no WebDAV");
    assert!(matches!(error, BlobError::List { .. }) && error.hint().expect("a hint").contains("WebDAV"), "{error}");
}

fn refusing_s3(request: &str) -> String {
    let (status, code) = match request.contains("nowhere") {
        true => ("404 Not Found", "NoSuchBucket"),
        false => ("403 Forbidden", "SignatureDoesNotMatch"),
    };
    let page = format!("<Error><Code>{code}</Code><Message>Not here.</Message></Error>");
    reply(status, page.len(), &page)
}

#[tokio::test]
async fn a_refusing_store_is_told_from_a_missing_bucket() {
    let endpoint = format!("http://{}", serve(refusing_s3));
    let environment = [
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "SECRET"),
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    let store = open("s3://pictures/in/", &environment).expect("credentials are there");
    for error in [
        store.list().await.map(drop).expect_err("refused"),
        store.make().await.expect_err("refused"),
        store.check_writable().await.expect_err("refused"),
    ] {
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("SignatureDoesNotMatch Not here."), "{cause}");
        assert!(error.hint().expect("a hint").contains("denied"), "{error}");
        assert!(!format!("{error:?} {store:?}").contains("SECRET"));
    }
    let store = open("s3://nowhere/in/", &environment).expect("credentials are there");
    for error in [
        store.list().await.map(drop).expect_err("no bucket"),
        store.make().await.expect_err("no bucket"),
        store.check_writable().await.expect_err("no bucket"),
    ] {
        assert_eq!(error.to_string(), "s3://nowhere/in/ does not exist: there is no such bucket");
        assert!(error.hint().expect("a hint").starts_with("Covey creates no buckets"));
    }
}

#[tokio::test]
async fn a_dead_endpoint_fails_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let environment = [("AWS_SKIP_SIGNATURE", "true"), ("AWS_ENDPOINT", &endpoint), ("AWS_ALLOW_HTTP", "true")];
    let store = open("s3://pictures/", &environment).expect("none needed");
    let error = store.list().await.expect_err("nobody listens");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("refused"), "{cause}");
}

#[test]
fn without_credentials_nothing_opens() {
    let foreign = [("TOKEN", "x"), ("AWS_REGION", "eu-west-1"), ("AZURE_STORAGE_ACCOUNT_NAME", "lab")];
    for (url, words) in [
        (
            "az://input/x/",
            ["az://input/x/: no Azure account is known", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_USE_EMULATOR"],
        ),
        ("s3://input/", ["s3://input/: no AWS account is known", "AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE"]),
        (
            "gs://input/",
            ["gs://input/: no Google account is known", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SKIP_SIGNATURE"],
        ),
    ] {
        for environment in [&[][..], &foreign] {
            let error = open(url, environment).expect_err("no credentials");
            assert!(matches!(error, BlobError::NoCredentials { .. }), "{error}");
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
    }
    assert!(open("az://input/", &[("AZURE_STORAGE_USE_EMULATOR", "false")]).is_err());
    assert!(open("az://input/", &[("AZURE_STORAGE_USE_EMULATOR", "true")]).is_ok());
    assert!(open("gs://input/", &[("GOOGLE_SKIP_SIGNATURE", "true")]).is_ok());
}

#[test]
fn secrets_cross_no_plain_endpoint_by_accident() {
    let signed = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_ENDPOINT", "http://s3.lab:9000")];
    let error = open("s3://input/", &signed).expect_err("no TLS");
    assert!(error.to_string().contains("AWS_ALLOW_HTTP=true"), "{error}");
}
