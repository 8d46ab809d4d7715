//! The URL of a prefix in a blob store, checked once at the door.
//!
//! `scheme://authority/prefix/` or `.../glob`. The path is percent-decoded on the way in and encoded on the way out,
//! for every scheme. A URL is a place, never a permission: user names, passwords and query strings are refused, so
//! that printing one cannot give a secret away.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::name::fault_of;
use crate::pattern::Pattern;
use crate::{BlobError, BlobName, Cause};

/// Longest URL in bytes; a longer one is refused.
const URL_BYTES_MAX: usize = 4096;

/// What a prefix may not show literally, besides controls: it would be read as an escape, a query or a glob.
const PREFIX_ESCAPES: &str = " \"<>%#?*[]";

/// The same for a glob, which shows its glob characters.
const PATTERN_ESCAPES: &str = " \"<>%#";

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// A folder of this machine, `file:///dir/`.
    File,
    /// The memory of this process, `memory:///`; every open sees the same blobs.
    Memory,
    /// An Azure storage container, `az://container/prefix/`.
    Azure,
    /// An S3 bucket, `s3://bucket/prefix/`.
    S3,
    /// A Google Cloud Storage bucket, `gs://bucket/prefix/`.
    Google,
    /// A web server, read only, `http://host:port/prefix/`.
    Http,
    /// A web server with TLS, read only, `https://host/prefix/`.
    Https,
}

impl Scheme {
    const ALL: [Self; 7] = [Self::File, Self::Memory, Self::Azure, Self::S3, Self::Google, Self::Http, Self::Https];

    /// The word before `://`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
            Self::Azure => "az",
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// True for web servers, which Covey only reads.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    fn has_authority(self) -> bool {
        !matches!(self, Self::File | Self::Memory)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == word)
    }
}

/// A prefix in a blob store, with an optional glob over the names right below it.
///
/// A prefix ends at a `/`: `s3://b/in` and `s3://b/in/` are the same and do not cover `s3://b/inner`.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    scheme: Scheme,
    authority: String,
    prefix: String,
    pattern: Option<Pattern>,
}

impl StoreUrl {
    /// Reads what a user typed: a URL, or a folder that is absolute or relative to `cwd`.
    ///
    /// As in a shell's `cd`, `..` is resolved by the text of the path, without looking at links. The last part of a
    /// folder may be a glob, too. Fails with [`BlobError::BadUrl`].
    pub fn from_user(text: &str, cwd: &Path) -> Result<Self, BlobError> {
        let is_url =
            text.split_once(':').is_some_and(|(word, rest)| rest.starts_with("//") || Scheme::parse(word).is_some());
        if is_url {
            return text.parse();
        }
        if text.is_empty() {
            return Err(bad(text, "it is empty: give a URL or a folder"));
        }
        let path = normalized(&cwd.join(text));
        let path = path.to_str().ok_or_else(|| bad(text, "its folder is not valid UTF-8"))?;
        let slash = if text.ends_with('/') && path != "/" { "/" } else { "" };
        format!("file://{}{slash}", path.replace('%', "%25")).parse()
    }

    /// The kind of store.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Bucket, storage container or `host:port`; empty for folders and memory.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The decoded prefix without slashes at its ends; empty for the root.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The glob at the end, such as `*.jpg`.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(Pattern::as_str)
    }

    /// True when a listing shows `name`: without a glob always.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
    }

    /// The folder of a `file://` URL.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::File).then(|| Path::new("/").join(&self.prefix))
    }

    /// The same prefix without its glob.
    #[must_use]
    pub fn without_pattern(&self) -> Self {
        Self { pattern: None, ..self.clone() }
    }

    /// The prefix `name` below this one, without a glob: `memory:///demo/` and `input` give `memory:///demo/input/`.
    ///
    /// Fails with [`BlobError::BadName`] when `name` is not relative.
    pub fn join(&self, name: &str) -> Result<Self, BlobError> {
        let name = BlobName::new(name.strip_suffix('/').unwrap_or(name))?;
        Ok(Self { prefix: self.path_of(&name), ..self.without_pattern() })
    }

    /// Takes the URL of a single blob apart; `None` for a root or a glob.
    #[must_use]
    pub fn split_blob(&self) -> Option<(Self, BlobName)> {
        if self.pattern.is_some() {
            return None;
        }
        let (parent, name) = self.prefix.rsplit_once('/').unwrap_or(("", &self.prefix));
        let name = BlobName::new(name).ok()?;
        Some((Self { prefix: parent.to_owned(), ..self.clone() }, name))
    }

    /// The URL of one blob as text, without a slash at its end.
    #[must_use]
    pub fn blob(&self, name: &BlobName) -> String {
        format!("{}{}", self.without_pattern(), escaped(name.as_str(), PREFIX_ESCAPES))
    }

    /// Prefix and name in one decoded path, without a leading slash.
    pub(crate) fn path_of(&self, name: &BlobName) -> String {
        if self.prefix.is_empty() { name.as_str().to_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

impl FromStr for StoreUrl {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        let (word, rest) = text.split_once("://").ok_or_else(|| {
            bad(text, "it has no scheme: write file:///dir/, az://, s3://, gs://, http(s):// or memory:///")
        })?;
        let scheme = Scheme::parse(word)
            .ok_or_else(|| bad(text, "its scheme is not one of file, az, s3, gs, http, https, memory"))?;
        if text.len() > URL_BYTES_MAX {
            return Err(bad(text, "it is longer than 4096 bytes"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(fault) = authority_fault(scheme, authority).or_else(|| query_fault(scheme, path)) {
            return Err(bad(text, fault));
        }
        let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
        if Pattern::is_in(folder) {
            return Err(bad(text, "a glob may only be its last part: write %2A, %3F, %5B for a literal *, ?, ["));
        }
        let (prefix, pattern) = if Pattern::is_in(last) {
            let pattern = Pattern::parse(last)
                .map_err(|e| BlobError::BadGlob { url: redacted(text), source: Cause::new(e.msg) })?;
            (folder, Some(pattern))
        } else {
            (path.strip_suffix('/').unwrap_or(path), None)
        };
        let prefix = percent_decode_str(prefix)
            .decode_utf8()
            .map_err(|_| bad(text, "its percent escapes are not valid UTF-8"))?;
        if let Some(fault) = fault_of(&prefix).filter(|_| !prefix.is_empty()) {
            return Err(BlobError::BadPrefix { url: redacted(text), fault });
        }
        Ok(Self { scheme, authority: authority.to_owned(), prefix: prefix.into_owned(), pattern })
    }
}

fn authority_fault(scheme: Scheme, authority: &str) -> Option<&'static str> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if authority.contains('@') {
        return Some("it holds a user or a password: remove it and set credentials in the environment");
    }
    match (scheme.has_authority(), authority) {
        (false, "") => None,
        (false, _) => Some("this scheme takes three slashes, as in file:///dir/"),
        (true, "") => Some("it names no bucket, storage container or host after ://"),
        (true, host) if scheme.is_read_only() => {
            (!host.chars().all(|c| known(c) || matches!(c, ':' | '[' | ']'))).then_some("its host is not a host name")
        }
        (true, bucket) => (!bucket.chars().all(known))
            .then_some("its bucket or storage container may only hold letters, digits, '.', '-' and '_'"),
    }
}

/// A query may carry a signature. On a web server every `?` starts one; elsewhere it is a glob unless it looks like one.
fn query_fault(scheme: Scheme, path: &str) -> Option<&'static str> {
    let (_, query) = path.split_once('?')?;
    let signs = scheme.is_read_only() || (scheme.has_authority() && query.contains('='));
    signs.then_some("it has a query string, which may hold a signature: set credentials in the environment instead")
}

/// Resolves `.` and `..` by text alone.
fn normalized(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

fn bad(text: &str, fault: &'static str) -> BlobError {
    BlobError::BadUrl { url: redacted(text), fault }
}

/// `text` with percent escapes for controls and `special`; other scripts stay readable.
fn escaped(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || special.contains(c) {
            let bytes = c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            out.push_str(&bytes);
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` without what could be a secret in a URL: all before an `@`, but for the scheme, and the query.
pub(crate) fn redacted(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| !scheme.contains('@')).unwrap_or(("", text));
    let (plain, query) = match rest.split_once('?') {
        Some((plain, query)) if query.contains('=') || scheme.contains("http") => (plain, "?..."),
        _ => (rest, ""),
    };
    // A password may itself hold a slash, so everything up to the last `@` goes.
    let plain = plain.rsplit_once('@').map_or(plain.to_owned(), |(_, host)| format!("...@{host}"));
    let colon = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{colon}{plain}{query}").chars().filter(|c| !c.is_control()).take(URL_BYTES_MAX).collect()
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/", self.scheme.as_str(), self.authority)?;
        if !self.prefix.is_empty() {
            write!(f, "{}/", escaped(&self.prefix, PREFIX_ESCAPES))?;
        }
        match &self.pattern {
            Some(pattern) => write!(f, "{}", escaped(pattern.as_str(), PATTERN_ESCAPES)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
