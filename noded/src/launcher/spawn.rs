//! Making processes and taking note of their ends: with [`vfork`] the place of unsafe code.
//!
//! Decides nothing: [`start`] runs what it is given with files that are open already, [`reap`] says who has ended.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsStr, c_char, c_int};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::fs::Mode;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, chdir, getrlimit, setrlimit, setsid, umask};
use sched::spec::rlimit::{Limited, ResourceLimit};

use super::frame::{Launch, Outcome, Usage};
use super::grip::Entrances;
use super::identity::become_user;
use super::tree::{ATTEMPT_VARIABLE, LAUNCHER_VARIABLE};
use super::vfork;

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
    let mut image = Image::of(launch, launcher_id, &entrances)?;
    let mask = Mode::from_raw_mode(launch.umask & 0o777);
    let cwd = CString::new(launch.cwd.as_os_str().as_encoded_bytes())?;
    let complaints = complaints(&launch.soft_limits);
    let ignored = ignored_signals();
    let prepare = || {
        dup2_stdin(&streams.stdin)?;
        dup2_stdout(&streams.stdout)?;
        dup2_stderr(&streams.stderr)?;
        for entrance in &entrances.own {
            rustix::io::write(entrance, b"0")?;
        }
        for entrance in &entrances.of_tasks {
            fcntl_setfd(entrance, FdFlags::empty())?;
        }
        reset_signals(ignored);
        setsid()?;
        umask(mask);
        limit_open_files(launch.limits.open_files_max)?;
        launch.soft_limits.iter().try_for_each(set_soft_limit)?;
        complain(complaints.as_bytes());
        // From here on with the rights of the user: that one enters the folder, too.
        launch.user.as_ref().map_or(Ok(()), become_user)?;
        chdir(&cwd).or_else(|error| enter_tmp_instead(cwd.as_bytes(), error))?;
        image.execute()
    };
    // SAFETY: `prepare` makes system calls and changes nothing of this process but `image`, which is the child's; the one list that it
    // makes, of a user's groups, it drops again. The launcher has one thread.
    #[allow(
        unsafe_code,
        reason = "std would copy this process for a session of its own, which costs more than the task"
    )]
    unsafe {
        vfork::start(prepare)
    }
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
    let ignored = ignored_signals();
    let prepare = move || {
        for entrance in entrances.iter() {
            rustix::io::write(entrance, b"0")?;
        }
        reset_signals(ignored);
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
const PID_RECORD: &[u8; 26] = b"SLURM_TASK_PID=\0\0\0\0\0\0\0\0\0\0\0";
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

/// What this process ignores, which its children would ignore in turn; handlers end with an exec by themselves. It does not change:
/// nobody here sets signals once tasks are started.
fn ignored_signals() -> &'static [c_int] {
    static IGNORED: OnceLock<Vec<c_int>> = OnceLock::new();
    IGNORED.get_or_init(|| (1..=libc::SIGRTMAX()).filter(|signal| is_ignored(*signal)).collect())
}

fn is_ignored(signal: c_int) -> bool {
    // SAFETY: all zeroes is a valid sigaction, and the pointer is to a live one; a null pointer changes nothing.
    #[allow(
        unsafe_code,
        reason = "neither std nor rustix tells what is done with a signal, and nix tells it by setting it"
    )]
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// In the child: every signal does its default, and none is blocked.
fn reset_signals(ignored: &[c_int]) {
    for signal in ignored {
        // SAFETY: SIG_DFL is no code of ours.
        #[allow(unsafe_code, reason = "what the launcher ignores or inherited as ignored must not reach the task")]
        unsafe {
            libc::signal(*signal, libc::SIG_DFL);
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
    argv: Terminated,
    envp: Terminated,
    /// The last of the variables.
    pid_record: [u8; PID_RECORD.len()],
}

/// Texts, and their addresses with two null pointers behind them: one more text finds room.
struct Terminated {
    texts: Vec<CString>,
    addresses: Vec<*const c_char>,
}

impl Terminated {
    fn of(texts: Vec<CString>) -> Terminated {
        let addresses = texts.iter().map(|text| text.as_ptr()).chain([ptr::null(); 2]).collect();
        Terminated { texts, addresses }
    }
}

impl Image {
    fn of(launch: &Launch, launcher_id: &str, entrances: &Entrances) -> io::Result<Image> {
        let program = launch.argv.first().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let numbers: Vec<String> = entrances.of_tasks.iter().map(|file| file.as_raw_fd().to_string()).collect();
        let own = [
            (ATTEMPT_VARIABLE, launch.key.to_string()),
            (LAUNCHER_VARIABLE, launcher_id.to_owned()),
            (ENTRANCES_VARIABLE, numbers.join(",")),
        ];
        let own =
            own.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let given = launch.env.iter().map(|(name, value)| (name.as_os_str().as_bytes(), value.as_os_str().as_bytes()));
        // Of two with one name the later one counts.
        let variables: BTreeMap<&[u8], &[u8]> = given.chain(own).collect();
        let record = |(name, value): (&[u8], &[u8])| CString::new([name, b"=", value].concat());
        let words = launch.argv.iter().map(|word| CString::new(word.as_os_str().as_bytes()));
        let argv = words.collect::<Result<_, _>>()?;
        let variables = variables.into_iter().map(record).collect::<Result<_, _>>()?;
        Ok(Image {
            program: CString::new(program.as_os_str().as_bytes())?,
            argv: Terminated::of(argv),
            envp: Terminated::of(variables),
            pid_record: *PID_RECORD,
        })
    }

    /// In the child: executes it, with the one variable that nobody knows before. Comes back only with an error.
    fn execute(&mut self) -> io::Result<Infallible> {
        write_digits(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(), &mut self.pid_record[PID_AT..]);
        let last = self.envp.texts.len();
        self.envp.addresses[last] = self.pid_record.as_ptr().cast();
        // SAFETY: the addresses are those of texts that are kept beside them, each ended by a NUL byte, and end with a null pointer.
        #[allow(unsafe_code, reason = "a list that std or nix made here would never be freed")]
        unsafe {
            libc::execve(self.program.as_ptr(), self.argv.addresses.as_ptr(), self.envp.addresses.as_ptr());
        }
        Err(io::Error::last_os_error())
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
