//! The commands on folders, through the same functions as from a shell.

use std::fs;
use std::path::Path;

use super::*;

/// Runs a command line in a folder: its output, or its lines on stderr.
fn blob_in(cwd: &Path, line: &str) -> Result<String, String> {
    let words = line.split(' ').map(OsString::from).collect::<Vec<_>>();
    let args = parsed::<Args>(&words).map_err(|failure| failure.text())?;
    let mut out = Vec::new();
    let done = block_on(async {
        match &args.command {
            Command::Ls(args) => ls::run(args, cwd, &mut out).await,
            Command::Put(args) => put::run(args, cwd, &mut out).await,
            Command::Get(args) => get::run(args, cwd, &mut out).await,
            Command::Rm(args) => rm::run(args, cwd, &mut out).await,
        }
    });
    done.map_err(|error| error.failure().text())?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("made");
        fs::write(path, name).expect("written");
    }
    folder
}

#[test]
fn blobs_go_in_are_listed_come_out_and_go_away() {
    let folder = folder_with(&["a.jpg", "b c.jpg", "d.png"]);
    let run = |line: &str| blob_in(folder.path(), line);
    let url = format!("file://{}/store", folder.path().display());
    assert_eq!(run(&format!("put a.jpg d.png {url}")).expect("put"), format!("put 2 blobs, 10 B, to {url}/\n"));
    assert_eq!(run("put d.png store/deep/").expect("put").lines().count(), 1);
    assert_eq!(run(&format!("ls {url}")).expect("listed"), "a.jpg\nd.png\ndeep/d.png\n");
    assert_eq!(run("ls store/*.jpg").expect("listed"), "a.jpg\n");
    assert_eq!(run("ls -l store").expect("listed"), " 5  a.jpg\n 5  d.png\n 5  deep/d.png\n15  in 3 blobs\n");
    let json = "[{\"name\":\"a.jpg\",\"size_bytes\":5},\n {\"name\":\"d.png\",\"size_bytes\":5}]\n";
    assert_eq!(run("ls --json store/?.*").expect("listed"), json);
    assert_eq!(run("get store/a.jpg store/deep/ -").expect("printed"), "a.jpgd.png");
    run("get store/ out").expect("got");
    assert_eq!(fs::read_to_string(folder.path().join("out/deep/d.png")).expect("there"), "d.png");
    assert_eq!(run("rm store/a.jpg store/deep/d.png").expect("removed"), "removed 2 blobs\n");
    assert_eq!(run("ls store").expect("listed"), "d.png\n");
    assert_eq!(run("rm -r store").expect("removed"), "removed 1 blob\n");
    assert!(run("ls store").expect_err("empty").starts_with("covey blob: error: there are no blobs at file://"));
}

#[test]
fn a_single_blob_lands_in_the_current_folder() {
    let folder = folder_with(&["store/in/a.jpg"]);
    blob_in(folder.path(), "get store/in/a.jpg").expect("got");
    assert_eq!(fs::read_to_string(folder.path().join("a.jpg")).expect("there"), "store/in/a.jpg");
}

#[test]
fn what_cannot_be_done_is_said_with_its_name() {
    let folder = folder_with(&["a.jpg", "sub/a.jpg", "store/x"]);
    for (line, message) in [
        ("put no.jpg store", "no.jpg: No such file or directory"),
        ("put sub store", "sub is a folder: name its files, as in "),
        ("put a.jpg sub/a.jpg store", "two of the files are called a.jpg"),
        ("put a.jpg http://h/", "http://h/: http is read only\ncovey: hint: write to file:///"),
        ("put a.jpg az://c/", "az://c/: no Azure account is known: set AZURE_STORAGE_ACCOUNT_NAME"),
        ("put a.jpg", "2 values required"),
        ("get store/x s3://b/", "s3://b/ is no folder"),
        ("get no -", "/no/ does not exist: there is no such folder\ncovey: hint: check the spelling"),
        ("get ftp://h/x -", "bad blob URL 'ftp://h/x'"),
        ("rm store", "/store/ is a prefix of 1 blob: to remove all below it give -r, or a glob"),
        ("ls store/*.gif", "there are no blobs at file://"),
        ("move a b", "unrecognized subcommand 'move'"),
    ] {
        let text = blob_in(folder.path(), line).expect_err(line);
        assert!(text.contains(message), "{line}: {text}");
    }
    assert_eq!(blob_in(folder.path(), "ls store").expect("listed"), "x\n", "nothing was half done");
}
