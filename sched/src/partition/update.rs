//! Partitions that come, change and go: by the settings at each start of the controller, and by commands in between.
//!
//! A partition made by a command stays until it is deleted. One that the settings name gets back at each start what they say,
//! except its state once a command has set it; one that they no longer name goes. There is never more than one default. What
//! runs is left alone whatever changes: limits are looked at when something is to start.

use super::{Change, Origin, Partition};
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::Name;
use crate::refusal::Refusal;

/// So many partitions there may be; one more is refused.
pub(crate) const PARTITIONS_MAX: usize = 1_000;
/// The longest name of a partition, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// What the settings name, over what there is.
pub(crate) fn from_settings(cluster: &Cluster, mut named: Vec<Partition>) -> Vec<Event> {
    for partition in &mut named {
        if let Some(known) = cluster.partitions.get(&partition.name).filter(|known| known.state_kept) {
            (partition.state, partition.state_kept) = (known.state, true);
        }
    }
    let is_named = |name: &Name| named.iter().any(|partition| partition.name == *name);
    let others = || cluster.partitions.values().filter(|known| !is_named(&known.name));
    let gone = others().filter(|known| known.origin == Origin::Settings);
    let mut events: Vec<Event> = gone.map(|known| Event::PartitionRemoved { name: known.name.clone() }).collect();
    if named.iter().any(|partition| partition.default) {
        let made = others().filter(|known| known.origin == Origin::Command && known.default);
        events.extend(
            made.map(|known| Event::PartitionSet {
                partition: Partition { default: false, ..(**known).clone() }.into(),
            }),
        );
    } else {
        // The default that a command has chosen holds as long as the settings choose none.
        let chosen =
            named.iter_mut().find(|partition| cluster.partition(&partition.name).is_some_and(|known| known.default));
        if let Some(partition) = chosen {
            partition.default = true;
        }
    }
    let changed =
        |partition: &Partition| cluster.partitions.get(&partition.name).is_none_or(|known| **known != *partition);
    events
        .extend(named.into_iter().filter(changed).map(|partition| Event::PartitionSet { partition: partition.into() }));
    events
}

/// A new partition. As in Slurm it has no nodes until some are named.
pub(crate) fn create(cluster: &Cluster, name: Name, change: &Change) -> Result<Vec<Event>, Refusal> {
    check_name(&name)?;
    if cluster.partition(&name).is_some() {
        return Err(Refusal::PartitionExists(name.to_string()));
    }
    if cluster.partitions.len() >= PARTITIONS_MAX {
        return Err(Refusal::TooManyPartitions(PARTITIONS_MAX));
    }
    let empty = super::Members::Listed(Vec::new());
    let default = cluster.default_partition().is_none();
    let new = Partition { nodes: empty, origin: Origin::Command, default, ..Partition::new(name) };
    set(cluster, &new, change)
}

/// A change to one that is there.
pub(crate) fn update(cluster: &Cluster, name: &str, change: &Change) -> Result<Vec<Event>, Refusal> {
    let known = cluster.partition(name).ok_or_else(|| Refusal::UnknownPartition(name.to_owned()))?;
    if known.default && change.default == Some(false) {
        return Err(Refusal::TheDefault(name.to_owned()));
    }
    set(cluster, known, change)
}

/// The end of one that nothing waits or runs in.
pub(crate) fn delete(cluster: &Cluster, name: &str) -> Result<Vec<Event>, Refusal> {
    let known = cluster.partition(name).ok_or_else(|| Refusal::UnknownPartition(name.to_owned()))?;
    let jobs = cluster.jobs().filter(|job| !job.is_done() && job.terms.partitions.contains(&known.name)).count();
    if jobs > 0 {
        return Err(Refusal::PartitionInUse { name: name.to_owned(), jobs });
    }
    if known.default {
        return Err(Refusal::TheDefault(name.to_owned()));
    }
    Ok(vec![Event::PartitionRemoved { name: known.name.clone() }])
}

/// The partition as it is to be; where it becomes the default, the one before it no longer is.
fn set(cluster: &Cluster, before: &Partition, change: &Change) -> Result<Vec<Event>, Refusal> {
    let mut partition = change.applied(before).map_err(Refusal::PartitionChange)?;
    partition.state_kept |= change.state.is_some();
    let mut events = Vec::new();
    if partition.default {
        let others = cluster.partitions().filter(|other| other.default && other.name != partition.name);
        events.extend(
            others.map(|other| Event::PartitionSet {
                partition: Partition { default: false, ..(**other).clone() }.into(),
            }),
        );
    }
    events.push(Event::PartitionSet { partition: partition.into() });
    Ok(events)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let why =
            format!("{name:?} cannot name a partition: take letters, digits, . _ and -, at most {NAME_BYTES_MAX}");
        return Err(Refusal::PartitionChange(why));
    }
    Ok(())
}
