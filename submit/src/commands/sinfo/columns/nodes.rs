//! What the nodes of a line are. A partition without nodes shows what Slurm shows for it.

use proto::v1::{NodeReason, NodeRow};
use sched::spec::hostlist;

use super::super::state::{joined, words};
use super::counts::least;
use super::{Line, column};
use crate::show;
use crate::table::{Column, NO_LETTER};

pub(super) const COLUMNS: &[Column<Line>] = &[
    column('N', &["nodelist"], "NODELIST", names),
    column('n', &["nodehost"], "HOSTNAMES", names),
    column('o', &["nodeaddr"], "NODE_ADDR", |line| {
        hostlist::compress(
            line.nodes.iter().map(|node| if node.address.is_empty() { &node.name } else { &node.address }),
        )
    }),
    column('t', &["statecompact"], "STATE", |line| first(line, "n/a", |node| starred(words(node).1, node))),
    column('T', &["statelong"], "STATE", |line| first(line, "n/a", |node| starred(words(node).0, node))),
    column(NO_LETTER, &["statecomplete"], "STATECOMPLETE", |line| {
        first(line, "n/a", |node| joined(node).to_lowercase())
    }),
    column('f', &["features"], "AVAIL_FEATURES", features),
    column('b', &["features_act"], "ACTIVE_FEATURES", features),
    column('G', &["gres"], "GRES", |line| first(line, "(null)", |node| show::or_null(&node.gres))),
    column(NO_LETTER, &["gresused"], "GRES_USED", |line| first(line, "(null)", |node| show::or_null(&node.gres_held))),
    column('E', &["reason"], "REASON", |line| reason(line, "none", |reason| reason.text.clone())),
    column('u', &["user"], "USER", |line| reason(line, "Unknown", |reason| reason.user.clone())),
    column('U', &["userlong"], "USER", |line| {
        reason(line, "Unknown", |reason| format!("{}({})", reason.user, reason.uid))
    }),
    column('H', &["timestamp"], "TIMESTAMP", |line| {
        reason(line, "Unknown", |reason| show::time(reason.at_ms).unwrap_or_else(|| "Unknown".into()))
    }),
    column('v', &["version"], "VERSION", |line| first(line, "N/A", |_| crate::getopt::SLURM_VERSION.into())),
    column('i', &["reservation"], "RESERVATION", |_| String::new()),
    column(NO_LETTER, &["comment"], "COMMENT", |_| "(null)".into()),
    column(NO_LETTER, &["extra"], "EXTRA", |_| "(null)".into()),
    // Slurm names it in a federation only.
    column('V', &["cluster"], "CLUSTER", |_| "N/A".into()),
    column('X', &["sockets"], "SOCKETS", |line| least(line, |_| 1)),
    column('Y', &["cores"], "CORES", |line| least(line, |node| node.cpus.into())),
    column('Z', &["threads"], "THREADS", |line| least(line, |_| 1)),
    column('z', &["socketcorethread"], "S:C:T", |line| {
        let one = least(line, |_| 1);
        format!("{one}:{}:{one}", least(line, |node| node.cpus.into()))
    }),
    column(NO_LETTER, &["port"], "PORT", |_| "0".into()),
];

fn names(line: &Line) -> String {
    hostlist::compress(line.nodes.iter().map(|node| node.name.as_str()))
}

fn features(line: &Line) -> String {
    first(line, "(null)", |node| show::or_null(&node.features.join(",")))
}

fn starred(name: &str, node: &NodeRow) -> String {
    format!("{name}{}", if node.responds { "" } else { "*" })
}

/// A value that all nodes of the line share.
fn first(line: &Line, none: &str, value: impl Fn(&NodeRow) -> String) -> String {
    line.nodes.first().map_or_else(|| none.to_owned(), value)
}

/// A value of the reason why they are out of service.
fn reason(line: &Line, none: &str, value: impl Fn(&NodeReason) -> String) -> String {
    line.nodes.first().and_then(|node| node.reason.as_ref()).map_or_else(|| none.to_owned(), value)
}
