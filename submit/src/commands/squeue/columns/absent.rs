//! What Slurm has and Covey has not: sockets, federations, burst buffers and such. Each prints what Slurm prints where it is not
//! used.

use super::{Listed, none, word};
use crate::table::{Column, NO_LETTER};

/// A column that is the same for every job.
macro_rules! always {
    ($($letter:expr, $names:expr, $header:literal, $value:expr;)*) => {
        &[$(word($letter, &$names, $header, |_| $value.into())),*]
    };
}

pub(super) const COLUMNS: &[Column<Listed>] = always![
    'H', ["sockets"], "SOCKETS_PER_NODE", "*";
    'I', ["cores"], "CORES_PER_SOCKET", "*";
    'J', ["threads"], "THREADS_PER_CORE", "*";
    'z', ["sct"], "S:C:T", "*:*:*";
    'd', ["mintmpdisk"], "MIN_TMP_DISK", "0";
    'O', ["contiguous"], "CONTIGUOUS", "0";
    'X', ["corespec"], "CORE_SPEC", "N/A";
    's', ["selectjobinfo"], "", "";
    NO_LETTER, ["associd"], "ASSOC_ID", "0";
    NO_LETTER, ["boardspernode"], "BOARDS_PER_NODE", "0";
    NO_LETTER, ["burstbuffer"], "BURST_BUFFER", none();
    NO_LETTER, ["burstbufferstate"], "BURST_BUFFER_STATE", none();
    NO_LETTER, ["clusterfeature"], "CLUSTER_FEATURES", none();
    NO_LETTER, ["container"], "CONTAINER", none();
    NO_LETTER, ["containerid"], "CONTAINER_ID", none();
    NO_LETTER, ["cpus-per-tres"], "CPUS_PER_TRES", "N/A";
    NO_LETTER, ["hetjobid", "packjobid"], "HET_JOB_ID", "N/A";
    NO_LETTER, ["hetjobidset", "packjobidset"], "HET_JOB_ID_SET", "N/A";
    NO_LETTER, ["hetjoboffset", "packjoboffset"], "HET_JOB_OFFSET", "N/A";
    NO_LETTER, ["mcslabel"], "MCSLABEL", none();
    NO_LETTER, ["mem-per-tres"], "MEM_PER_TRES", "N/A";
    NO_LETTER, ["network"], "NETWORK", none();
    NO_LETTER, ["ntperboard"], "NTASKS_PER_BOARD", "0";
    NO_LETTER, ["ntpercore"], "NTASKS_PER_CORE", "N/A";
    NO_LETTER, ["ntpersocket"], "NTASKS_PER_SOCKET", "N/A";
    NO_LETTER, ["origin"], "ORIGIN", "NA";
    NO_LETTER, ["originraw"], "ORIGIN_RAW", "NA";
    NO_LETTER, ["prefer"], "PREFER", none();
    NO_LETTER, ["profile"], "PROFILE", "NotSet";
    NO_LETTER, ["reboot"], "REBOOT", "0";
    NO_LETTER, ["reqswitch"], "REQ_SWITCH", "0";
    NO_LETTER, ["siblingsactive"], "ACTIVE_SIBLINGS", "NA";
    NO_LETTER, ["siblingsactiveraw"], "ACTIVE_SIBLINGS_RAW", "NA";
    NO_LETTER, ["siblingsviable"], "VIABLE_SIBLINGS", "NA";
    // As Slurm spells it.
    NO_LETTER, ["siblingsviableraw"], "VIALBLE_SIBLINGS_RAW", "NA";
    NO_LETTER, ["sperboard"], "SOCKETS_PER_BOARD", "0";
    NO_LETTER, ["tres-bind"], "TRES_BIND", "N/A";
    NO_LETTER, ["tres-freq"], "TRES_FREQ", "N/A";
    NO_LETTER, ["tres-per-socket"], "TRES_PER_SOCKET", "N/A";
    NO_LETTER, ["wait4switch"], "WAIT4SWITCH", "0:00";
];
