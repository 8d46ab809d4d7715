//! The fields of `sacct` with Slurm's names and widths (sacct(1)). What Covey knows nothing of is there all the same, and empty.
//! Start at [`FIELDS`].

use super::entry::{Entry, cpu_time, padded};
use crate::commands::squeue::columns::restarts;

/// What is shown when nobody asks for anything else.
pub(super) const DEFAULT: &str = "jobid,jobname,partition,account,alloccpus,state,exitcode";
/// `--brief`.
pub(super) const BRIEF: &str = "jobid,state,exitcode";
/// `--long`.
pub(super) const LONG: &str = "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,\
    maxrssnode,maxrsstask,averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,\
    alloccpus,elapsed,state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,\
    maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,\
    reqtres,alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,\
    tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask,\
    tresusageoutave,tresusageouttot";

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name, which is its header.
    pub(super) name: &'static str,
    /// Characters; less than nothing aligns left.
    pub(super) width: i16,
    pub(super) value: fn(&Entry<'_>) -> String,
}

const fn field(name: &'static str, width: i16, value: fn(&Entry<'_>) -> String) -> Field {
    Field { name, width, value }
}

/// A field of Slurm's that Covey has no value for.
const fn empty(name: &'static str, width: i16) -> Field {
    Field { name, width, value: |_| String::new() }
}

/// Every field, in Slurm's order: a shortened name means the first that begins so.
pub(super) const FIELDS: &[Field] = &[
    empty("Account", 10),
    empty("AdminComment", 19),
    field("AllocCPUS", 10, |it| it.cpus().to_string()),
    field("AllocNodes", 10, |it| if it.started() { it.row.node_count } else { 0 }.to_string()),
    field("AllocTRES", 10, |it| it.allocated_tres()),
    empty("AssocID", 7),
    field("AveCPU", 10, |it| it.of_step(|_| it.usage(|usage| padded((usage.user_us + usage.system_us) / 1_000_000)))),
    empty("AveCPUFreq", 10),
    field("AveDiskRead", 14, |it| it.step_bytes(|usage| usage.bytes_in)),
    field("AveDiskWrite", 14, |it| it.step_bytes(|usage| usage.bytes_out)),
    empty("AvePages", 10),
    field("AveRSS", 10, |it| it.step_bytes(|usage| usage.rss_kib_max * 1024)),
    empty("AveVMSize", 10),
    empty("BlockID", 16),
    field("Cluster", 10, |it| it.shown.cluster.clone()),
    field("Comment", 14, |it| it.of_job(|_| it.detail(|detail| &detail.comment))),
    empty("Constraints", 19),
    empty("ConsumedEnergy", 14),
    empty("ConsumedEnergyRaw", 17),
    empty("Container", 10),
    field("CPUTime", 10, |it| padded(it.cpu_time_s())),
    field("CPUTimeRAW", 10, |it| it.cpu_time_s().to_string()),
    empty("DBIndex", 10),
    // The highest exit code of the steps that srun starts; the batch script is none of them, and there are no others yet.
    field("DerivedExitCode", 15, |it| it.of_job(|_| "0:0".into())),
    field("Elapsed", 10, |it| padded(it.elapsed_s())),
    field("ElapsedRaw", 10, |it| it.elapsed_s().to_string()),
    field("Eligible", 19, |it| it.eligible_time()),
    field("End", 19, |it| it.end_time()),
    field("ExitCode", 8, |it| it.exit_code()),
    empty("Extra", 19),
    empty("FailedNode", 19),
    empty("Flags", 20),
    field("GID", 6, |it| it.of_job(|row| row.gid.to_string())),
    field("Group", 9, |it| it.of_job(|row| row.group.clone())),
    field("JobID", -12, |it| it.id(false)),
    field("JobIDRaw", -12, |it| it.id(true)),
    field("JobName", 10, |it| it.name()),
    empty("Layout", 9),
    empty("Licenses", 20),
    field("MaxDiskRead", 12, |it| it.step_bytes(|usage| usage.bytes_in)),
    empty("MaxDiskReadNode", 15),
    empty("MaxDiskReadTask", 15),
    field("MaxDiskWrite", 12, |it| it.step_bytes(|usage| usage.bytes_out)),
    empty("MaxDiskWriteNode", 16),
    empty("MaxDiskWriteTask", 16),
    empty("MaxPages", 8),
    empty("MaxPagesNode", 12),
    empty("MaxPagesTask", 14),
    field("MaxRSS", 10, |it| it.step_bytes(|usage| usage.rss_kib_max * 1024)),
    field("MaxRSSNode", 10, |it| it.of_step(|row| it.usage(|_| row.batch_host.clone()))),
    field("MaxRSSTask", 10, |it| it.of_step(|_| it.usage(|_| "0".into()))),
    empty("MaxVMSize", 10),
    empty("MaxVMSizeNode", 14),
    empty("MaxVMSizeTask", 14),
    empty("McsLabel", 10),
    field("MinCPU", 10, |it| it.of_step(|_| it.usage(|usage| padded((usage.user_us + usage.system_us) / 1_000_000)))),
    field("MinCPUNode", 10, |it| it.of_step(|row| it.usage(|_| row.batch_host.clone()))),
    field("MinCPUTask", 10, |it| it.of_step(|_| it.usage(|_| "0".into()))),
    field("NCPUS", 10, |it| it.cpus().to_string()),
    field("NNodes", 8, |it| if it.step_name().is_some() { 1 } else { it.row.node_count }.to_string()),
    field("NodeList", 15, |it| if it.step_name().is_some() { it.row.batch_host.clone() } else { it.nodes() }),
    field("NTasks", 8, |it| it.of_step(|_| "1".into())),
    field("Partition", 10, |it| it.of_job(|row| row.partition.clone())),
    field("Planned", 10, |it| it.of_job(|_| it.planned())),
    empty("PlannedCPU", 10),
    empty("PlannedCPURAW", 10),
    field("Priority", 10, |it| it.of_job(|row| row.priority.to_string())),
    empty("QOS", 10),
    empty("QOSRAW", 10),
    empty("QOSREQ", 20),
    field("Reason", 22, |it| it.of_job(|row| row.reason.clone())),
    empty("ReqCPUFreq", 10),
    empty("ReqCPUFreqGov", 13),
    empty("ReqCPUFreqMax", 13),
    empty("ReqCPUFreqMin", 13),
    field("ReqCPUS", 8, |it| it.row.cpus.to_string()),
    field("ReqMem", 10, |it| it.of_job(|_| it.requested_memory())),
    field("ReqNodes", 8, |it| it.row.node_count.to_string()),
    field("ReqTRES", 10, |it| it.of_job(|_| it.requested_tres())),
    empty("ReqReservation", 20),
    empty("Reservation", 20),
    empty("ReservationId", 8),
    field("Restarts", 8, |it| it.of_job(|row| restarts(row).to_string())),
    empty("SegmentSize", 11),
    empty("SLUID", 15),
    field("Start", 19, |it| it.start_time()),
    field("State", 10, |it| it.state()),
    field("StdErr", 20, |it| it.of_job(|_| it.detail(|detail| &detail.stderr))),
    field("StdIn", 20, |it| it.of_job(|_| it.detail(|detail| &detail.stdin))),
    field("StdOut", 20, |it| it.of_job(|_| it.detail(|detail| &detail.stdout))),
    field("Submit", 19, |it| it.submit_time()),
    empty("SubmitLine", 20),
    field("Suspended", 10, |it| padded(it.suspended_s())),
    empty("SystemComment", 19),
    field("SystemCPU", 10, |it| it.usage(|usage| cpu_time(usage.system_us))),
    field("Timelimit", 10, |it| it.of_job(|_| it.time_limit())),
    field("TimelimitRaw", 12, |it| {
        it.of_job(|row| row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| minutes.to_string()))
    }),
    field("TotalCPU", 10, |it| it.usage(|usage| cpu_time(usage.user_us + usage.system_us))),
    empty("TRESUsageInAve", 14),
    empty("TRESUsageInMax", 14),
    empty("TRESUsageInMaxNode", 18),
    empty("TRESUsageInMaxTask", 18),
    empty("TRESUsageInMin", 14),
    empty("TRESUsageInMinNode", 18),
    empty("TRESUsageInMinTask", 18),
    empty("TRESUsageInTot", 14),
    empty("TRESUsageOutAve", 15),
    empty("TRESUsageOutMax", 15),
    empty("TRESUsageOutMaxNode", 19),
    empty("TRESUsageOutMaxTask", 19),
    empty("TRESUsageOutMin", 15),
    empty("TRESUsageOutMinNode", 19),
    empty("TRESUsageOutMinTask", 19),
    empty("TRESUsageOutTot", 15),
    field("UID", 6, |it| it.of_job(|row| row.uid.to_string())),
    field("User", 9, |it| it.of_job(|row| row.user.clone())),
    field("UserCPU", 10, |it| it.usage(|usage| cpu_time(usage.user_us))),
    empty("WCKey", 10),
    empty("WCKeyID", 8),
    field("WorkDir", 20, |it| it.of_job(|_| it.detail(|detail| &detail.work_dir))),
];

/// The field that a name, or the beginning of one, means.
pub(super) fn find(name: &str) -> Option<&'static Field> {
    let begins = |field: &&Field| field.name.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let exact = FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    exact.or_else(|| FIELDS.iter().find(begins).filter(|_| !name.is_empty()))
}

/// All names, four a line: `--helpformat`.
pub(super) fn overview() -> String {
    let line = |fields: &[Field]| {
        let names: String = fields.iter().map(|field| format!("{:<20}", field.name)).collect();
        names.trim_end().to_owned() + "\n"
    };
    FIELDS.chunks(4).map(line).collect()
}
