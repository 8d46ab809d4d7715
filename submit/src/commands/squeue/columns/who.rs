//! Whose job it is, what it is called, and where its files are.

use super::{Listed, detail, detail_or, known, lent, none, whole, word, written};
use crate::row::{array_or_job, id_within, tasks_within};
use crate::show::push_number;
use crate::table::{Column, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    written('A', &["jobid"], "JOBID", |it, text| push_number(text, it.row.id.into())),
    written('i', &["jobarrayid"], "JOBID", |it, text| match it.row.array_id {
        0 => push_number(text, it.row.id.into()),
        _ => text.push_str(&id_within(&it.row, it.shown.list_bytes_max)),
    }),
    written('F', &["arrayjobid"], "ARRAY_JOB_ID", |it, text| push_number(text, array_or_job(&it.row).into())),
    word('K', &["arraytaskid"], "ARRAY_TASK_ID", |it| {
        tasks_within(&it.row, it.shown.list_bytes_max).unwrap_or_else(|| "N/A".into())
    }),
    lent('j', &["name", "jobname"], "NAME", |it| known(&it.row.name)),
    lent('u', &["username"], "USER", |it| &it.row.user),
    written('U', &["userid"], "UID", |it, text| push_number(text, it.row.uid.into())),
    lent('g', &["groupname"], "GROUP", |it| &it.row.group),
    written('G', &["groupid"], "GROUP", |it, text| push_number(text, it.row.gid.into())),
    lent('a', &["account"], "ACCOUNT", |it| known(&it.row.account)),
    lent('q', &["qos"], "QOS", |it| known(&it.row.qos)),
    lent('w', &["wckey"], "WCKEY", |it| known(&it.row.wckey)),
    lent('v', &["reservation"], "RESERVATION", |it| known(&it.row.reservation)),
    lent('P', &["partition"], "PARTITION", |it| &it.row.partition),
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
