//! What there is of each entity, from the state of the cluster and the history of its jobs.

use std::collections::{BTreeMap, BTreeSet};

use proto::v1::{GetClusterReply, JobRow, ListNodesReply, ListNodesRequest, NodeState};

use super::fields::Row;
use crate::call::{CallError, Channel, client};
use crate::commands::sinfo::state::words;
use crate::past::{Span, fold};
use crate::show;

/// Slurm's resources with their numbers, which are fixed. Those of gres and licenses depend on a database, and there is none.
const TRES: [(&str, &str, &str); 8] = [
    ("cpu", "", "1"),
    ("mem", "", "2"),
    ("energy", "", "3"),
    ("node", "", "4"),
    ("billing", "", "5"),
    ("fs", "disk", "6"),
    ("vmem", "", "7"),
    ("pages", "", "8"),
];

/// The only quality of service: none changes anything.
const QOS: &str = "normal";

/// The rows of an entity, in Slurm's order.
pub(super) async fn rows(channel: &Channel, entity: &str, about: &GetClusterReply) -> Result<Vec<Row>, CallError> {
    Ok(match entity {
        "cluster" => vec![cluster(about)],
        "qos" => vec![qos()],
        "tres" => tres(&nodes(channel).await?, about),
        "event" => events(&nodes(channel).await?, &about.name),
        "user" | "account" | "association" | "wckey" => names(channel).await?.rows(entity, &about.name),
        // Nothing is kept of these.
        _ => Vec::new(),
    })
}

async fn nodes(channel: &Channel) -> Result<ListNodesReply, CallError> {
    Ok(client(channel).list_nodes(ListNodesRequest {}).await?.into_inner())
}

fn cluster(about: &GetClusterReply) -> Row {
    Row::from([
        ("Cluster", about.name.clone()),
        ("Name", about.name.clone()),
        ("ControlHost", about.host.clone()),
        ("QOS", QOS.into()),
    ])
}

pub(super) fn qos() -> Row {
    Row::from([
        ("Name", QOS.into()),
        ("Description", "Normal QOS default".into()),
        ("ID", "1".into()),
        ("Priority", "0".into()),
        ("GraceTime", "00:00:00".into()),
        ("PreemptMode", "cluster".into()),
        ("UsageFactor", "1.000000".into()),
    ])
}

pub(super) fn tres(nodes: &ListNodesReply, about: &GetClusterReply) -> Vec<Row> {
    let row = |kind: &str, name: &str, id: &str| {
        Row::from([("Type", kind.to_owned()), ("Name", name.to_owned()), ("ID", id.to_owned())])
    };
    // Of "gpu:a100:2" both "gpu" and "gpu:a100" are counted.
    let mut gres = BTreeSet::new();
    for item in nodes.nodes.iter().flat_map(|node| show::items(&node.gres)) {
        let (name, _) = item.rsplit_once(':').unwrap_or((&item, ""));
        gres.extend(name.split_once(':').map(|(kind, _)| kind.to_owned()));
        gres.insert(name.to_owned());
    }
    let setting = about.settings.iter().find(|setting| setting.key == "Licenses");
    let licenses = show::items(setting.map_or("", |setting| &setting.value));
    let license =
        |item: &String| item.split(':').next().filter(|name| *name != "(null)").map(|name| row("license", name, ""));
    let fixed = TRES.iter().map(|(kind, name, id)| row(kind, name, id));
    fixed.chain(gres.iter().map(|name| row("gres", name, ""))).chain(licenses.iter().filter_map(license)).collect()
}

/// The nodes that are out of service now. Nothing is kept of those that were.
pub(super) fn events(nodes: &ListNodesReply, cluster: &str) -> Vec<Row> {
    let out = nodes.nodes.iter().filter(|node| node.drain || node.fail || node.state() == NodeState::Down);
    out.map(|node| {
        let reason = node.reason.clone().unwrap_or_default();
        let since_ms = if reason.at_ms == 0 { node.since_ms } else { reason.at_ms };
        Row::from([
            ("Cluster", cluster.to_owned()),
            ("NodeName", node.name.clone()),
            ("Start", show::time(since_ms).unwrap_or_else(|| "Unknown".into())),
            ("End", "Unknown".into()),
            ("State", words(node).0.to_uppercase()),
            ("Reason", reason.text),
            ("User", reason.user),
        ])
    })
    .collect()
}

/// The names that jobs have had.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeSet<String>,
    /// Who has used which account, and in which partitions.
    accounts: BTreeMap<String, BTreeSet<String>>,
    wckeys: BTreeSet<(String, String)>,
}

async fn names(channel: &Channel) -> Result<Names, CallError> {
    let mut names = Names::default();
    fold(channel, Span::ALL, |row, _| names.enter(row)).await?;
    Ok(names)
}

impl Names {
    pub(super) fn enter(&mut self, row: &JobRow) {
        if !self.users.contains(&row.user) {
            self.users.insert(row.user.clone());
        }
        if !row.account.is_empty() {
            self.accounts.entry(row.account.clone()).or_default().insert(row.user.clone());
        }
        if !row.wckey.is_empty() {
            self.wckeys.insert((row.wckey.clone(), row.user.clone()));
        }
    }

    /// The accounts of a user are no limit, so a user's row has none: a program would take them for all that may be named.
    pub(super) fn rows(&self, entity: &str, cluster: &str) -> Vec<Row> {
        let cluster = || ("Cluster", cluster.to_owned());
        match entity {
            "user" => {
                let row = |user: &String| {
                    Row::from([("User", user.clone()), ("Name", user.clone()), ("AdminLevel", admin(user))])
                };
                self.users.iter().map(row).collect()
            }
            "account" => {
                let row = |name: &String| Row::from([("Account", name.clone()), ("Name", name.clone())]);
                self.accounts.keys().map(row).collect()
            }
            "wckey" => {
                let row = |(name, user): &(String, String)| {
                    Row::from([("Name", name.clone()), cluster(), ("User", user.clone())])
                };
                self.wckeys.iter().map(row).collect()
            }
            _ => {
                let row = |account: &str, user: &str| {
                    Row::from([
                        cluster(),
                        ("Account", account.to_owned()),
                        ("User", user.to_owned()),
                        ("QOS", QOS.into()),
                    ])
                };
                let used = self.accounts.iter().flat_map(|(account, users)| {
                    let users = users.iter().map(|user| row(account, user));
                    std::iter::once(row(account, "")).chain(users)
                });
                std::iter::once(row("root", "")).chain(used).collect()
            }
        }
    }
}

/// Root alone may change what is not its own.
fn admin(user: &str) -> String {
    if user == "root" { "Administrator".into() } else { "None".into() }
}
