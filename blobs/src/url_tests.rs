use super::*;

fn url(text: &str) -> StoreUrl {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn urls_print_as_a_canonical_text_that_reads_back() {
    for (text, canonical, prefix, pattern) in [
        ("file:///", "file:///", "", None),
        ("file:///data/in", "file:///data/in/", "data/in", None),
        ("file:///my%20pictures/50%25/", "file:///my%20pictures/50%25/", "my pictures/50%", None),
        ("memory:///", "memory:///", "", None),
        ("memory:///t/*", "memory:///t/*", "t", Some("*")),
        ("az://input", "az://input/", "", None),
        ("az://input/a/b/", "az://input/a/b/", "a/b", None),
        ("s3://b/in/*.jpg", "s3://b/in/*.jpg", "in", Some("*.jpg")),
        ("s3://b/?[a-c].jpg", "s3://b/?[a-c].jpg", "", Some("?[a-c].jpg")),
        ("s3://b/in/100%.jpg", "s3://b/in/100%25.jpg/", "in/100%.jpg", None),
        ("s3://b/%5Bold%5D/a%2A*", "s3://b/%5Bold%5D/a[*]*", "[old]", Some("a[*]*")),
        ("gs://b.c_d-e/Zoë/猫/", "gs://b.c_d-e/Zoë/猫/", "Zoë/猫", None),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x/", "x", None),
        ("https://[::1]:1/x/*", "https://[::1]:1/x/*", "x", Some("*")),
    ] {
        let parsed = url(text);
        assert_eq!((parsed.to_string().as_str(), parsed.prefix(), parsed.pattern()), (canonical, prefix, pattern));
        assert_eq!(url(canonical), parsed, "{canonical}");
    }
}

#[test]
fn what_is_no_url_of_a_store_is_refused() {
    for text in [
        "",
        "in",
        "/data",
        "ftp://x/",
        "file:/dir",
        "file://data/in",
        "memory://x/",
        "az://",
        "az:///x",
        "s3://b c/",
        "s3://b/../c",
        "s3://b/a//c",
        "s3://b/a/./c",
        "s3://b/*/x",
        "s3://b/*/",
        "s3://b/[",
        "http:///x",
        "http://h/a?b",
        "s3://b/%FF/",
        "s3://b/a%0Ab/",
        "s3://b/%2e%2e/c",
    ] {
        assert!(text.parse::<StoreUrl>().is_err(), "{text}");
    }
    assert!(format!("s3://b/{}", "a/".repeat(URL_BYTES_MAX)).parse::<StoreUrl>().is_err());
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    for text in [
        "https://me:SECRET@host/x",
        "s3://KEY:SECRET@bucket/x",
        "s3://KEY:SEC/SECRET@bucket/x",
        "me:SECRET@host://x",
        "https://a.blob.core.windows.net/c/x?sv=1&sig=SECRET",
        "az://input/x?sv=1&sig=SECRET",
        "az://input/*?sig=SECRET",
        "ftp://me:SECRET@host/x?sig=SECRET",
    ] {
        let error = text.parse::<StoreUrl>().expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET"), "{shown}");
    }
}

#[test]
fn folders_of_users_become_file_urls() {
    let cwd = Path::new("/home/ada");
    for (text, expected) in [
        ("in", "file:///home/ada/in/"),
        ("./in/", "file:///home/ada/in/"),
        ("../bob/x", "file:///home/bob/x/"),
        (".", "file:///home/ada/"),
        ("/", "file:///"),
        ("/data/in/", "file:///data/in/"),
        ("in/*.jpg", "file:///home/ada/in/*.jpg"),
        ("50% off #1", "file:///home/ada/50%25%20off%20%231/"),
        ("s3://b/in", "s3://b/in/"),
    ] {
        assert_eq!(StoreUrl::from_user(text, cwd).expect(text).to_string(), expected);
    }
    assert_eq!(StoreUrl::from_user("a b", cwd).expect("good").folder(), Some("/home/ada/a b".into()));
    for text in ["", "*/in", "*/", "file:/dir", "ftp://x"] {
        assert!(StoreUrl::from_user(text, cwd).is_err(), "{text}");
    }
}

#[test]
fn prefixes_join_and_blobs_split() {
    assert_eq!(url("memory:///").join("input/").expect("good"), url("memory:///input/"));
    assert_eq!(url("az://c/a/*").join("b c").expect("good").to_string(), "az://c/a/b%20c/");
    assert!(url("az://c/a/").join("../b").is_err());

    let (parent, name) = url("s3://b/in/a%20cat.jpg").split_blob().expect("one blob");
    assert_eq!((&parent, name.as_str()), (&url("s3://b/in/"), "a cat.jpg"));
    assert_eq!(parent.blob(&name), "s3://b/in/a%20cat.jpg");
    assert_eq!(url("s3://b/x").split_blob().map(|(parent, _)| parent), Some(url("s3://b/")));
    assert!(url("s3://b/").split_blob().is_none());
    assert!(url("s3://b/*").split_blob().is_none());
}
