//! Around all services: when a call is answered, its line goes into the audit log.
//!
//! So no call can be forgotten, nor a refusal of a gate. What a call was done to is known where it is read: there a [`Note`], which
//! travels with the request, is told. Start at [`lines`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use sched::allow::Verb;
use sched::refusal::Refusal;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Extensions, Status};
use tower::{Layer, Service};

use super::line::cut;
use super::{Audit, Line, Outcome, Who};
use crate::rpc::verbs::Call;

/// Of a list of things, so many bytes of names are kept, and how many there were.
const NAMES_BYTES_MAX: usize = 256;

/// What is to be said of a call beyond its path and its answer; clones are of the same call.
#[derive(Clone, Default)]
pub(crate) struct Note(Arc<Mutex<Draft>>);

#[derive(Default)]
struct Draft {
    verb: Option<Verb>,
    who: Option<Who>,
    what: String,
    /// Where an answer is one for each thing named: the things by what became of them.
    done: Names,
    refused: Names,
    failed: Names,
}

/// Names of things, and why the first of them was not done.
#[derive(Default)]
struct Names {
    text: String,
    count: usize,
    why: String,
}

impl Names {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.text.len() + name.len() < NAMES_BYTES_MAX {
            self.text.push_str(if self.text.is_empty() { "" } else { " " });
            self.text.push_str(name);
        } else if !self.text.ends_with('…') {
            self.text.push_str(" …");
        }
    }

    fn text(&self) -> String {
        if self.text.ends_with('…') { format!("{} ({} in all)", self.text, self.count) } else { self.text.clone() }
    }
}

impl Note {
    /// That of a request. A request that came by no way in has one that nobody reads.
    pub(crate) fn of(extensions: &Extensions) -> Note {
        extensions.get::<Note>().cloned().unwrap_or_default()
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call is this, which its path does not tell.
    pub(crate) fn verb(&self, verb: Verb) {
        self.draft().verb = Some(verb);
    }

    /// The caller is known better than by the connection.
    pub(crate) fn who(&self, who: Who) {
        self.draft().who = Some(who);
    }

    /// What it is done to; before a list of things, what is done to them.
    pub(crate) fn what(&self, what: impl Into<String>) {
        self.draft().what = what.into();
    }

    /// What became of each thing that was named.
    pub(crate) fn found(&self, names: &[String], found: &[Result<(), Refusal>]) {
        let mut draft = self.draft();
        for (name, found) in names.iter().zip(found) {
            let Err(refusal) = found else {
                draft.done.add(name);
                continue;
            };
            let group = match refusal {
                Refusal::NotAllowed(_) => &mut draft.refused,
                _ => &mut draft.failed,
            };
            group.add(name);
            if group.why.is_empty() {
                group.why = refusal.detail().unwrap_or_else(|| refusal.to_string());
            }
        }
    }
}

/// The lines that a call leaves: none for what only reads and is allowed.
fn lines(call: Call, who: Who, note: &Note, refusal: Option<&Status>) -> Vec<Line> {
    let draft = note.draft();
    let call = draft.verb.map_or(call, Call::Of);
    let who = draft.who.clone().unwrap_or(who);
    let line = |outcome, what: String, why: String| Line {
        at_us: 0,
        outcome,
        verb: call.name().into(),
        who: who.clone(),
        what: cut(what),
        why: cut(why),
        times: 1,
    };
    if let Some(status) = refusal {
        let outcome = outcome(status.code());
        if outcome == Outcome::Failed && !call.is_kept() {
            return Vec::new();
        }
        let why = proto::error::detail(status).unwrap_or_else(|| status.message().to_owned());
        return vec![line(outcome, draft.what.clone(), why)];
    }
    let groups =
        [(Outcome::Allowed, &draft.done), (Outcome::Refused, &draft.refused), (Outcome::Failed, &draft.failed)];
    let named = groups.iter().any(|(_, names)| names.count > 0);
    if !named && call.is_kept() {
        return vec![line(Outcome::Allowed, draft.what.clone(), String::new())];
    }
    let groups = groups.into_iter().filter(|(_, names)| names.count > 0);
    let named = |names: &Names| {
        let how = if draft.what.is_empty() { String::new() } else { format!("{}: ", draft.what) };
        how + &names.text()
    };
    groups.map(|(outcome, names)| line(outcome, named(names), names.why.clone())).collect()
}

/// Whether a call was refused, or could only not be done: who misspells a partition is no intruder.
fn outcome(code: Code) -> Outcome {
    match code {
        // Too many, or too much at a time: limits against abuse.
        Code::PermissionDenied | Code::Unauthenticated | Code::OutOfRange | Code::ResourceExhausted => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// Puts a [`Recorded`] around the services.
#[derive(Clone)]
pub(crate) struct Record(pub(crate) Audit);

impl<S> Layer<S> for Record {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded { inner, audit: self.0.clone() }
    }
}

/// A service whose calls are recorded.
#[derive(Clone)]
pub(crate) struct Recorded<S> {
    inner: S,
    audit: Audit,
}

impl<S, B, R> Service<Request<B>> for Recorded<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(call) = Call::of(request.uri().path()) else { return Box::pin(self.inner.call(request)) };
        let (note, audit) = (Note::default(), self.audit.clone());
        // Before anything is read of the request: a token is not looked at here.
        let who = Who::of(request.extensions());
        request.extensions_mut().insert(note.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answered = answer.await?;
            // An answer that is a refusal and nothing else has its status in the head.
            let refusal = Status::from_header_map(answered.headers()).filter(|status| status.code() != Code::Ok);
            lines(call, who, &note, refusal.as_ref()).into_iter().for_each(|line| audit.add(line));
            Ok(answered)
        })
    }
}
