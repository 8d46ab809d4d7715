//! Maps from store to store, over the protocols of Azure and S3 and from a web server, by nodes that hold no keys.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use blobs::{Before, BlobError, BlobName, BlobStore, Content, Courier, Environment};

use crate::rig::Rig;
use crate::services::{Keys, Service};

const PICTURES: usize = 12;

/// A command of somebody who has the keys.
fn with_keys(rig: &Rig, keys: &Keys, name: &str, args: &[&str]) -> Output {
    rig.command(name, args).envs(keys.iter().map(|(name, value)| (name, value))).output().expect("it can be started")
}

fn run_with_keys(rig: &Rig, keys: &Keys, name: &str, args: &[&str]) -> String {
    let output = with_keys(rig, keys, name, args);
    assert!(output.status.success(), "{name} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Pictures in files of the folder where jobs are submitted.
fn pictures(rig: &Rig) -> Vec<String> {
    let made: Vec<_> = (0..PICTURES).map(ops::made::picture).collect();
    made.iter().for_each(|made| fs::write(rig.work().join(&made.name), &made.bytes).expect("written"));
    made.into_iter().map(|made| made.name).collect()
}

/// The whole main job, from a store to a store: in with the pictures, gray, and out again.
fn pictures_turn_gray(keys: &Keys, from: &str, to: &str) -> Rig {
    let rig = Rig::start_keyed(3, keys);
    let names = pictures(&rig);
    let put: Vec<&str> = ["put"].into_iter().chain(names.iter().map(String::as_str)).chain([from]).collect();
    run_with_keys(&rig, keys, "blob", &put);
    let (map_from, map_to) = (format!("--map-from={from}"), format!("--map-to={to}"));
    run_with_keys(&rig, keys, "sbatch", &["--wait", &map_from, &map_to, "--map-op=grayscale"]);
    assert_eq!(rig.states("1"), vec!["COMPLETED"; PICTURES]);
    run_with_keys(&rig, keys, "blob", &["get", to, "gray"]);
    for name in &names {
        let bytes = fs::read(rig.work().join("gray").join(name)).expect("an output");
        assert!(ops::inspect(&bytes).expect("it decodes").gray, "{name} is gray");
    }
    let mut sorted = names;
    sorted.sort();
    assert_eq!(run_with_keys(&rig, keys, "blob", &["ls", to]).lines().collect::<Vec<_>>(), sorted, "and nothing else");
    rig
}

/// Neither a key nor a signature is anywhere in the cluster's folder, in a node's environment, or in what is listed.
fn nothing_is_told(rig: &Rig, keys: &Keys, secrets: &[&str]) {
    for pid in rig.node_pids() {
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("the node runs");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        assert!(keys.iter().all(|(name, _)| !environment.contains(name)), "{environment}");
    }
    let listed = [
        rig.run("scontrol", &["show", "job", "1"]),
        rig.run("squeue", &["-t", "all", "--json"]),
        rig.run("sacct", &["--json"]),
    ];
    assert!(secrets.iter().all(|secret| listed.iter().all(|text| !text.contains(secret))));
    let mut looked_at = 0;
    each_file(&rig.dir(), &mut |path| {
        let bytes = fs::read(path).unwrap_or_default();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
        looked_at += 1;
    });
    assert!(looked_at > 5, "journal, logs and spools were looked at");
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("it is there");
        if kind.is_dir() {
            each_file(&entry.path(), look);
        } else if kind.is_file() {
            look(&entry.path());
        }
    }
}

#[test]
fn azure_to_azure_by_nodes_without_keys() {
    let azure = Service::azure(&["input", "output"]);
    let rig = pictures_turn_gray(azure.keys(), "az://input/day%201/", "az://output/");
    nothing_is_told(&rig, azure.keys(), &["sig=", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"]);
}

#[test]
fn s3_to_s3_by_nodes_without_keys() {
    let s3 = Service::s3(&["pictures"]);
    let rig = pictures_turn_gray(s3.keys(), "s3://pictures/in/", "s3://pictures/out/");
    nothing_is_told(&rig, s3.keys(), &["X-Amz-Signature", "not-told"]);
    assert_eq!(fs::read_dir(s3.folder().join("pictures/out")).expect("outputs").count(), PICTURES);
}

#[test]
fn a_command_is_mapped_over_a_glob_and_what_it_makes_again_is_replaced() {
    let azure = Service::azure(&["lab"]);
    let keys = azure.keys();
    let rig = Rig::start_keyed(2, keys);
    for name in ["a.txt", "b c#.txt", "d.bin"] {
        fs::write(rig.work().join(name), name).expect("written");
    }
    run_with_keys(&rig, keys, "blob", &["put", "a.txt", "b c#.txt", "d.bin", "az://lab/in/"]);
    assert_eq!(run_with_keys(&rig, keys, "blob", &["ls", "az://lab/in/*.txt"]), "a.txt\nb c#.txt\n");
    let map = |script: &str| {
        let words = ["--from", "az://lab/in/*.txt", "--to", "az://lab/out", "--name", "{stem}.up", "--wait", "--"];
        let words: Vec<&str> = words.into_iter().chain(["sh", "-c", script, "sh", "{in}", "{out}"]).collect();
        with_keys(&rig, keys, "map", &words)
    };
    assert!(map("tr a-z A-Z < \"$1\" > \"$2\"").status.success());
    assert_eq!(run_with_keys(&rig, keys, "blob", &["get", "az://lab/out/", "-"]), "A.TXTB C#.TXT");
    assert!(map("cat \"$1\" > \"$2\"").status.success());
    assert_eq!(run_with_keys(&rig, keys, "blob", &["get", "az://lab/out/", "-"]), "a.txtb c#.txt");
    run_with_keys(&rig, keys, "blob", &["rm", "az://lab/out/*"]);
    let nothing = with_keys(&rig, keys, "blob", &["ls", "az://lab/out/"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there are no blobs at az://lab/out/"), "{nothing:?}");
}

#[test]
fn without_keys_the_task_says_what_is_missing_and_where() {
    let azure = Service::azure(&["lab"]);
    let rig = Rig::start(1);
    fs::write(rig.work().join("a.txt"), "a").expect("written");
    run_with_keys(&rig, azure.keys(), "blob", &["put", "a.txt", "az://lab/in/"]);
    let map = ["--from", "az://lab/in/", "--to", "az://lab/out/", "--wait", "--", "cp", "{in}", "{out}"];
    let failed = with_keys(&rig, azure.keys(), "map", &map);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    let wanted =
        "the controller cannot let a node at the blob: az://lab/in/: no Azure account is known: set AZURE_STORAGE";
    assert!(!failed.status.success() && said.contains(wanted), "{said}");
}

#[test]
fn a_node_that_has_keys_of_its_own_may_use_them() {
    let s3 = Service::s3(&["lab"]);
    let keys = s3.keys();
    // The controller has none.
    let mut rig = Rig::start(0);
    rig.start_keyed_node("own", keys, &["--store-auth=node"]);
    fs::write(rig.work().join("a.txt"), "a").expect("written");
    run_with_keys(&rig, keys, "blob", &["put", "a.txt", "s3://lab/in/"]);
    let map = ["--from", "s3://lab/in/", "--to", "s3://lab/out/", "--wait", "--", "cp", "{in}", "{out}"];
    run_with_keys(&rig, keys, "map", &map);
    assert_eq!(run_with_keys(&rig, keys, "blob", &["get", "s3://lab/out/a.txt", "-"]), "a");
}

#[test]
fn a_web_server_is_a_source() {
    let rig = Rig::start(2);
    let address = serve_pictures();
    let from = format!("--map-from=http://{address}/day%201/");
    rig.run("sbatch", &["--wait", &from, "--map-to=gray", "--map-op=grayscale"]);
    assert_eq!(rig.states("1"), vec!["COMPLETED"; 3]);
    for i in 0..3 {
        let bytes = fs::read(rig.work().join("gray").join(ops::made::picture(i).name)).expect("an output");
        assert!(ops::inspect(&bytes).expect("it decodes").gray);
    }
}

/// A web server with three pictures that lists them as WebDAV does.
fn serve_pictures() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer_with_pictures));
    address
}

fn answer_with_pictures(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let made: Vec<_> = (0..3).map(ops::made::picture).collect();
    let (status, body) = if request.starts_with("PROPFIND") {
        let entry = |made: &ops::made::MadePicture| {
            format!(
                "<D:response><D:href>/day%201/{}</D:href><D:propstat><D:prop>\
                 <D:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT</D:getlastmodified>\
                 <D:getcontentlength>{}</D:getcontentlength><D:resourcetype/></D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
                made.name,
                made.bytes.len()
            )
        };
        let entries: String = made.iter().map(entry).collect();
        ("207 Multi-Status", format!("<D:multistatus xmlns:D=\"DAV:\">{entries}</D:multistatus>").into_bytes())
    } else {
        let found = made.into_iter().find(|made| request.contains(&format!(" /day%201/{} ", made.name)));
        found.map_or(("404 Not Found", Vec::new()), |made| ("200 OK", made.bytes))
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let body = if request.starts_with("HEAD") { &[][..] } else { &body };
    // A client that has hung up is its own test's business.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

fn open(url: &str, keys: &Keys) -> BlobStore {
    let environment = Environment::from_pairs(keys.iter().map(|(name, value)| (*name, value.as_str())));
    BlobStore::open(&url.parse().expect("a URL"), &environment).expect("the keys are there")
}

fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("a name")
}

fn content(text: &'static str) -> Content {
    Content::Bytes(bytes::Bytes::from_static(text.as_bytes()))
}

/// As when a node is given up while it uploads, and another one makes the same output.
async fn a_late_put_changes_nothing(store: &BlobStore) {
    let (courier, hour) = (Courier::new().expect("a client"), Duration::from_secs(3600));
    let output = name("out/a b.txt");
    let first = store.before(&output).await.expect("it can be asked");
    assert_eq!(first, Before::Nothing);
    let late = store.sign_output(&output, &first, hour).await.expect("signed");
    let second = store.sign_output(&output, &first, hour).await.expect("signed");
    courier.put(&second, &content("second")).await.expect("nothing was there");
    courier.put(&second, &content("second")).await.expect("its own put, whose answer was lost");
    for late in [courier.put(&late, &content("late")).await, store.put_if(&output, &content("late"), &first).await] {
        assert!(matches!(&late, Err(BlobError::Changed { blob }) if blob.ends_with("/out/a%20b.txt")), "{late:?}");
    }
    assert_eq!(store.get(&output, 100).await.expect("there"), "second");
    // The next job makes it anew, and again only one does.
    let before = store.before(&output).await.expect("it can be asked");
    let (third, late) =
        (store.sign_output(&output, &before, hour).await, store.sign_output(&output, &before, hour).await);
    courier.put(&third.expect("signed"), &content("third")).await.expect("it was the second still");
    let late = courier.put(&late.expect("signed"), &content("late")).await;
    assert!(matches!(late, Err(BlobError::Changed { .. })), "{late:?}");
    assert_eq!(store.get(&output, 100).await.expect("there"), "third");
}

#[tokio::test]
async fn what_is_published_stays_whoever_comes_late() {
    let azure = Service::azure(&["lab"]);
    a_late_put_changes_nothing(&open("az://lab/", azure.keys())).await;
}

/// In parts with keys, in one request without; the file is never in memory as a whole.
async fn large_blobs_go_there_and_back(store: &BlobStore) {
    const SIZE_BYTES: usize = (40 << 20) + 7;
    let temp = tempfile::tempdir().expect("a folder");
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    let bytes: Vec<u8> = (0..SIZE_BYTES).map(|i| (i % 253) as u8).collect();
    fs::write(&from, &bytes).expect("written");
    let large = Content::of_file(&from).expect("there");
    let (courier, hour) = (Courier::new().expect("a client"), Duration::from_secs(3600));

    store.put_if(&name("parts"), &large, &Before::Nothing).await.expect("put in parts");
    let input = store.sign_input(&name("parts"), hour).await.expect("signed");
    assert_eq!(courier.size(&input).await.expect("there"), SIZE_BYTES as u64);
    assert_eq!(courier.download(&input, &to).await.expect("read"), SIZE_BYTES as u64);
    assert!(fs::read(&to).expect("there") == bytes, "the same bytes");

    let output = store.sign_output(&name("whole"), &Before::Nothing, hour).await.expect("signed");
    courier.put(&output, &large).await.expect("put in one request");
    assert_eq!(store.save(&name("whole"), to.clone()).await.expect("read"), SIZE_BYTES as u64);
    assert!(fs::read(&to).expect("there") == bytes, "the same bytes");
}

#[tokio::test]
async fn large_blobs_of_azure() {
    let azure = Service::azure(&["lab"]);
    large_blobs_go_there_and_back(&open("az://lab/", azure.keys())).await;
}

#[tokio::test]
async fn large_blobs_of_s3() {
    let s3 = Service::s3(&["lab"]);
    large_blobs_go_there_and_back(&open("s3://lab/", s3.keys())).await;
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_container_are_told_with_their_names() {
    let (azure, s3) = (Service::azure(&["lab"]), Service::s3(&["lab"]));
    let cause = |error: &BlobError| std::error::Error::source(error).expect("a cause").to_string();
    for (url, keys, setting, wrong, account) in [
        ("az://lab/", azure.keys(), "AZURE_STORAGE_ACCOUNT_KEY", "bm90IGl0", "(account devstoreaccount1)"),
        ("s3://lab/", s3.keys(), "AWS_SECRET_ACCESS_KEY", "not-it", "(access key covey)"),
    ] {
        let mut bad: Keys = keys.iter().filter(|(name, _)| *name != setting).cloned().collect();
        bad.push((setting, wrong.into()));
        let error = open(url, &bad).list().await.expect_err("a wrong key");
        assert!(
            error.to_string() == format!("cannot list {url}") && cause(&error).ends_with(account),
            "{}",
            cause(&error)
        );
        assert!(error.hint().expect("a hint").contains("check credentials"), "{error}");
        let nowhere = url.replace("lab", "nowhere");
        // Of S3 the listing: s3s-fs makes a bucket of whatever is put.
        let error = match url {
            "az://lab/" => open(&nowhere, keys).put(&name("x"), bytes::Bytes::new()).await.expect_err("nowhere"),
            _ => open(&nowhere, keys).list().await.expect_err("nowhere"),
        };
        assert!(matches!(&error, BlobError::NoContainer { url, .. } if *url == nowhere), "{error}");
    }
}

#[tokio::test]
async fn a_signature_that_has_run_out_opens_nothing() {
    let azure = Service::azure(&["lab"]);
    let store = open("az://lab/", azure.keys());
    store.put(&name("x"), bytes::Bytes::from_static(b"x")).await.expect("put");
    let input = store.sign_input(&name("x"), Duration::ZERO).await.expect("signed");
    let error = Courier::new().expect("a client").get(&input, 10).await.expect_err("it has run out");
    assert!(matches!(error, BlobError::Get { .. }) && error.hint().is_some(), "{error}");
    assert!(!format!("{input:?} {error:?}").contains("sig="));
}
