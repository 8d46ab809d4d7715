//! `ListAudit`: lines of the audit log, the newest and, for who follows, those that come.

use std::sync::Arc;

use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::allow::Verb;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::listing::PAGES_MAX;
use super::{Answers, Desk};
use crate::audit::{Audit, Line, Outcome, Wanted};

/// Lines of one page.
const PAGE_LINES: usize = 1_000;
/// How many lines are listed of which nobody says otherwise.
const LINES: usize = 100;
/// The most that one call lists.
const LINES_MAX: usize = 100_000;

type Pages = mpsc::Sender<Result<v1::AuditPage, Status>>;

pub(super) async fn list(
    desk: &Desk,
    request: Request<v1::ListAuditRequest>,
) -> Result<Answers<v1::AuditPage>, Status> {
    desk.rights.asker_here(&request, Verb::ReadAudit)?;
    let v1::ListAuditRequest { user, since_ms, refused, verb, most, follow } = request.into_inner();
    let most = match usize::try_from(most).unwrap_or(usize::MAX) {
        0 => LINES,
        most if most > LINES_MAX => {
            return Err(WireError::Meaningless { field: "most", value: format!("{most}; at most {LINES_MAX}") }.into());
        }
        most => most,
    };
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let since_us = since_ms.saturating_mul(1000);
    let wanted = Wanted { user: given(user), since_us, refused, verb: given(verb) };
    // What comes while the files are read is heard, and told only once.
    let news = follow.then(|| desk.audit.follow());
    let until_us = desk.audit.settled().await.ok_or_else(|| Status::unavailable("the controller is stopping"))?;
    let lines = read(&desk.audit, wanted.clone(), until_us, most).await?;
    let (pages, answers) = mpsc::channel(PAGES_MAX);
    tokio::spawn(async move {
        for lines in lines.chunks(PAGE_LINES) {
            let lines = lines.iter().map(row).collect();
            if pages.send(Ok(v1::AuditPage { lines, missed: 0 })).await.is_err() {
                return;
            }
        }
        if let Some(news) = news {
            go_on(&wanted, until_us, news, &pages).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(answers)))
}

async fn read(audit: &Audit, wanted: Wanted, until_us: i64, most: usize) -> Result<Vec<Line>, Status> {
    let folder = audit.folder();
    let read = tokio::task::spawn_blocking(move || wanted.read(&folder, until_us, most)).await;
    let failed = |why: String| refused(ErrorReason::Storage, "I/O error reading the audit log", Some(&why));
    read.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}

/// Tells of what is added, until the caller or the log has ended.
async fn go_on(wanted: &Wanted, told_us: i64, mut news: broadcast::Receiver<Arc<Line>>, pages: &Pages) {
    loop {
        let heard = tokio::select! {
            heard = news.recv() => heard,
            () = pages.closed() => return,
        };
        let page = match heard {
            Ok(line) if line.at_us > told_us && wanted.lets_pass(&line) => {
                v1::AuditPage { lines: vec![row(&line)], missed: 0 }
            }
            Ok(_) => continue,
            Err(RecvError::Lagged(missed)) => v1::AuditPage { lines: Vec::new(), missed },
            Err(RecvError::Closed) => return,
        };
        if pages.send(Ok(page)).await.is_err() {
            return;
        }
    }
}

fn row(line: &Line) -> v1::AuditLine {
    let outcome = match line.outcome {
        Outcome::Allowed => v1::AuditOutcome::Allowed,
        Outcome::Refused => v1::AuditOutcome::Refused,
        Outcome::Failed => v1::AuditOutcome::Failed,
    };
    v1::AuditLine {
        at_us: line.at_us,
        outcome: outcome.into(),
        verb: line.verb.to_string(),
        what: line.what.clone(),
        uid: line.who.uid,
        name: line.who.name.clone(),
        by: line.who.by.to_string(),
        from: line.who.from.clone(),
        why: line.why.clone(),
        times: line.times,
    }
}
