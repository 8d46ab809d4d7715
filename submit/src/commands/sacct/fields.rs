//! The fields of `sacct` with Slurm's names and widths (sacct(1)). What Covey knows nothing of is there all the same, and empty.
//! Start at [`FIELDS`].

use super::entry::{Entry, cpu_time, cpu_us, padded};
use crate::fields::Field;
use crate::row::restarts;

/// What is shown when nobody asks for anything else.
pub(super) const DEFAULT: &str = "jobid,jobname,partition,account,alloccpus,state,exitcode";
/// `--brief`.
pub(super) const BRIEF: &str = "jobid,state,exitcode";
/// `--completion`.
pub(super) const COMPLETION: &str = "jobid,uid,jobname,partition,nnodes,nodelist,state,end";
/// `--long`.
pub(super) const LONG: &str = "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,\
    maxrssnode,maxrsstask,averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,\
    alloccpus,elapsed,state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,\
    maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,\
    reqtres,alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,\
    tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask,\
    tresusageoutave,tresusageouttot";

/// Makes the text of a field.
pub(super) type Value = fn(&Entry<'_>) -> String;

const fn field(name: &'static str, width: i16, value: Value) -> Field<Value> {
    Field::new(name, width, value)
}

/// A field of Slurm's that Covey has no value for.
const fn empty(name: &'static str, width: i16) -> Field<Value> {
    Field::new(name, width, |_| String::new())
}

/// Every field, in Slurm's order: a shortened name means the first that begins so.
pub(crate) const FIELDS: &[Field<Value>] = &[
    field("Account", 10, |it| it.row.account.clone()),
    field("AdminComment", 15, |it| it.detail(|detail| &detail.admin_comment)),
    field("AllocCPUS", 10, |it| it.cpus().to_string()),
    field("AllocNodes", 10, |it| if it.started() { it.node_count() } else { 0 }.to_string()),
    field("AllocTRES", 10, |it| it.allocated_tres()),
    empty("AssocID", 7),
    field("AveCPU", 10, |it| it.mean_cpu()),
    empty("AveCPUFreq", 10),
    field("AveDiskRead", 14, |it| it.of_one_task(|| it.step_bytes(|usage| usage.bytes_in))),
    field("AveDiskWrite", 14, |it| it.of_one_task(|| it.step_bytes(|usage| usage.bytes_out))),
    empty("AvePages", 10),
    field("AveRSS", 10, |it| it.of_one_task(|| it.step_bytes(|usage| usage.rss_kib_max * 1024))),
    empty("AveVMSize", 10),
    empty("BlockID", 16),
    field("Cluster", 10, |it| it.shown.cluster.clone()),
    field("Comment", 14, |it| it.detail(|detail| &detail.comment)),
    field("Constraints", 19, |it| it.detail(|detail| &detail.constraint)),
    empty("ConsumedEnergy", 14),
    empty("ConsumedEnergyRaw", 17),
    empty("Container", 19),
    field("CPUTime", 10, |it| padded(it.cpu_time_s())),
    field("CPUTimeRAW", 10, |it| it.cpu_time_s().to_string()),
    empty("DBIndex", -10),
    // The highest exit code of the steps that srun starts; the batch script is none of them.
    field("DerivedExitCode", 15, |it| {
        it.of_job(|row| format!("{}:{}", row.derived_exit_code, row.derived_exit_signal))
    }),
    field("Elapsed", 10, |it| padded(it.elapsed_s())),
    field("ElapsedRaw", 10, |it| it.elapsed_s().to_string()),
    field("Eligible", 19, |it| it.eligible_time()),
    field("End", 19, |it| it.end_time()),
    field("ExitCode", 8, |it| it.exit_code()),
    field("Extra", 19, |it| it.detail(|detail| &detail.extra)),
    empty("FailedNode", 19),
    empty("Flags", 19),
    field("GID", 6, |it| it.of_job(|row| row.gid.to_string())),
    field("Group", 9, |it| it.of_job(|row| row.group.clone())),
    field("JobID", -12, |it| it.id(false)),
    field("JobIDRaw", -12, |it| it.id(true)),
    field("JobName", 10, |it| it.name()),
    empty("Layout", 9),
    field("Licenses", 20, |it| it.detail(|detail| &detail.licenses)),
    field("MaxDiskRead", 12, |it| it.of_one_task(|| it.step_bytes(|usage| usage.bytes_in))),
    field("MaxDiskReadNode", 15, |it| it.of_step(Entry::only_node)),
    field("MaxDiskReadTask", 15, |it| it.of_step(Entry::only_task)),
    field("MaxDiskWrite", 12, |it| it.of_one_task(|| it.step_bytes(|usage| usage.bytes_out))),
    field("MaxDiskWriteNode", 16, |it| it.of_step(Entry::only_node)),
    field("MaxDiskWriteTask", 16, |it| it.of_step(Entry::only_task)),
    empty("MaxPages", 8),
    empty("MaxPagesNode", 12),
    empty("MaxPagesTask", 14),
    field("MaxRSS", 10, |it| it.step_bytes(|usage| usage.rss_kib_max * 1024)),
    field("MaxRSSNode", 10, |it| it.of_step(Entry::only_node)),
    field("MaxRSSTask", 10, |it| it.of_step(Entry::only_task)),
    empty("MaxVMSize", 10),
    empty("MaxVMSizeNode", 14),
    empty("MaxVMSizeTask", 14),
    empty("McsLabel", 12),
    field("MinCPU", 10, |it| it.of_one_task(|| it.mean_cpu())),
    field("MinCPUNode", 10, |it| it.of_step(Entry::only_node)),
    field("MinCPUTask", 10, |it| it.of_step(Entry::only_task)),
    field("NCPUS", 10, |it| it.cpus().to_string()),
    field("NNodes", 8, |it| it.node_count().to_string()),
    field("NodeList", 15, |it| it.nodes()),
    field("NTasks", 8, |it| it.of_step(|it| it.tasks().to_string())),
    field("Partition", 10, |it| it.of_job(|row| row.partition.clone())),
    field("Planned", 10, planned),
    field("PlannedCPU", 10, planned_cpu),
    field("PlannedCPURAW", 10, planned_cpu_raw),
    field("Priority", 10, |it| it.of_job(|row| row.priority.to_string())),
    field("QOS", 10, |it| it.of_job(|row| row.qos.clone())),
    empty("QOSRAW", 6),
    field("QOSREQ", 20, |it| it.of_job(|row| row.qos.clone())),
    field("Reason", 22, |it| it.of_job(|row| row.reason.clone())),
    empty("ReqCPUFreq", 10),
    empty("ReqCPUFreqGov", 13),
    empty("ReqCPUFreqMax", 13),
    empty("ReqCPUFreqMin", 13),
    field("ReqCPUS", 8, |it| it.requested_cpus().to_string()),
    field("ReqMem", 10, |it| it.of_job(|_| it.requested_memory())),
    field("ReqNodes", 8, |it| it.node_count().to_string()),
    field("ReqTRES", 10, |it| it.requested_tres()),
    field("ReqReservation", 20, |it| it.of_job(|row| row.reservation.clone())),
    field("Reservation", 20, |it| it.of_job(|row| row.reservation.clone())),
    empty("ReservationId", 8),
    field("Reserved", 10, planned),
    field("ResvCPU", 10, planned_cpu),
    field("ResvCPURAW", 10, planned_cpu_raw),
    field("Restarts", 8, |it| it.of_job(|row| restarts(row).to_string())),
    empty("SegmentSize", 11),
    empty("SLUID", 15),
    field("Start", 19, |it| it.start_time()),
    field("State", 10, |it| it.state()),
    field("StdErr", 20, |it| it.detail(|detail| &detail.stderr)),
    field("StdIn", 20, |it| it.detail(|detail| &detail.stdin)),
    field("StdOut", 20, |it| it.detail(|detail| &detail.stdout)),
    field("Submit", 19, |it| it.submit_time()),
    field("SubmitLine", 20, |it| it.detail(|detail| &detail.submit_line)),
    field("Suspended", 10, |it| padded(it.suspended_s())),
    empty("SystemComment", 15),
    field("SystemCPU", 10, |it| it.usage().map(|usage| cpu_time(usage.system_us)).unwrap_or_default()),
    field("Timelimit", 10, |it| it.of_job(|_| it.time_limit())),
    field("TimelimitRaw", 10, |it| {
        it.of_job(|row| row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| minutes.to_string()))
    }),
    field("TotalCPU", 10, |it| it.usage().map(|usage| cpu_time(cpu_us(&usage))).unwrap_or_default()),
    field("TRESUsageInAve", 14, |it| it.of_one_task(|| it.usage_in(true))),
    field("TRESUsageInMax", 14, |it| it.of_one_task(|| it.usage_in(false))),
    field("TRESUsageInMaxNode", 18, |it| it.place_in(&it.of_step(Entry::only_node))),
    field("TRESUsageInMaxTask", 18, |it| it.place_in(&it.of_step(Entry::only_task))),
    field("TRESUsageInMin", 14, |it| it.of_one_task(|| it.usage_in(false))),
    field("TRESUsageInMinNode", 18, |it| it.place_in(&it.of_step(Entry::only_node))),
    field("TRESUsageInMinTask", 18, |it| it.place_in(&it.of_step(Entry::only_task))),
    field("TRESUsageInTot", 14, |it| it.of_one_task(|| it.usage_in(false))),
    field("TRESUsageOutAve", 15, |it| it.usage_out(true)),
    field("TRESUsageOutMax", 15, |it| it.of_one_task(|| it.usage_out(false))),
    field("TRESUsageOutMaxNode", 19, |it| it.place_out(&it.of_step(Entry::only_node))),
    field("TRESUsageOutMaxTask", 19, |it| it.place_out(&it.of_step(Entry::only_task))),
    field("TRESUsageOutMin", 15, |it| it.of_one_task(|| it.usage_out(false))),
    field("TRESUsageOutMinNode", 19, |it| it.place_out(&it.of_step(Entry::only_node))),
    field("TRESUsageOutMinTask", 19, |it| it.place_out(&it.of_step(Entry::only_task))),
    field("TRESUsageOutTot", 15, |it| it.usage_out(false)),
    field("UID", 6, |it| it.of_job(|row| row.uid.to_string())),
    field("User", 9, |it| it.of_job(|row| row.user.clone())),
    field("UserCPU", 10, |it| it.usage().map(|usage| cpu_time(usage.user_us)).unwrap_or_default()),
    field("WCKey", 10, |it| it.of_job(|row| row.wckey.clone())),
    empty("WCKeyID", 10),
    field("WorkDir", 20, |it| it.detail(|detail| &detail.work_dir)),
];

/// How long it waited for its turn.
fn planned(it: &Entry<'_>) -> String {
    it.of_job(|_| it.planned_s().map(padded).unwrap_or_default())
}

fn planned_cpu(it: &Entry<'_>) -> String {
    it.of_job(|row| it.planned_s().map(|seconds| padded(seconds * u64::from(row.cpus))).unwrap_or_default())
}

fn planned_cpu_raw(it: &Entry<'_>) -> String {
    it.of_job(|row| it.planned_s().map(|seconds| (seconds * u64::from(row.cpus)).to_string()).unwrap_or_default())
}

impl Entry<'_> {
    /// The text of the field with this name, in any case.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let field = FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| (field.value)(self))
    }
}
