//! `scontrol update nodename=`: nodes out of service and back. Silent where all goes well.

use std::process::ExitCode;

use proto::v1::{NodeWish, UpdateNodesReply, UpdateNodesRequest};

use super::expand;
use super::update::{Word, aborted};
use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};
use crate::submitter::Submitter;

/// What a refused change starts with.
const REFUSED: &str = "slurm_update error: ";

/// Slurm's keys of nodes; Covey knows the first three.
const KEYS: [&str; 15] = [
    "Reason",
    "ResumeAfter",
    "State",
    "ActiveFeatures",
    "AvailableFeatures",
    "Comment",
    "CpuBind",
    "Extra",
    "Features",
    "Gres",
    "InstanceId",
    "InstanceType",
    "NodeAddr",
    "NodeHostName",
    "Weight",
];

/// The states that may be asked for. IDLE is what RESUME is.
const STATES: [(&str, NodeWish); 6] = [
    ("DOWN", NodeWish::Down),
    ("DRAIN", NodeWish::Drain),
    ("FAIL", NodeWish::Fail),
    ("IDLE", NodeWish::Resume),
    ("RESUME", NodeWish::Resume),
    ("UNDRAIN", NodeWish::Undrain),
];

/// Changes the nodes of a list.
pub(super) async fn update(list: &str, words: &[Word<'_>], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    let mut request = read(words)?;
    request.names = expand(list)?;
    request.user = Submitter::here().map(|here| here.user.name).unwrap_or_default();
    let names = request.names.clone();
    let reply = async {
        let channel = connect(timeout_s).await?;
        Ok(client(&channel).update_nodes(request).await?.into_inner())
    };
    let reply = reply.await.map_err(|error: CallError| Failure::call("scontrol", REFUSED, &error))?;
    answer(&names, &reply)
}

fn read(words: &[Word<'_>]) -> Outcome<UpdateNodesRequest> {
    let mut request = UpdateNodesRequest::default();
    for (typed, value) in words {
        let unknown = || aborted(format_args!("Update of this parameter is not supported: {typed}={value}"));
        match full_key(typed).ok_or_else(unknown)? {
            "Reason" => request.reason = value.trim().to_owned(),
            "State" => request.wish = wish(value)?.into(),
            "ResumeAfter" => request.resume_after_s = resume_after(value)?,
            key => {
                let known = KEYS[..3].join(", ");
                return Err(unknown().hint(Some(format_args!("Covey has no {key} for nodes yet; it knows {known}"))));
            }
        }
    }
    let leaves = matches!(request.wish(), NodeWish::Down | NodeWish::Drain | NodeWish::Fail);
    if leaves && request.reason.is_empty() {
        return Err(Failure::new("You must specify a reason when DOWNING or DRAINING a node. Request denied"));
    }
    if !leaves && request.resume_after_s.is_some() {
        return Err(aborted("ResumeAfter is for State=DOWN, DRAIN or FAIL"));
    }
    if request.wish() == NodeWish::Unspecified && request.reason.is_empty() {
        return Err(Failure::new("No changes specified"));
    }
    Ok(request)
}

/// The key that is meant, where it is one alone.
fn full_key(typed: &str) -> Option<&'static str> {
    let begins = |key: &&&'static str| {
        key.get(..typed.len()).is_some_and(|head| !typed.is_empty() && head.eq_ignore_ascii_case(typed))
    };
    let meant: Vec<&'static str> = KEYS.iter().filter(begins).copied().collect();
    if meant.len() == 1 { meant.first().copied() } else { meant.into_iter().find(|key| key.len() == typed.len()) }
}

/// The state that is meant, by its first letters where only one has them.
fn wish(text: &str) -> Outcome<NodeWish> {
    let word = text.to_ascii_uppercase();
    let mut meant = STATES.iter().filter(|(name, _)| !word.is_empty() && name.starts_with(&word));
    match (meant.next(), meant.next()) {
        (Some((_, wish)), None) => Ok(*wish),
        _ => {
            let known = STATES.map(|(name, _)| name).join(" ");
            Err(aborted(format_args!("Invalid input: state={text}"))
                .line(format_args!("Valid states are: {known}"))
                .line(format_args!("{REFUSED}Invalid node state specified")))
        }
    }
}

fn resume_after(text: &str) -> Outcome<Option<u64>> {
    if text == "-1" || text.eq_ignore_ascii_case("infinite") {
        return Ok(None);
    }
    let seconds = text.parse::<u64>().map_err(|_| aborted(format_args!("Invalid ResumeAfter value: {text}")));
    Ok(Some(seconds.map_err(|failure| failure.hint(Some("give a number of seconds, or INFINITE")))?))
}

/// Says what was refused: of each node why, and each text of Slurm once.
fn answer(names: &[String], reply: &UpdateNodesReply) -> Outcome<ExitCode> {
    let refused = || reply.refusals.iter().enumerate().filter(|(_, text)| !text.is_empty());
    let detail = |at: usize| reply.details.get(at).cloned().filter(|detail| !detail.is_empty());
    let named = |at: usize| names.get(at).cloned().unwrap_or_default();
    let mut lines: Vec<String> =
        refused().map(|(at, _)| format!("scontrol: error: {}", detail(at).unwrap_or_else(|| named(at)))).collect();
    for (_, text) in refused() {
        let line = format!("{REFUSED}{text}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::new(lines.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[Word<'_>]) -> String {
        let failure = read(words).expect_err("refused");
        assert_eq!(failure.code(), 1);
        failure.text()
    }

    #[test]
    fn a_drain_needs_a_reason_and_keys_may_be_cut_short() {
        let request = read(&[("STATE", "drai"), ("reas", " disk bad "), ("resumeafter", "60")]).expect("good");
        assert_eq!((request.wish(), request.reason.as_str()), (NodeWish::Drain, "disk bad"));
        assert_eq!(request.resume_after_s, Some(60));
        let text = "You must specify a reason when DOWNING or DRAINING a node. Request denied\n";
        for state in ["DRAIN", "down", "Fail"] {
            assert_eq!(refused(&[("state", state)]), text);
            assert_eq!(refused(&[("state", state), ("reason", " ")]), text);
        }
        assert_eq!(read(&[("s", "idle")]).expect("needs none").wish(), NodeWish::Resume);
        assert_eq!(read(&[("reason", "new disk")]).expect("the reason alone").wish(), NodeWish::Unspecified);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let text = refused(&[("state", "bogus")]);
        assert!(
            text.starts_with("Invalid input: state=bogus\nRequest aborted\nValid states are: DOWN DRAIN "),
            "{text}"
        );
        assert!(text.ends_with("slurm_update error: Invalid node state specified\n"), "{text}");
        assert!(refused(&[("state", "d")]).starts_with("Invalid input"), "DOWN or DRAIN");
        let text = refused(&[("weight", "5")]);
        assert!(text.starts_with("Update of this parameter is not supported: weight=5\nRequest aborted\n"), "{text}");
        assert!(text.contains("Covey has no Weight for nodes yet"), "{text}");
        assert!(refused(&[("re", "x")]).starts_with("Update of this parameter"), "Reason or ResumeAfter");
        assert!(
            refused(&[("state", "drain"), ("reason", "x"), ("resumeafter", "soon")])
                .contains("ResumeAfter value: soon")
        );
        assert!(refused(&[("state", "resume"), ("resumeafter", "5")]).starts_with("ResumeAfter is for"));
        assert_eq!(refused(&[]), "No changes specified\n");
    }

    #[test]
    fn refused_nodes_are_named_and_slurms_text_said_once() {
        let text = "Invalid node name specified".to_owned();
        let refusals = vec![String::new(), text.clone(), text];
        let details = vec![String::new(), "there is no node b".into(), "there is no node c".into()];
        let names = ["a", "b", "c"].map(String::from);
        let failure =
            answer(&names, &UpdateNodesReply { refusals, details, ..Default::default() }).expect_err("two are refused");
        assert_eq!(
            failure.text(),
            "scontrol: error: there is no node b\nscontrol: error: there is no node c\n\
             slurm_update error: Invalid node name specified\n"
        );
        assert!(answer(&names, &UpdateNodesReply::default()).is_ok());
    }
}
