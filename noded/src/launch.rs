//! From an attempt to what the launcher starts: the words, the files, the folder, and the script on disk.

use std::ffi::{CString, OsStr};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, getgrouplist};
use proto::link::{NodeShare, Work};
use sched::ids::JobId;
use sched::spec::job::User;
use sched::spec::pattern::{FileNamePattern, PatternValues};

use crate::environment::{NodeFacts, variables};
use crate::launcher::frame::{FileSpec, Launch, Limits, RawStr, RunAs, Warning};
use crate::roster::Job;
use crate::stage::WorkFolder;

/// Where scripts are kept, one for each job, and how long a stop waits.
#[derive(Debug)]
pub struct LaunchRules {
    /// The node's folder for scripts.
    pub scripts: PathBuf,
    /// From TERM to KILL.
    pub kill_wait_ms: u64,
    /// What the environment says of this node.
    pub node: NodeFacts,
}

impl LaunchRules {
    /// What the launcher is asked for. Writes the job's script on its first task; `login` is what a login sets, where the job is to
    /// have that.
    ///
    /// # Errors
    /// When the script cannot be written, or this node cannot run tasks of the job's user.
    pub fn launch(
        &self,
        job: &Job,
        staged: Option<&WorkFolder>,
        login: &[(RawStr, RawStr)],
        now_s: i64,
    ) -> io::Result<Launch> {
        let (brief, task) = (&job.brief, &job.task);
        let user = run_as(&brief.user)?;
        let mut env = variables(job, &self.node, login, now_s);
        if let Some(staged) = staged {
            env.push(("COVEY_IN".into(), staged.input().into()));
            env.push(("COVEY_OUT".into(), staged.output().into()));
        }
        let argv: Vec<RawStr> = match &brief.work {
            Work::Script { text, arguments } => {
                let script = self.script(brief.job, text, user.as_ref())?;
                std::iter::once(script.into()).chain(arguments.iter().map(|word| word.as_str().into())).collect()
            }
            Work::Command(words) => {
                let words: Vec<String> = words.iter().map(|word| fill_words(word, staged)).collect();
                let path = variable(&env, "PATH");
                let program = find_program(&words[0], path, Path::new(&brief.files.work_dir));
                std::iter::once(program.into()).chain(words[1..].iter().map(|word| word.as_str().into())).collect()
            }
            // Whatever may be installed here: this program can wait as well as any other.
            Work::Allocation => vec!["/proc/self/exe".into(), "stepd".into(), "--hold".into()],
            Work::Op(op) => unreachable!("the op {op} runs in this process, and is never launched"),
        };
        let files = self.files(job);
        Ok(Launch {
            key: job.key().into(),
            argv,
            env,
            cwd: brief.files.work_dir.as_str().into(),
            stdin: files.stdin,
            stdout: files.stdout,
            stderr: files.stderr,
            umask: brief.files.umask,
            time_limit_s: brief.time_limit.seconds(),
            kill_wait_ms: self.kill_wait_ms,
            job_label: if brief.array.is_some() {
                format!("{}_{}", brief.job, task.index)
            } else {
                task.id.to_string()
            },
            node_name: self.node.name.clone(),
            limits: limits(task.shares.first()),
            warning: brief.warning.map(warning),
            user,
            soft_limits: brief.limits.clone(),
            job_time: None,
            leased: brief.requeue,
        })
    }

    /// Drops the script of a job that is done.
    pub fn drop_job(&self, job: JobId) {
        // Nothing is there for a job without a script.
        fs::remove_dir_all(self.job_folder(job)).ok();
    }

    /// Drops the scripts that an earlier life left for jobs that are gone.
    pub fn drop_jobs_but(&self, wanted: impl Fn(JobId) -> bool) {
        let folders = fs::read_dir(&self.scripts).into_iter().flatten().flatten();
        let number = |name: &str| name.strip_prefix("job")?.parse().ok().map(JobId);
        for job in folders.filter_map(|folder| number(folder.file_name().to_str()?)).filter(|job| !wanted(*job)) {
            self.drop_job(job);
        }
    }

    fn job_folder(&self, job: JobId) -> PathBuf {
        self.scripts.join(format!("job{:05}", job.0))
    }

    /// The job's script, written once and whole: several tasks may start at the same time. It is its user's; the folder stays this
    /// process's own, so that nobody puts a link there.
    fn script(&self, job: JobId, text: &[u8], user: Option<&RunAs>) -> io::Result<PathBuf> {
        let folder = self.job_folder(job);
        let script = folder.join("slurm_script");
        if !script.exists() {
            fs::create_dir_all(&self.scripts)?;
            DirBuilder::new().recursive(true).mode(0o711).create(&folder)?;
            let aside = folder.join("slurm_script.new");
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o700).open(&aside)?;
            io::Write::write_all(&mut file, text)?;
            drop(file);
            if let Some(user) = user {
                chown(&aside, Some(user.uid), Some(user.gid))?;
            }
            fs::rename(aside, &script)?;
        }
        Ok(script)
    }

    fn files(&self, job: &Job) -> Files {
        let (brief, task) = (&job.brief, &job.task);
        let values = PatternValues {
            job_id: task.id.0,
            array_job_id: brief.job.0,
            array_index: brief.array.as_ref().map(|_| task.index),
            job_name: &brief.name,
            host: self.node.name.split('.').next().unwrap_or_default(),
            user: &brief.user.name,
            step: "batch",
            task_rank: 0,
            node_number: 0,
            restart_count: task.attempt - 1,
        };
        let path = |pattern: &FileNamePattern| match pattern.as_str() {
            "none" => PathBuf::from("/dev/null"),
            _ => pattern.path(&values, Path::new(&brief.files.work_dir)),
        };
        let named = |text: &Option<String>| text.as_ref().map(|text| path(&FileNamePattern::new(text.as_str())));
        // A run that follows another one adds to its output only when asked to, as in Slurm.
        let to = |path: PathBuf| FileSpec { path: path.into(), append: brief.files.append };
        let default = || match &brief.work {
            Work::Allocation => PathBuf::from("/dev/null"),
            Work::Script { .. } | Work::Command(_) | Work::Op(_) => {
                path(&FileNamePattern::default_output(brief.array.is_some()))
            }
        };
        Files {
            stdin: named(&brief.files.stdin).map(Into::into),
            stdout: to(named(&brief.files.stdout).unwrap_or_else(default)),
            stderr: named(&brief.files.stderr).map(to),
        }
    }
}

/// As whom a job's tasks run: as their user where this node is root's. Any other node runs what is its own user's, and root's.
pub(crate) fn run_as(user: &User) -> io::Result<Option<RunAs>> {
    let own = Uid::effective().as_raw();
    if user.uid == own {
        return Ok(None);
    }
    if own != 0 {
        let text =
            format!("this node runs tasks as uid {own} alone, and the job is of uid {}: start it as root", user.uid);
        return if user.uid == 0 { Ok(None) } else { Err(io::Error::other(text)) };
    }
    let known = nix::unistd::User::from_uid(Uid::from_raw(user.uid)).ok().flatten();
    let name = known.and_then(|known| CString::new(known.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(user.gid)).ok());
    let groups = groups.map_or_else(|| vec![user.gid], |groups| groups.into_iter().map(Gid::as_raw).collect());
    Ok(Some(RunAs { uid: user.uid, gid: user.gid, groups }))
}

/// What a task may use of this node: what it holds there. Nothing held is nothing asked for, and no limit.
pub(crate) fn limits(share: Option<&NodeShare>) -> Limits {
    Limits {
        memory_mib: share.map(|share| share.memory_mib).filter(|&mib| mib > 0),
        cpus_milli: share.map(|share| share.cpus.milli()).filter(|&milli| milli > 0),
        ..Limits::default()
    }
}

pub(crate) fn warning(warning: sched::spec::signal::Warning) -> Warning {
    let sched::spec::signal::Warning { signal, before_s, batch_only } = warning;
    Warning { signal, before_s: before_s.into(), batch_only }
}

struct Files {
    stdin: Option<RawStr>,
    stdout: FileSpec,
    stderr: Option<FileSpec>,
}

/// `{in}` and `{out}` in a word of a mapped command.
fn fill_words(word: &str, staged: Option<&WorkFolder>) -> String {
    match staged {
        None => word.to_owned(),
        Some(staged) => {
            let text = |path: PathBuf| path.to_string_lossy().into_owned();
            word.replace("{in}", &text(staged.input())).replace("{out}", &text(staged.output()))
        }
    }
}

fn variable<'a>(env: &'a [(RawStr, RawStr)], name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(known, _)| known.as_os_str() == name).map(|(_, value)| value.as_os_str())
}

/// The program's path, by `PATH` where it is a bare word. One that is not found keeps its name under the work folder, and
/// then fails to start with that name in the message.
fn find_program(word: &str, path: Option<&OsStr>, work_dir: &Path) -> PathBuf {
    if word.contains('/') {
        return work_dir.join(word);
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    let found = std::env::split_paths(path).map(|folder| work_dir.join(folder).join(word)).find(|file| file.is_file());
    found.unwrap_or_else(|| work_dir.join(word))
}
