//! Whose job it is, what it is called, and where its files are.

use super::{Listed, detail, detail_or, none, whole, word};
use crate::row::{array_or_job, id_within, tasks_within};
use crate::show::or_null;
use crate::table::{Column, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    word('A', &["jobid"], "JOBID", |it| it.row.id.to_string()),
    word('i', &["jobarrayid"], "JOBID", |it| id_within(&it.row, it.shown.list_bytes_max)),
    word('F', &["arrayjobid"], "ARRAY_JOB_ID", |it| array_or_job(&it.row).to_string()),
    word('K', &["arraytaskid"], "ARRAY_TASK_ID", |it| {
        tasks_within(&it.row, it.shown.list_bytes_max).unwrap_or_else(|| "N/A".into())
    }),
    word('j', &["name", "jobname"], "NAME", |it| or_null(&it.row.name)),
    word('u', &["username"], "USER", |it| it.row.user.clone()),
    word('U', &["userid"], "UID", |it| it.row.uid.to_string()),
    word('g', &["groupname"], "GROUP", |it| it.row.group.clone()),
    word('G', &["groupid"], "GROUP", |it| it.row.gid.to_string()),
    word('a', &["account"], "ACCOUNT", |it| or_null(&it.row.account)),
    word('q', &["qos"], "QOS", |it| or_null(&it.row.qos)),
    word('w', &["wckey"], "WCKEY", |it| or_null(&it.row.wckey)),
    word('v', &["reservation"], "RESERVATION", |it| or_null(&it.row.reservation)),
    word('P', &["partition"], "PARTITION", |it| it.row.partition.clone()),
    word('k', &["comment"], "COMMENT", |it| detail(it, |detail| &detail.comment)),
    word('o', &["command"], "COMMAND", |it| detail(it, |detail| &detail.command)),
    word('Z', &["workdir"], "WORK_DIR", |it| detail(it, |detail| &detail.work_dir)),
    word(NO_LETTER, &["stdin"], "STDIN", |it| detail_or(it, |detail| &detail.stdin, "/dev/null")),
    word(NO_LETTER, &["stdout"], "STDOUT", |it| detail_or(it, |detail| &detail.stdout, "")),
    word(NO_LETTER, &["stderr"], "STDERR", |it| detail_or(it, |detail| &detail.stderr, "")),
    word(NO_LETTER, &["extra"], "EXTRA", |it| detail(it, |detail| &detail.extra)),
    word(NO_LETTER, &["admin_comment"], "ADMIN_COMMENT", |_| none()),
    word(NO_LETTER, &["system_comment"], "SYSTEM_COMMENT", |_| none()),
    word(NO_LETTER, &["cluster"], "CLUSTER", |it| it.shown.cluster.clone()),
    word(NO_LETTER, &["allocnodes"], "ALLOC_NODES", |it| detail(it, |detail| &detail.submit_host)),
    word(NO_LETTER, &["allocsid"], "ALLOC_SID", |it| {
        it.row.detail.as_ref().map_or(0, |detail| detail.submit_session).to_string()
    }),
    word(NO_LETTER, &["batchflag"], "BATCH_FLAG", |it| {
        u8::from(it.row.detail.as_ref().is_some_and(|detail| detail.batch)).to_string()
    }),
    whole('n', &["reqnodes"], "REQ_NODES", |it| detail_or(it, |detail| &detail.nodes_asked, "")),
    whole('x', &["excnodes"], "EXC_NODES", |it| detail_or(it, |detail| &detail.nodes_excluded, "")),
];
