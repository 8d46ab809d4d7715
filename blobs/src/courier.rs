//! Moves blobs by signed URLs, and holds no credentials.
//!
//! What fails on the way is tried again, and a busy store is waited for. A put happens only if nobody else was there first; what
//! is there is compared, as in `put.rs`. One request carries a blob, whatever its length, in bounded memory.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use reqwest::{Body, Client, Method, RequestBuilder, Response};
use tokio::time::{Instant, sleep, timeout};

use crate::content::{is_same, write_file};
use crate::sign::{SignedInput, SignedOutput, SignedRequest, header_map};
use crate::transport::{ANSWER_MAX, BUSY_MAX, Busy, CONNECT_MAX, NoAnswer, Skew};
use crate::{BlobError, Cause, Content};

/// What one request may carry: Azure takes 5000 MiB, S3 some more.
const PUT_BYTES_MAX: u64 = 5_000 << 20;
/// A body of which nothing comes for so long has broken off.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How slow an upload may be; with [`ANSWER_MAX`] that bounds how long it takes.
const UPLOAD_BYTES_PER_S_MIN: u64 = 64 << 10;
/// The first pause before a request that failed is made again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// No request that failed is made again after this time.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// A client for signed URLs, cheap to clone. Its calls need a tokio runtime with time and I/O enabled.
#[derive(Clone, Debug)]
pub struct Courier(Client);

/// Why one try was not enough.
struct Failed {
    cause: Cause,
    /// It may be tried again, after the pause where one is named.
    again: Option<Option<Duration>>,
}

impl Failed {
    fn for_good(cause: Cause) -> Failed {
        Failed { cause, again: None }
    }

    fn on_the_way(cause: impl Into<Cause>) -> Failed {
        Failed { cause: cause.into(), again: Some(None) }
    }
}

impl Courier {
    /// A client without connections.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub fn new() -> Result<Courier, Cause> {
        let client = Client::builder().connect_timeout(CONNECT_MAX).redirect(reqwest::redirect::Policy::none());
        Ok(Courier(client.build()?))
    }

    /// How long the blob is.
    ///
    /// # Errors
    /// [`BlobError::NoBlob`], or [`BlobError::Head`].
    pub async fn size(&self, input: &SignedInput) -> Result<u64, BlobError> {
        let failed = |source| told(&input.blob, source, |blob, source| BlobError::Head { blob, source });
        let mut tries = Tries::default();
        loop {
            match self.answer(Method::HEAD, &input.head, &mut tries.busy).await.and_then(|found| announced(&found)) {
                Ok(size_bytes) => return Ok(size_bytes),
                Err(why) => tries.again(why).await.map_err(failed)?,
            }
        }
    }

    /// Reads a whole blob of at most `bytes_max` bytes into memory. Half a blob is an error.
    ///
    /// # Errors
    /// [`BlobError::NoBlob`], [`BlobError::TooLarge`], or [`BlobError::Get`].
    pub async fn get(&self, input: &SignedInput, bytes_max: u64) -> Result<Bytes, BlobError> {
        let failed = |source| told(&input.blob, source, |blob, source| BlobError::Get { blob, source });
        let mut tries = Tries::default();
        loop {
            match self.get_once(input, bytes_max, &mut tries.busy).await {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {
                    let (blob, size_bytes) = (input.blob.clone(), self.size(input).await?);
                    return Err(BlobError::TooLarge { blob, size_bytes, bytes_max });
                }
                Err(why) => tries.again(why).await.map_err(failed)?,
            }
        }
    }

    /// Nothing when the blob is too large.
    async fn get_once(&self, input: &SignedInput, bytes_max: u64, busy: &mut Busy) -> Result<Option<Bytes>, Failed> {
        let answer = self.answer(Method::GET, &input.get, busy).await?;
        let size_bytes = announced(&answer)?;
        if size_bytes > bytes_max {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
        let mut pieces = pieces(answer);
        while let Some(piece) = pieces.next().await {
            all.extend_from_slice(&piece.map_err(Failed::on_the_way)?);
        }
        whole(size_bytes, all.len() as u64).map(|()| Some(all.into()))
    }

    /// Reads a whole blob into a new file at `to`, in bounded memory; answers its length. After an error the file is for the caller
    /// to remove.
    ///
    /// # Errors
    /// [`BlobError::NoBlob`], or [`BlobError::Get`].
    pub async fn download(&self, input: &SignedInput, to: &Path) -> Result<u64, BlobError> {
        let failed = |source| told(&input.blob, source, |blob, source| BlobError::Get { blob, source });
        let mut tries = Tries::default();
        loop {
            match self.download_once(input, to, &mut tries.busy).await {
                Ok(size_bytes) => return Ok(size_bytes),
                Err(why) => tries.again(why).await.map_err(failed)?,
            }
        }
    }

    async fn download_once(&self, input: &SignedInput, to: &Path, busy: &mut Busy) -> Result<u64, Failed> {
        let answer = self.answer(Method::GET, &input.get, busy).await?;
        let size_bytes = announced(&answer)?;
        let read_bytes = write_file(to, pieces(answer)).await.map_err(Failed::on_the_way)?;
        whole(size_bytes, read_bytes).map(|()| read_bytes)
    }

    /// Puts a whole blob, if what is at its name is still what was there when the URL was signed.
    ///
    /// # Errors
    /// [`BlobError::Changed`] when another blob is there by now, [`BlobError::TooLargeToSign`], or [`BlobError::Put`].
    pub async fn put(&self, output: &SignedOutput, content: &Content) -> Result<(), BlobError> {
        let (blob, size_bytes) = (output.blob.clone(), content.size_bytes());
        if size_bytes > PUT_BYTES_MAX {
            return Err(BlobError::TooLargeToSign { blob, size_bytes, bytes_max: PUT_BYTES_MAX });
        }
        let mut tries = Tries::default();
        loop {
            let why = match self.put_once(output, content, &mut tries.busy).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            match tries.again(why).await {
                Ok(()) => {}
                Err(cause) if cause.is_taken() && self.is_there(output, content).await? => return Ok(()),
                Err(cause) if cause.is_taken() => return Err(BlobError::Changed { blob }),
                Err(source) => return Err(BlobError::Put { blob, source }),
            }
        }
    }

    async fn put_once(&self, output: &SignedOutput, content: &Content, busy: &mut Busy) -> Result<(), Failed> {
        let body = match content {
            Content::Bytes(bytes) => Body::from(bytes.clone()),
            Content::File { .. } => Body::wrap_stream(content.pieces()),
        };
        let size_bytes = content.size_bytes();
        let request = self.request(Method::PUT, &output.put)?.header(CONTENT_LENGTH, size_bytes).body(body);
        let patience = ANSWER_MAX + Duration::from_secs(size_bytes / UPLOAD_BYTES_PER_S_MIN);
        answered(request, patience, busy).await.map(drop)
    }

    /// Whether the blob is this content: then an earlier try has put it.
    async fn is_there(&self, output: &SignedOutput, content: &Content) -> Result<bool, BlobError> {
        let mut tries = Tries::default();
        loop {
            let why = match self.is_there_once(output, content, &mut tries.busy).await {
                Ok(same) => return Ok(same),
                Err(why) => why,
            };
            match tries.again(why).await {
                Ok(()) => {}
                Err(source) if source.is_missing() => return Ok(false),
                Err(source) => return Err(BlobError::Get { blob: output.blob.clone(), source }),
            }
        }
    }

    async fn is_there_once(&self, output: &SignedOutput, content: &Content, busy: &mut Busy) -> Result<bool, Failed> {
        let answer = self.answer(Method::GET, &output.get, busy).await?;
        if announced(&answer)? != content.size_bytes() {
            return Ok(false);
        }
        is_same(content, pieces(answer)).await.map_err(Failed::on_the_way)
    }

    fn request(&self, method: Method, signed: &SignedRequest) -> Result<RequestBuilder, Failed> {
        let headers = header_map(signed.headers()).map_err(Failed::for_good)?;
        Ok(self.0.request(method, signed.secret_url()).headers(headers))
    }

    async fn answer(&self, method: Method, signed: &SignedRequest, busy: &mut Busy) -> Result<Response, Failed> {
        answered(self.request(method, signed)?, ANSWER_MAX, busy).await
    }
}

/// How often and how long something was tried.
struct Tries {
    since: Instant,
    busy: Busy,
    next: Duration,
}

impl Default for Tries {
    fn default() -> Tries {
        Tries { since: Instant::now(), busy: Busy::default(), next: PAUSE_MIN }
    }
}

impl Tries {
    /// Waits before the next try.
    ///
    /// # Errors
    /// It has failed for good, or for too long.
    async fn again(&mut self, Failed { cause, again }: Failed) -> Result<(), Cause> {
        let (pause, patience) = match again {
            // The store has named a time, and `busy` looks after its bound.
            Some(Some(pause)) => (pause, BUSY_MAX + RETRY_MAX),
            Some(None) => (self.next, RETRY_MAX),
            None => return Err(cause),
        };
        if self.since.elapsed() + pause > patience {
            return Err(cause);
        }
        sleep(pause).await;
        self.next = (self.next * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// A good answer to one request.
async fn answered(request: RequestBuilder, patience: Duration, busy: &mut Busy) -> Result<Response, Failed> {
    let answer = match timeout(patience, request.send()).await {
        Ok(answer) => answer.map_err(Failed::on_the_way)?,
        Err(_) => return Err(Failed::on_the_way(Cause::new(NoAnswer.to_string()))),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if let Some(skew) = Skew::of(status, answer.headers()) {
        return Err(Failed::for_good(Cause::new(skew.to_string())));
    }
    let pause = busy.pause(status, answer.headers());
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    // What cannot be read of an error says nothing more.
    let page = timeout(SILENCE_MAX, answer.text()).await.ok().and_then(Result::ok).unwrap_or_default();
    let again = match pause {
        Some(pause) => Some(Some(pause)),
        None if is_busy => None,
        // S3 asks to come again where two conditional puts meet.
        None if status.is_server_error() || page.contains("ConditionalRequestConflict") => Some(None),
        None => None,
    };
    Err(Failed { cause: Cause::of_status(status, &page), again })
}

/// How long the body should be.
fn announced(answer: &Response) -> Result<u64, Failed> {
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.ok_or_else(|| Failed::for_good(Cause::new("the store does not say how long the blob is")))
}

fn whole(announced_bytes: u64, read_bytes: u64) -> Result<(), Failed> {
    if announced_bytes == read_bytes {
        return Ok(());
    }
    let text = format!("the store announced {announced_bytes} bytes, and {read_bytes} came");
    Err(Failed::on_the_way(Cause::new(text)))
}

/// The body, of which something must come now and then.
fn pieces(answer: Response) -> BoxStream<'static, Result<Bytes, Cause>> {
    let body = Box::pin(answer.bytes_stream());
    futures::stream::try_unfold(body, |mut body| async {
        match timeout(SILENCE_MAX, body.next()).await {
            Ok(Some(piece)) => Ok(Some((piece?, body))),
            Ok(None) => Ok(None),
            Err(_) => Err(Cause::new(format!("nothing came for {} s", SILENCE_MAX.as_secs()))),
        }
    })
    .boxed()
}

fn told(blob: &str, source: Cause, variant: fn(String, Cause) -> BlobError) -> BlobError {
    let blob = blob.to_owned();
    if source.is_missing() { BlobError::NoBlob { blob } } else { variant(blob, source) }
}
