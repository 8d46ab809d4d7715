//! The fields of `sacctmgr`, one list for all entities as in Slurm, and what each entity shows when nobody says which.
//!
//! A row is a map from a field's name to its text; what a row does not have is empty.

use std::collections::BTreeMap;

use crate::fields::Field;

/// What is known of one thing, by field.
pub(super) type Row = BTreeMap<&'static str, String>;

const fn field(name: &'static str, width: i16) -> Field<&'static str> {
    Field::new(name, width, name)
}

const fn titled(name: &'static str, header: &'static str, width: i16) -> Field<&'static str> {
    Field::titled(name, header, width, name)
}

/// The same value under another name.
const fn alias(name: &'static str, header: &'static str, width: i16, of: &'static str) -> Field<&'static str> {
    Field::titled(name, header, width, of)
}

/// Every field; a shortened name means the first that begins so.
pub(super) const FIELDS: &[Field<&str>] = &[
    field("Account", 10),
    alias("Acct", "Account", 10, "Account"),
    field("Action", 20),
    field("Actor", 10),
    titled("AdminLevel", "Admin", 9),
    field("Allocated", 9),
    field("Allowed", 10),
    titled("Classification", "Class", 9),
    field("Cluster", 10),
    titled("ClusterNodes", "Cluster Nodes", 20),
    titled("Coordinators", "Coord Accounts", 20),
    field("Comment", 20),
    field("ControlHost", 15),
    field("ControlPort", 12),
    field("Count", 6),
    titled("DefaultAccount", "Def Acct", 10),
    titled("DefaultQOS", "Def QOS", 9),
    titled("DefaultWCKey", "Def WCKey", 10),
    titled("Description", "Descr", 20),
    field("Duration", 13),
    titled("End", "TimeEnd", 19),
    field("Event", 7),
    titled("Fairshare", "Share", 9),
    field("Features", 20),
    field("Federation", 10),
    field("FedState", 12),
    field("Flags", 20),
    field("GraceTime", 10),
    field("GrpJobs", 7),
    field("GrpJobsAccrue", 13),
    field("GrpMem", 7),
    field("GrpNodes", 8),
    field("GrpCPUs", 8),
    field("GrpCPUMins", 11),
    field("GrpSubmit", 9),
    alias("GrpSubmitJobs", "GrpSubmit", 9, "GrpSubmit"),
    field("GrpTRES", 13),
    field("GrpTRESMins", 13),
    field("GrpTRESRunMins", 13),
    field("GrpWall", 11),
    field("ID", 6),
    field("Info", 20),
    field("LFT", 6),
    field("LimitFactor", 11),
    field("MaxJobs", 7),
    titled("MaxJobsPerAccount", "MaxJobsPA", 9),
    titled("MaxJobsPerUser", "MaxJobsPU", 9),
    field("MaxNodes", 8),
    field("MaxCPUs", 8),
    field("MaxCPUMins", 11),
    field("MaxSubmit", 9),
    alias("MaxSubmitJobs", "MaxSubmit", 9, "MaxSubmit"),
    titled("MaxSubmitJobsPerAccount", "MaxSubmitPA", 11),
    titled("MaxSubmitJobsPerUser", "MaxSubmitPU", 11),
    field("MaxTRES", 13),
    field("MaxTRESPerNode", 14),
    field("MaxTRESMins", 13),
    titled("MaxTRESPerAccount", "MaxTRESPA", 13),
    titled("MaxTRESPerUser", "MaxTRESPU", 13),
    alias("MaxTRESPerJob", "MaxTRES", 13, "MaxTRES"),
    field("MaxWall", 11),
    alias("MaxWallDurationPerJob", "MaxWall", 11, "MaxWall"),
    field("MinTRES", 13),
    field("Name", 10),
    field("NodeCount", 9),
    field("NodeName", 15),
    titled("Organization", "Org", 20),
    field("Partition", 10),
    field("ParentID", 8),
    titled("ParentName", "Par Name", 10),
    field("Preempt", 10),
    field("PreemptExemptTime", 19),
    field("PreemptMode", 11),
    field("Priority", 10),
    field("Problem", 40),
    field("QOS", 20),
    alias("QosLevel", "QOS", 20, "QOS"),
    field("Reason", 30),
    field("RGT", 6),
    field("RPC", 5),
    field("Server", 10),
    field("ServerType", 10),
    alias("Share", "Share", 9, "Fairshare"),
    titled("Start", "TimeStart", 19),
    field("State", 6),
    titled("TimeStamp", "Time", 19),
    alias("Time", "Time", 19, "TimeStamp"),
    alias("TimeStart", "TimeStart", 19, "Start"),
    alias("TimeEnd", "TimeEnd", 19, "End"),
    field("TRES", 20),
    field("Type", 8),
    field("UnusedWall", 10),
    field("UsageFactor", 11),
    titled("UsageThreshold", "UsageThres", 10),
    field("User", 10),
    field("WCKeys", 20),
    field("Where", 20),
];

/// Something that `sacctmgr show` knows: its name, the fewest letters that mean it, and its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entity {
    pub(super) name: &'static str,
    letters: usize,
    pub(super) fields: &'static str,
}

const ASSOCIATION: &str = "cluster,account,user,partition,fairshare,priority,grpjobs,grptres,grpsubmit,grpwall,grptresmins,\
    maxjobs,maxtres,maxtrespernode,maxsubmit,maxwall,maxtresmins,qos,defaultqos,grptresrunmins";

/// What `-s` adds to users and accounts.
pub(super) const WITH_ASSOCIATIONS: &str = ",cluster,account,partition,fairshare,priority,maxjobs,maxnodes,maxcpus,maxsubmit,\
    maxwall,maxcpumins,qos,defaultqos";

const QOS: &str = "name,priority,gracetime,preempt,preemptexempttime,preemptmode,flags%40,usagethreshold,usagefactor,grptres,\
    grptresmins,grptresrunmins,grpjobs,grpsubmit,grpwall,maxtres,maxtrespernode,maxtresmins,maxwall,maxtresperuser,\
    maxjobsperuser,maxsubmitjobsperuser,maxtresperaccount,maxjobsperaccount,maxsubmitjobsperaccount,mintres";

const CLUSTER: &str = "cluster,controlhost,controlport,rpc,fairshare,grpjobs,grptres,grpsubmit,maxjobs,maxtres,maxsubmit,\
    maxwall,qos,defaultqos";

const ENTITIES: [Entity; 16] = [
    Entity { name: "account", letters: 2, fields: "account,description,organization" },
    Entity { name: "association", letters: 2, fields: ASSOCIATION },
    Entity { name: "cluster", letters: 2, fields: CLUSTER },
    Entity { name: "configuration", letters: 3, fields: "" },
    Entity { name: "event", letters: 1, fields: "cluster,nodename,start,end,state,reason,user" },
    Entity { name: "federation", letters: 1, fields: "federation,cluster,id%2,features,fedstate" },
    Entity { name: "problem", letters: 1, fields: "cluster,account,user,problem" },
    Entity { name: "qos", letters: 1, fields: QOS },
    Entity { name: "reservation", letters: 4, fields: "cluster,name%15,tres%30,start,end,unusedwall" },
    Entity { name: "resource", letters: 4, fields: "name,server,type,count,allocated,servertype" },
    Entity { name: "runawayjobs", letters: 2, fields: "" },
    Entity { name: "stats", letters: 2, fields: "" },
    Entity { name: "transaction", letters: 2, fields: "timestamp,action,actor,where,info" },
    Entity { name: "tres", letters: 2, fields: "type,name%15,id" },
    Entity { name: "user", letters: 1, fields: "user,defaultaccount,adminlevel" },
    Entity { name: "wckey", letters: 1, fields: "name,cluster,user" },
];

/// The entity that a word means: its name, cut short or in the plural, in any case.
pub(super) fn entity(word: &str) -> Option<Entity> {
    let word = word.to_ascii_lowercase();
    let plural = |entity: &Entity| word.strip_suffix('s') == Some(entity.name);
    let means = |entity: &&Entity| (word.len() >= entity.letters && entity.name.starts_with(&word)) || plural(entity);
    ENTITIES.iter().find(means).copied()
}

/// All entities, for people.
pub(super) fn entities() -> String {
    ENTITIES.map(|entity| entity.name).join(", ")
}
