//! A line of the audit log, as it stands in the files: one JSON object.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tonic::Extensions;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

use crate::rpc::caller::Caller;
use crate::tls::TlsPeer;

/// Bytes that are kept of what something was done to, and of why it was refused.
pub(super) const TEXT_BYTES_MAX: usize = 512;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was done.
    Allowed,
    /// The caller may not, or is not who counts here.
    Refused,
    /// It was theirs to ask, and could not be done.
    Failed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, in microseconds since 1970. No two lines of a log have the same.
    pub(crate) at_us: i64,
    pub(crate) outcome: Outcome,
    /// What was asked for: a verb of the table of roles, or one of those of nodes.
    pub(crate) verb: Cow<'static, str>,
    #[serde(flatten)]
    pub(crate) who: Who,
    /// To what: numbers of jobs and tokens, names of nodes and partitions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) what: String,
    /// Why it was refused or could not be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
    /// How many this line stands for: refusals that are the same but for their moment share one.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(crate) times: u64,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_once(times: &u64) -> bool {
    *times == 1
}

/// Who called.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Who {
    /// The user's number, where there is a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    /// The user's name, or the node's. The writer fills in what this machine calls a number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// How they are known: `socket`, `token 3`, `node n1`, `certificate`, `plain`, or `nothing`.
    pub(crate) by: Cow<'static, str>,
    /// From where: an address with its port, or the process on this machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) from: String,
}

impl Who {
    /// Somebody at this address of whom nothing is known.
    pub(crate) fn unknown(address: Option<SocketAddr>) -> Who {
        Who { by: "nothing".into(), from: text(address), ..Who::default() }
    }

    /// The node that shows this certificate.
    pub(crate) fn node(name: &str, address: Option<SocketAddr>) -> Who {
        Who { name: name.to_owned(), by: "certificate".into(), from: text(address), uid: None }
    }

    /// The other side of a connection, and of a call on it once its token was read.
    pub(crate) fn of(extensions: &Extensions) -> Who {
        let address = address_of(extensions);
        match Caller::of(extensions) {
            Caller::Local { uid, .. } => {
                let peer = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred?.pid());
                let from = peer.map(|pid| format!("pid {pid}")).unwrap_or_default();
                Who { uid: Some(uid), name: String::new(), by: "socket".into(), from }
            }
            Caller::Plain => Who { by: "plain".into(), from: text(address), ..Who::default() },
            Caller::Node(node) => Who::node(&node.name, address),
            Caller::User(user) => {
                let by = format!("token {}", user.token).into();
                Who { uid: Some(user.uid), name: user.name.clone(), by, from: text(address) }
            }
            Caller::ByNode(user) => {
                let by = format!("node {}", user.node.name).into();
                let name = user.name().cloned().unwrap_or_default();
                Who { uid: Some(user.uid), name, by, from: text(address) }
            }
            Caller::Anonymous => Who::unknown(address),
        }
    }
}

fn address_of(extensions: &Extensions) -> Option<SocketAddr> {
    let plain = || extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    extensions.get::<TlsPeer>().and_then(|peer| peer.address).or_else(plain)
}

fn text(address: Option<SocketAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// A text that is bounded, with a sign where it was cut.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_there_is_to_say_and_reads_back() {
        let who = Who { uid: Some(1000), name: "ada".into(), by: "socket".into(), from: "pid 7".into() };
        let done = Line {
            at_us: 5,
            outcome: Outcome::Allowed,
            verb: "cancel".into(),
            who,
            what: "3".into(),
            why: String::new(),
            times: 1,
        };
        let text = serde_json::to_string(&done).expect("texts and numbers are JSON");
        let meant = r#"{"at_us":5,"outcome":"allowed","verb":"cancel","uid":1000,"name":"ada","by":"socket","from":"pid 7","what":"3"}"#;
        assert_eq!(text, meant);
        assert_eq!(serde_json::from_str::<Line>(&text).expect("the same"), done);
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let long = cut("ü".repeat(TEXT_BYTES_MAX));
        assert!(long.len() <= TEXT_BYTES_MAX + '…'.len_utf8() && long.ends_with("ü…"));
        assert_eq!(cut("short".into()), "short");
    }
}
