//! How facts and states become bytes: MessagePack, structs as arrays, after one byte that says which format this is. What jobs have in common
//! is written once in each piece ([`sched::shared`]).
//!
//! A new field goes to the end of its struct with a default, and then old bytes still open. Anything else is a new format
//! number, and reading the old one stays here.

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::Timestamp;
use sched::shared::together;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The format that is written. In format 2, which is still read, nothing was shared, and the rows of done tasks were a map. Format 1 was that
/// of builds before the first release, and no release reads it.
const FORMAT: u8 = 3;
/// The format before parts were shared.
const FORMAT_APART: u8 = 2;

/// All facts of one commit, and when it was made.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Record {
    /// The time of the commit.
    pub at: Timestamp,
    /// The facts, in their order.
    pub events: Vec<Event>,
}

/// Bytes that cannot be read.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// Nothing there.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// Written by a newer Covey.
    #[error("the {what} has format {format}, and this version reads up to {FORMAT}: install the newer version")]
    Newer {
        /// Record or checkpoint.
        what: &'static str,
        /// Its format.
        format: u8,
    },
    /// Written by a build from before the first release.
    #[error(
        "the {what} has format {format}, of a build from before the first release, which this version does not read: \
         finish its jobs with that build, or start in another folder"
    )]
    Older {
        /// Record or checkpoint.
        what: &'static str,
        /// Its format.
        format: u8,
    },
    /// Damaged, though its checksum holds.
    #[error("the {what} cannot be read")]
    Damaged {
        /// Record or checkpoint.
        what: &'static str,
        /// Where.
        #[source]
        source: rmp_serde::decode::Error,
    },
}

/// Packs a record of these facts.
#[must_use]
pub fn pack_record(at: Timestamp, events: &[Event]) -> Vec<u8> {
    // As the fields of a `Record` are.
    pack(&(at, events))
}

/// Unpacks a record.
///
/// # Errors
/// When it is of a newer format, or damaged.
pub fn unpack_record(bytes: &[u8]) -> Result<Record, UnpackError> {
    unpack("journal record", bytes)
}

/// Packs a state.
#[must_use]
pub fn pack_cluster(cluster: &Cluster) -> Vec<u8> {
    pack(cluster)
}

/// Unpacks a state.
///
/// # Errors
/// When it is of a newer format, or damaged.
pub fn unpack_cluster(bytes: &[u8]) -> Result<Cluster, UnpackError> {
    unpack::<Cluster>("checkpoint", bytes).map(Cluster::restored)
}

/// Packs anything that goes into the journal.
pub(crate) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    together(|| rmp_serde::encode::write(&mut bytes, value))
        .expect("memory takes what is written, and every type here can be packed");
    bytes
}

pub(crate) fn unpack<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, UnpackError> {
    let damaged = |source| UnpackError::Damaged { what, source };
    match bytes {
        [] => Err(UnpackError::Empty(what)),
        [FORMAT, packed @ ..] => together(|| rmp_serde::from_slice(packed)).map_err(damaged),
        [FORMAT_APART, packed @ ..] => rmp_serde::from_slice(packed).map_err(damaged),
        [format, ..] if *format < FORMAT_APART => Err(UnpackError::Older { what, format: *format }),
        [format, ..] => Err(UnpackError::Newer { what, format: *format }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sched::ids::{AttemptKey, JobId, NodeId};
    use sched::reason::{Ending, Outcome};
    use sched::task::Usage;

    #[test]
    fn a_transition_takes_few_bytes_and_another_format_is_refused() {
        let ended = |index| Event::Ended {
            key: AttemptKey { job: JobId(77), index, attempt: 1 },
            node: NodeId(3),
            outcome: Outcome::bare(Ending::Completed),
            age_ms: 0,
            usage: Usage::default(),
        };
        let record = Record { at: Timestamp(1_800_000_000_000), events: (0..100).map(ended).collect() };
        let mut bytes = pack_record(record.at, &record.events);
        assert_eq!(unpack_record(&bytes).expect("it opens"), record);
        assert!(bytes.len() < 100 * 40, "{} bytes for 100 ends", bytes.len());
        bytes[0] = 9;
        assert!(matches!(unpack_record(&bytes), Err(UnpackError::Newer { format: 9, .. })));
        bytes[0] = 1;
        assert!(matches!(unpack_record(&bytes), Err(UnpackError::Older { format: 1, .. })));
        bytes[0] = FORMAT;
        bytes.truncate(40);
        assert!(matches!(unpack_record(&bytes), Err(UnpackError::Damaged { .. })));
    }
}
