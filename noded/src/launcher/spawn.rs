//! Making processes and taking note of their ends: the one file with unsafe code, and the one to replace for speed.
//!
//! Decides nothing: [`start`] runs what it is given with files that are open already, [`reap`] says who has ended.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::execve;
use rustix::fs::Mode;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, chdir, getrlimit, setrlimit, setsid, umask};
use sched::spec::rlimit::{Limited, ResourceLimit};

use super::frame::{Launch, Outcome, Usage};
use super::grip::Entrances;
use super::identity::become_user;
use super::tree::{ATTEMPT_VARIABLE, LAUNCHER_VARIABLE};

/// The variable that tells a stepd the descriptors to which its tasks write themselves, a comma list.
pub(crate) const ENTRANCES_VARIABLE: &str = "COVEY_STEP_ENTRANCES";

/// The three files of a task, open.
pub(super) struct Streams {
    pub(super) stdin: File,
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// A child that has ended.
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    pub(crate) outcome: Outcome,
    pub(crate) usage: Usage,
}

/// Starts the program of `launch` in a session of its own and returns its pid once it was executed. Through the
/// `entrances` the new process enters its control group; a stepd is told by a variable how its tasks enter theirs.
pub(super) fn start(launch: &Launch, launcher_id: &str, streams: Streams, entrances: Entrances) -> io::Result<i32> {
    let Some((program, arguments)) = launch.argv.split_first() else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let mut command = Command::new(program.as_os_str());
    command
        .args(arguments.iter().map(|word| word.as_os_str()))
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))
        .env(ATTEMPT_VARIABLE, launch.key.to_string())
        .env(LAUNCHER_VARIABLE, launcher_id)
        .stdin(streams.stdin)
        .stdout(streams.stdout)
        .stderr(streams.stderr);
    if !entrances.of_tasks.is_empty() {
        let numbers: Vec<String> = entrances.of_tasks.iter().map(|file| file.as_raw_fd().to_string()).collect();
        command.env(ENTRANCES_VARIABLE, numbers.join(","));
    }
    let mut image = Image::of(&command)?;
    let mask = Mode::from_raw_mode(launch.umask & 0o777);
    let cwd = CString::new(launch.cwd.as_os_str().as_encoded_bytes())?;
    let open_files_max = launch.limits.open_files_max;
    let (user, soft_limits) = (launch.user.clone(), launch.soft_limits.clone());
    let complaints = complaints(&soft_limits);
    let prepare = move || {
        for entrance in &entrances.own {
            rustix::io::write(entrance, b"0")?;
        }
        for entrance in &entrances.of_tasks {
            fcntl_setfd(entrance, FdFlags::empty())?;
        }
        reset_signals();
        setsid()?;
        umask(mask);
        limit_open_files(open_files_max)?;
        soft_limits.iter().try_for_each(set_soft_limit)?;
        complain(complaints.as_bytes());
        // From here on with the rights of the user: that one enters the folder, too.
        user.as_ref().map_or(Ok(()), become_user)?;
        chdir(&cwd).or_else(|error| enter_tmp_instead(cwd.as_bytes(), error))?;
        image.execute()
    };
    // SAFETY: `prepare` runs between fork and exec. It makes system calls, and allocates a few lists for them:
    // the launcher has one thread, so that nobody can hold a lock that the child needs.
    #[allow(unsafe_code, reason = "std offers no other way to enter a session of its own")]
    let child = unsafe { command.pre_exec(prepare) }.spawn()?;
    // Not waited for through `Child`: `reap` waits for all children at once, and dropping it does nothing.
    Ok(child.id().cast_signed())
}

/// A task of a step, ready to be started.
pub(crate) struct StepTask {
    /// What is executed, and its words.
    pub(crate) program: CString,
    pub(crate) argv: Vec<CString>,
    /// `NAME=value`.
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    pub(crate) umask: u32,
    /// Soft limits; those that are higher than the hard ones are lowered to them.
    pub(crate) limits: Vec<ResourceLimit>,
    pub(crate) entrances: Arc<[File]>,
    pub(crate) stdio: [Stdio; 3],
}

/// Starts a task of a step as `start` does an attempt, and tells it its own pid as `SLURM_TASK_PID`.
pub(crate) fn start_task(task: StepTask) -> io::Result<Child> {
    let StepTask { program, argv, env, cwd, umask: mask, limits, entrances, stdio } = task;
    let mut command = Command::new(OsStr::from_bytes(program.as_bytes()));
    let [stdin, stdout, stderr] = stdio;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    // Addresses, because pointers may not cross threads; what they point to moves into the closure with them.
    let address = |text: &CString| text.as_ptr().expose_provenance();
    let words: Vec<usize> = argv.iter().map(address).chain([0]).collect();
    let mut pid_record = PID_RECORD.to_vec();
    let records: Vec<usize> = env.iter().map(address).chain([pid_record.as_mut_ptr().expose_provenance(), 0]).collect();
    let prepare = move || {
        for entrance in entrances.iter() {
            rustix::io::write(entrance, b"0")?;
        }
        reset_signals();
        setsid()?;
        umask(Mode::from_raw_mode(mask & 0o777));
        for limit in &limits {
            set_soft_limit(limit)?;
        }
        chdir(&cwd).or_else(|error| enter_tmp_instead(cwd.as_bytes(), error))?;
        write_digits(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(), &mut pid_record[PID_AT..]);
        let _kept = (&argv, &env);
        // SAFETY: both lists end with a null pointer and point to texts that this closure owns, each ended by a NUL byte.
        #[allow(unsafe_code, reason = "only here, after the fork, the pid that goes into the environment is known")]
        unsafe {
            libc::execve(program.as_ptr(), words.as_ptr().cast(), records.as_ptr().cast());
        }
        Err(io::Error::last_os_error())
    };
    // SAFETY: as in `start`.
    #[allow(unsafe_code, reason = "std offers no other way to enter a session of its own")]
    unsafe { command.pre_exec(prepare) }.spawn()
}

/// `SLURM_TASK_PID=` and room for ten digits and a NUL byte.
const PID_RECORD: &[u8] = b"SLURM_TASK_PID=\0\0\0\0\0\0\0\0\0\0\0";
const PID_AT: usize = 15;

/// In the child: a number without `format!`, which allocates.
fn write_digits(number: u32, room: &mut [u8]) {
    let count = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = number;
    for digit in room[..count].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Takes one ended child, main process or orphan, off the kernel's hands; `None` when there is none at the moment.
pub(crate) fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage, and both pointers are to live variables of the types that wait4 fills.
    #[allow(unsafe_code, reason = "neither rustix nor nix has wait4, which alone tells what one child has used")]
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
    };
    if pid <= 0 {
        return None;
    }
    let outcome = if libc::WIFSIGNALED(status) {
        Outcome::Signalled { signal: libc::WTERMSIG(status) }
    } else {
        Outcome::Exited { code: libc::WEXITSTATUS(status) }
    };
    let usage = Usage {
        user_us: microseconds(usage.ru_utime),
        system_us: microseconds(usage.ru_stime),
        max_rss_kib: usage.ru_maxrss.unsigned_abs(),
    };
    Some(Reaped { pid, outcome, usage })
}

/// Marks whatever files this process inherited, so that no task inherits them in turn.
pub(super) fn close_inherited_on_exec() -> io::Result<()> {
    let first = 3u32;
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: with this flag the call closes nothing; it sets a flag on descriptors, whoever owns them.
    #[allow(unsafe_code, reason = "neither std nor rustix has close_range")]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// In the child: every signal does its default, and none is blocked.
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is no code of ours; numbers that cannot be set (KILL, STOP, libc's own) are refused harmlessly.
        #[allow(unsafe_code, reason = "what the launcher ignores or inherited as ignored must not reach the task")]
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    // Cannot fail: the set is valid.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// In the child: no more than it may have anyway, so that no privilege is needed.
fn limit_open_files(most: Option<u64>) -> io::Result<()> {
    let Some(most) = most else { return Ok(()) };
    let hard = getrlimit(Resource::Nofile).maximum;
    let most = Some(hard.map_or(most, |hard| hard.min(most)));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?)
}

/// A program, its arguments and its environment, as the kernel takes them.
struct Image {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    /// What a command would execute whose environment was cleared first.
    fn of(command: &Command) -> io::Result<Image> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let variables = command.get_envs().filter_map(|(name, value)| {
            Some(CString::new([name.as_encoded_bytes(), b"=", value?.as_encoded_bytes()].concat()))
        });
        Ok(Image {
            program: CString::new(command.get_program().as_encoded_bytes())?,
            arguments: words.map(|word| CString::new(word.as_encoded_bytes())).collect::<Result<_, _>>()?,
            environment: variables.collect::<Result<_, _>>()?,
        })
    }

    /// In the child: executes it, with the one variable that nobody knows before. Comes back only with an error.
    fn execute(&mut self) -> io::Result<()> {
        self.environment.push(CString::new(format!("SLURM_TASK_PID={}", std::process::id()))?);
        let Err(error) = execve(&self.program, &self.arguments, &self.environment);
        Err(error.into())
    }
}

/// What is said of limits that somebody named and that this node cannot give, in Slurm's words.
fn complaints(limits: &[ResourceLimit]) -> String {
    let too_high = |limit: &&ResourceLimit| limit.asked && !gives(getrlimit(resource(limit.of)).maximum, limit.value);
    let text = |limit: &ResourceLimit| {
        let value = limit.value.unwrap_or(u64::MAX);
        let name = limit.of.name();
        format!(
            "slurmstepd: error: Can't propagate RLIMIT_{name} of {value} from submit host: Operation not permitted\n"
        )
    };
    limits.iter().filter(too_high).map(text).collect()
}

/// Whether a hard limit lets a soft one be; `None` is no limit.
fn gives(hard: Option<u64>, soft: Option<u64>) -> bool {
    hard.is_none_or(|hard| soft.is_some_and(|soft| soft <= hard))
}

/// In the child: a soft limit, as far as the hard one lets it be.
fn set_soft_limit(limit: &ResourceLimit) -> io::Result<()> {
    let of = resource(limit.of);
    let maximum = getrlimit(of).maximum;
    let current = if gives(maximum, limit.value) { limit.value } else { maximum };
    Ok(setrlimit(of, Rlimit { current, maximum })?)
}

fn resource(limited: Limited) -> Resource {
    match limited {
        Limited::Cpu => Resource::Cpu,
        Limited::Fsize => Resource::Fsize,
        Limited::Data => Resource::Data,
        Limited::Stack => Resource::Stack,
        Limited::Core => Resource::Core,
        Limited::Rss => Resource::Rss,
        Limited::Nproc => Resource::Nproc,
        Limited::Nofile => Resource::Nofile,
        Limited::Memlock => Resource::Memlock,
        Limited::As => Resource::As,
    }
}

/// In the child: writes to the task's stderr.
fn complain(text: &[u8]) {
    if text.is_empty() {
        return;
    }
    // SAFETY: descriptor 2 is open in the child: std has just put the task's stderr there.
    #[allow(unsafe_code, reason = "std's handle on stderr takes a lock, which does not go with fork")]
    let stderr = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
    // Words that cannot be written are no reason not to run.
    let _ = rustix::io::write(stderr, text);
}

/// In the child: what Slurm does when the folder of a job is not there, in its words.
fn enter_tmp_instead(cwd: &[u8], error: rustix::io::Errno) -> io::Result<()> {
    let why = Errno::from_raw(error.raw_os_error()).desc();
    let pieces: [&[u8]; 5] =
        [b"slurmstepd: error: couldn't chdir to `", cwd, b"': ", why.as_bytes(), b": going to /tmp instead\n"];
    // SAFETY: descriptor 2 is open in the child: std has just put the task's stderr there.
    #[allow(unsafe_code, reason = "std's handle on stderr takes a lock, which does not go with fork")]
    let stderr = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
    // Words that cannot be written are no reason not to run.
    let _ = rustix::io::writev(stderr, &pieces.map(IoSlice::new));
    Ok(chdir(c"/tmp")?)
}

fn microseconds(time: libc::timeval) -> u64 {
    let (seconds, rest) = (time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs());
    seconds * 1_000_000 + rest
}
