//! How requests reach a store: how long they may take, how often they are tried, and what a store that is busy may ask for.
//!
//! A store that answers 429 or 503 is asked again after the pause that its `Retry-After` names, or after pauses that grow; other
//! failures are tried again by the client itself. An answer whose date is far from this machine's is told as what it is: no
//! signature is good under a wrong clock.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use object_store::client::ReqwestConnector;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tokio::time::{Instant, sleep, timeout};

/// A connection that is not up by then has failed.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A request without a body that is not answered by then has failed and may be tried again.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(20);
/// A request, with its body, that is not done by then has failed and may be tried again.
const TRANSFER_MAX: Duration = Duration::from_secs(300);
/// How often a request that failed is tried again.
const RETRIES_MAX: usize = 3;
/// No request that failed is tried again after this time.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// So long a store may be busy; then its answer counts as a failure.
pub(crate) const BUSY_MAX: Duration = Duration::from_secs(60);
/// The first pause after an answer that names none; it doubles.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause after an answer that names none.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(8);
/// How far a clock may be off; stores refuse signatures beyond a quarter of an hour.
const SKEW_MAX: Duration = Duration::from_secs(14 * 60);

/// Makes clients of this kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Patient(ReqwestConnector::default().connect(options)?)))
    }
}

/// A client that waits for a busy store.
#[derive(Debug)]
struct Patient(HttpClient);

#[async_trait::async_trait]
impl HttpService for Patient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut busy = Busy::default();
        loop {
            let answer = self.once(request.clone()).await?;
            if let Some(skew) = Skew::of(answer.status(), answer.headers()) {
                return Err(HttpError::new(HttpErrorKind::Unknown, skew));
            }
            match busy.pause(answer.status(), answer.headers()) {
                Some(pause) => sleep(pause).await,
                None => return Ok(answer),
            }
        }
    }
}

impl Patient {
    async fn once(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // How long a body is on its way is not known here; the client's own limit holds for those.
        if !request.body().is_empty() {
            return self.0.execute(request).await;
        }
        match timeout(ANSWER_MAX, self.0.execute(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, NoAnswer)),
        }
    }
}

/// Nothing came.
#[derive(Debug, thiserror::Error)]
#[error("no answer in {} s", ANSWER_MAX.as_secs())]
pub(crate) struct NoAnswer;

/// How long a store has been too busy for one request.
#[derive(Debug)]
pub(crate) struct Busy {
    since: Instant,
    next: Duration,
}

impl Default for Busy {
    fn default() -> Busy {
        Busy { since: Instant::now(), next: BUSY_PAUSE_MIN }
    }
}

impl Busy {
    /// How long to wait before the same is asked again; `None` when this answer has to do.
    pub(crate) fn pause(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return None;
        }
        let pause = asked_pause(headers, SystemTime::now()).unwrap_or(self.next);
        self.next = (self.next * 2).min(BUSY_PAUSE_MAX);
        (self.since.elapsed() + pause <= BUSY_MAX).then_some(pause)
    }
}

/// What `Retry-After` asks for, in seconds or as a date.
fn asked_pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// The clock of this machine and the store's are too far apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock of this machine is {minutes} minutes {word} the store's, and no signature is good then: set it")]
pub(crate) struct Skew {
    minutes: u64,
    word: &'static str,
}

impl Skew {
    /// Looks for it in an answer that denies access.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Skew> {
        let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let date = headers.get(DATE).filter(|_| denied)?;
        Skew::between(httpdate::parse_http_date(date.to_str().ok()?).ok()?, SystemTime::now())
    }

    fn between(theirs: SystemTime, ours: SystemTime) -> Option<Skew> {
        let (skew, word) = match theirs.duration_since(ours) {
            Ok(skew) => (skew, "behind"),
            Err(ahead) => (ahead.duration(), "ahead of"),
        };
        (skew > SKEW_MAX).then_some(Skew { minutes: skew.as_secs() / 60, word })
    }
}

/// The limits of every client.
pub(crate) fn client_options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_MAX).with_timeout(TRANSFER_MAX)
}

/// How failures are tried again.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a header"))])
    }

    #[test]
    fn a_busy_store_says_when_to_come_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let pause = |text: &str| asked_pause(&headers(RETRY_AFTER, text), now);
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("Sun, 09 Sep 2001 01:46:50 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(pause("Sun, 09 Sep 2001 01:46:30 GMT"), Some(Duration::ZERO), "it has passed");
        assert_eq!(pause("soon"), None);
    }

    #[tokio::test]
    async fn pauses_grow_and_end() {
        let busy = |headers: &HeaderMap| Busy::default().pause(StatusCode::SERVICE_UNAVAILABLE, headers);
        assert_eq!(busy(&headers(RETRY_AFTER, "3600")), None, "nobody waits for an hour");
        let (mut busy, none) = (Busy::default(), HeaderMap::new());
        let pauses: Vec<_> = (0..3).map(|_| busy.pause(StatusCode::TOO_MANY_REQUESTS, &none)).collect();
        assert_eq!(pauses, [200, 400, 800].map(|ms| Some(Duration::from_millis(ms))));
        assert_eq!(busy.pause(StatusCode::NOT_FOUND, &none), None);
    }

    #[test]
    fn a_wrong_clock_is_told_with_its_direction() {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        assert_eq!(Skew::between(now + hour, now), Some(Skew { minutes: 60, word: "behind" }));
        assert_eq!(Skew::between(now - hour, now), Some(Skew { minutes: 60, word: "ahead of" }));
        assert_eq!(Skew::between(now + hour / 5, now), None);
        let date = headers(DATE, "Sun, 09 Sep 2001 01:46:40 GMT");
        assert!(Skew::of(StatusCode::FORBIDDEN, &date).expect("years").to_string().contains("ahead of the store's"));
        assert_eq!(Skew::of(StatusCode::NOT_FOUND, &date), None, "it was not denied");
    }
}
