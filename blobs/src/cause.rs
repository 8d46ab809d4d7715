//! Why a store failed, in one line that is safe to print.
//!
//! The errors of the layers below repeat each other and may quote signed URLs and pages of XML. A [`Cause`] keeps the
//! innermost sentence, shortened and without query strings, and whether the blob was missing or the access refused.

use std::error::Error;
use std::{fmt, io};

use crate::url::redacted;

/// Longest cause in characters; the rest is cut off.
const CAUSE_CHARS_MAX: usize = 300;

/// The reason behind a [`BlobError`](crate::BlobError), as its `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    Refused,
    /// Somebody has put something there.
    Taken,
    /// What came broke off.
    BrokenOff,
    Other,
}

impl Cause {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: Kind::Other }
    }

    /// Somebody else was there first.
    pub(crate) fn taken() -> Self {
        Self { text: "something else is there by now".into(), kind: Kind::Taken }
    }

    /// What an answer with this status and text means.
    pub(crate) fn of_status(status: http::StatusCode, page: &str) -> Self {
        use http::StatusCode as Code;
        let kind = match status {
            Code::NOT_FOUND => Kind::Missing,
            Code::UNAUTHORIZED | Code::FORBIDDEN => Kind::Refused,
            Code::PRECONDITION_FAILED | Code::CONFLICT => Kind::Taken,
            _ => Kind::Other,
        };
        Self { text: shortened(&format!("the store answers {status}: {page}")), kind }
    }

    /// A failure on the way, without its URL, which may be signed.
    fn of_transport(error: reqwest::Error) -> Self {
        let broken = error.is_body() || error.is_decode();
        let error = error.without_url();
        let kind = if broken { Kind::BrokenOff } else { Kind::Other };
        Self { text: shortened(&innermost(&error).to_string()), kind }
    }

    /// The same, told with whose credentials were used where access was denied.
    pub(crate) fn of_account(mut self, account: Option<&str>) -> Self {
        if let (Kind::Refused, Some(account)) = (self.kind, account) {
            self.text.push_str(&format!(" ({account})"));
        }
        self
    }

    /// True when something else is there than was there before.
    pub(crate) fn is_taken(&self) -> bool {
        self.kind == Kind::Taken
    }

    /// True when the rest did not come: to ask again may help.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.kind == Kind::BrokenOff
    }

    /// True when blob, folder, bucket or storage container does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }

    /// True when the store knows the place and denies the access.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }
}

impl From<object_store::Error> for Cause {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Store;
        let inner = innermost(&error);
        let text = inner.to_string();
        let kind = match &error {
            Store::NotFound { .. } => Kind::Missing,
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Kind::Refused,
            Store::AlreadyExists { .. } | Store::Precondition { .. } => Kind::Taken,
            // Listings come without a kind of their own: the status is only in the text.
            _ if text.contains("status code: 404") => Kind::Missing,
            _ if text.contains("status code: 401") || text.contains("status code: 403") => Kind::Refused,
            _ if breaks_off(&error) => Kind::BrokenOff,
            _ => inner.downcast_ref::<io::Error>().map_or(Kind::Other, kind_of_io),
        };
        Self { text: shortened(&text), kind }
    }
}

impl From<reqwest::Error> for Cause {
    fn from(error: reqwest::Error) -> Self {
        Self::of_transport(error)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self { kind: kind_of_io(&error), text: error.to_string() }
    }
}

fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::Missing,
        io::ErrorKind::AlreadyExists => Kind::Taken,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Refused,
        _ => Kind::Other,
    }
}

/// Whether a body ended before it should.
fn breaks_off(error: &object_store::Error) -> bool {
    let mut inner: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = inner {
        if error.downcast_ref::<reqwest::Error>().is_some_and(|error| error.is_body() || error.is_decode()) {
            return true;
        }
        inner = error.source();
    }
    false
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner
}

/// One line: a page of XML becomes its code and message, other text loses its queries.
fn shortened(text: &str) -> String {
    let page = text.find('<').filter(|_| text.contains("</"));
    let (head, page) = text.split_at(page.unwrap_or(text.len()));
    let details = ["Code", "Message"].into_iter().filter_map(|tag| element(page, tag));
    let line = std::iter::once(head).chain(details).flat_map(str::split_whitespace).map(redacted_word);
    line.collect::<Vec<_>>().join(" ").chars().take(CAUSE_CHARS_MAX).collect()
}

fn element<'a>(page: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(text, _)| text)
}

fn redacted_word(word: &str) -> String {
    if word.contains("://") || word.contains("sig=") || word.contains("Signature=") {
        redacted(word)
    } else {
        word.to_owned()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Cause {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }.into()
    }

    #[test]
    fn a_page_of_xml_becomes_one_line() {
        let cause = generic(
            "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error>\n<Code>NoSuchBucket</Code>\
             <Message>The bucket\n is not there.</Message><Resource>/b</Resource></Error>",
        );
        let line = "Server returned non-2xx status code: 404 Not Found: NoSuchBucket The bucket is not there.";
        assert_eq!(cause.to_string(), line);
        assert!(cause.is_missing() && !cause.is_refused());
    }

    #[test]
    fn signatures_and_passwords_never_show() {
        let cause = generic(
            "error for url (https://a.blob.core.windows.net/c/x?sv=1&sig=SECRET): http://me:SECRET@h/ /c?sig=SECRET",
        );
        assert!(!format!("{cause} {cause:?}").contains("SECRET"), "{cause}");
        assert!(cause.to_string().contains("https://a.blob.core.windows.net/c/x?..."), "{cause}");
        assert!(generic(&"x".repeat(10_000)).to_string().len() <= CAUSE_CHARS_MAX);
    }

    #[test]
    fn a_denied_access_is_told_from_other_failures() {
        assert!(generic("Server returned non-2xx status code: 403 Forbidden: ").is_refused());
        assert!(Cause::from(io::Error::from(io::ErrorKind::PermissionDenied)).is_refused());
        assert!(!generic("boom").is_refused());
    }
}
