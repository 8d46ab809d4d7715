//! Debian's Slurm with as little in its way as its configuration allows: no authentication, no cgroups, no accounting, scheduling at
//! every submit. A controller and 8 nodes of 8 CPUs on this machine, as in item 1.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::items::Item;
use crate::items::submits::by_eight;
use crate::items::tasks::TASKS;
use crate::process::{now_ns, output, resident_mib, timed, wait_for, wait_looking_every};
use crate::report::{Report, Row, Unit, thousands};
use crate::sample::{Samples, ms, rate};
use crate::scope::Scope;

const NODES: u16 = 8;
/// As many jobs as Slurm is asked to list and cancel.
const JOBS: u32 = 10_000;
const SUBMITS: u32 = 100;
const BY_EIGHT: u32 = 1_000;
/// How often Slurm is asked for what is waited for: each question is a process, as dear as a submit.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn measure(scope: &Scope, report: &mut Report, wanted: impl Fn(&Item) -> bool) -> Result<()> {
    let mut slurm = Slurm::start(scope)?;
    if wanted(&Item::Starts) {
        slurm.starts(scope, report)?;
    }
    if wanted(&Item::Tasks) {
        slurm.tasks(scope, report)?;
    }
    if wanted(&Item::Submits) {
        slurm.submits(scope, report)?;
    }
    if wanted(&Item::Listings) {
        slurm.listings(scope, report)?;
    }
    if wanted(&Item::Memory) {
        slurm.memory(scope, report)?;
    }
    Ok(())
}

/// Its daemons, the controller first; gone when this is dropped.
struct Slurm {
    folder: PathBuf,
    /// Where its controller listens.
    port: u16,
    daemons: Vec<Child>,
}

impl Slurm {
    fn start(scope: &Scope) -> Result<Slurm> {
        let folder = scope.new_folder();
        for name in ["work", "state"] {
            fs::create_dir_all(folder.join(name)).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let host = output(&mut Command::new("hostname"))?;
        let ports = free_ports()?;
        fs::write(folder.join("slurm.conf"), configuration(&folder, &host, &ports))
            .context("cannot write slurm.conf")?;
        let mut slurm = Slurm { folder, port: ports[0], daemons: Vec::new() };
        slurm.daemons.push(slurm.spawn("slurmctld", &["-D"])?);
        for number in 0..NODES {
            fs::create_dir_all(slurm.folder.join(format!("spool/n{number}"))).context("cannot make a spool folder")?;
            slurm.daemons.push(slurm.spawn("slurmd", &["-D", "-N", &format!("n{number}")])?);
        }
        let mut listed = String::new();
        wait_looking_every(LOOK, "Slurm's nodes are idle", || {
            // Until its controller listens there is no answer.
            listed = output(slurm.command("sinfo").args(["-h", "-N", "-o", "%N %t %E"])).unwrap_or_default();
            ensure!(!listed.contains(" inval "), "Slurm does not accept its nodes:\n{listed}");
            Ok(listed.lines().filter(|line| line.contains(" idle ")).count() == usize::from(NODES))
        })
        .with_context(|| format!("sinfo says:\n{listed}"))?;
        Ok(slurm)
    }

    fn spawn(&self, name: &str, words: &[&str]) -> Result<Child> {
        let mut command = self.command(name);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("cannot start {name}: apt-get install slurm-wlm"))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(self.folder.join("work")).env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    /// A submit that waits, and is over at once when it may start.
    fn sbatch(&self, words: &[&str]) -> Command {
        let mut command = self.command("sbatch");
        command.args(["--parsable", "-o", "/dev/null"]).args(words);
        command
    }

    /// A submit of what stays in the queue.
    fn held(&self) -> Command {
        self.sbatch(&["--hold", "--wrap", "true"])
    }

    fn wait_empty(&self) -> Result<()> {
        wait_looking_every(LOOK, "Slurm's queue is empty", || Ok(output(self.command("squeue").arg("-h"))?.is_empty()))
    }

    fn tasks(&self, scope: &Scope, report: &mut Report) -> Result<()> {
        // At a tenth of the speed a tenth of the work says the same.
        let count = scope.of(TASKS) / 10;
        let mut rates = Samples::default();
        for _ in 0..scope.rounds.min(3) {
            let begun = Instant::now();
            timed(&mut self.sbatch(&[&format!("--array=0-{}", count - 1), "--wrap", "true"]))?;
            self.wait_empty()?;
            rates.add(rate(count, begun.elapsed()));
        }
        report.add(Row::new("1", format!("Slurm: array of {count}, `sh` script"), Unit::PerSecond, rates));
        Ok(())
    }

    fn starts(&self, scope: &Scope, report: &mut Report) -> Result<()> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let said = self.folder.join("now");
        // By a rename, so that it is never seen half written.
        let (program, file) = (program.display(), said.display());
        let wrap = format!("{program} now > {file}.new && mv {file}.new {file}");
        let mut times = Samples::default();
        for _ in 0..scope.rounds * 4 {
            let begun_ns = now_ns();
            timed(&mut self.sbatch(&["--wrap", &wrap]))?;
            wait_for("the job starts", || Ok(said.exists()))?;
            let text = fs::read_to_string(&said).context("the job has left no output")?;
            let started_ns: u64 = text.trim().parse().with_context(|| format!("the job has written {text:?}"))?;
            times.add(started_ns.saturating_sub(begun_ns) as f64 / 1e6);
            self.wait_empty()?;
            fs::remove_file(&said).context("cannot remove what the job has written")?;
        }
        report.add(Row::new("4", "Slurm: start of `sbatch` to the program's first word", Unit::Ms, times));
        Ok(())
    }

    fn submits(&self, scope: &Scope, report: &mut Report) -> Result<()> {
        let (mut times, mut rates) = (Samples::default(), Samples::default());
        for _ in 0..scope.rounds * scope.of(SUBMITS) {
            times.add(ms(timed(&mut self.held())?));
        }
        let count = scope.of(BY_EIGHT);
        for _ in 0..scope.rounds {
            rates.add(rate(count, by_eight(count, || timed(&mut self.held()))?));
        }
        report.add(Row::new("3", "Slurm: `sbatch`, process start to end", Unit::Ms, times));
        report.add(Row::new("3", "Slurm: `sbatch`, 8 at a time", Unit::PerSecond, rates));
        self.cancel_all().map(drop)
    }

    /// A long queue; how many jobs it has, for rows.
    fn fill(&self, scope: &Scope) -> Result<String> {
        let count = scope.of(JOBS);
        by_eight(count, || timed(&mut self.held()))?;
        Ok(thousands(count.into()))
    }

    fn listings(&self, scope: &Scope, report: &mut Report) -> Result<()> {
        let count = self.fill(scope)?;
        let mut looks = Samples::default();
        for _ in 0..scope.rounds {
            looks.add(ms(timed(&mut self.command("squeue"))?));
        }
        let cancel = [self.cancel_all()?].into_iter().collect();
        report.add(Row::new("5", format!("Slurm: `squeue`, {count} separate pending jobs"), Unit::Ms, looks));
        report.add(Row::new("5", format!("Slurm: `scancel` of {count} separate jobs"), Unit::S, cancel));
        Ok(())
    }

    fn memory(&mut self, scope: &Scope, report: &mut Report) -> Result<()> {
        let count = self.fill(scope)?;
        let memory = [resident_mib(self.daemons[0].id())?].into_iter().collect();
        let jobs = format!("{count} separate pending jobs");
        report.add(Row::new("6", format!("Slurm: slurmctld's memory, {jobs}"), Unit::MiB, memory));
        let (mut restarts, mut left) = (Samples::default(), 0);
        for _ in 0..scope.rounds {
            let (time, listed) = self.restart_killed()?;
            restarts.add(time.as_secs_f64());
            left = listed;
        }
        // It answers before it has written, so that some of what it has accepted is lost.
        let kept = format!("{} of {jobs} kept", thousands(left as f64));
        report.add(Row::new("6", format!("Slurm: restart after `kill -9` to the listing, {kept}"), Unit::S, restarts));
        self.cancel_all().map(drop)
    }

    /// Kills its controller and starts it again; how long until it has listed its jobs, and how many it has kept.
    fn restart_killed(&mut self) -> Result<(Duration, usize)> {
        self.daemons[0].kill().context("cannot kill slurmctld")?;
        self.daemons[0].wait().context("cannot wait for slurmctld")?;
        let begun = Instant::now();
        self.daemons[0] = self.spawn("slurmctld", &["-D"])?;
        // Its commands sleep for a second where nobody listens.
        let connects = || Ok(TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        wait_for("slurmctld listens", connects)?;
        let listed = output(self.command("squeue").args(["-h", "-o", "%i"]))?;
        Ok((begun.elapsed(), listed.lines().count()))
    }

    /// In how many seconds.
    fn cancel_all(&self) -> Result<f64> {
        let time = timed(self.command("scancel").args(["--user", "root"]))?.as_secs_f64();
        self.wait_empty()?;
        Ok(time)
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Steps outlive daemons, and none is left to be ended when the queue is empty.
        self.cancel_all().ok();
        for daemon in self.daemons.iter_mut().rev() {
            // The number of one that is gone may be somebody else's.
            if let (Ok(None), Some(pid)) = (daemon.try_wait(), Pid::from_raw(daemon.id().cast_signed())) {
                kill_process(pid, Signal::TERM).ok();
            }
            daemon.wait().ok();
        }
    }
}

/// One for the controller, and one for each node.
fn free_ports() -> Result<Vec<u16>> {
    // All at the same time, so that no two are the same.
    let free = || TcpListener::bind("0.0.0.0:0").context("there is no free port");
    let listeners = (0..=NODES).map(|_| free()).collect::<Result<Vec<_>>>()?;
    let port = |listener: &TcpListener| Ok(listener.local_addr().context("the port has no number")?.port());
    listeners.iter().map(port).collect()
}

fn configuration(folder: &Path, host: &str, ports: &[u16]) -> String {
    let folder = folder.display();
    let nodes = (0..NODES).map(|number| {
        let port = ports[usize::from(number) + 1];
        format!("NodeName=n{number} CPUs=8 RealMemory=2048 NodeHostname={host} Port={port}\n")
    });
    format!(
        "ClusterName=bench\nSlurmctldHost={host}\nSlurmctldPort={}\nSlurmUser=root\nAuthType=auth/none\nCredType=cred/none\n\
         StateSaveLocation={folder}/state\nSlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.%n.pid\n\
         SlurmdSpoolDir={folder}/spool/%n\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
         SchedulerType=sched/backfill\nSchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\nReturnToService=2\nMaxJobCount=200000\n\
         MaxArraySize=20001\nMinJobAge=2\nSlurmdParameters=config_overrides\n\
         {}PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
        ports[0],
        nodes.collect::<String>()
    )
}
