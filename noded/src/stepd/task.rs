//! Starting one task: its program, its environment, and its three streams.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use super::order::{StepOrder, Stream, TaskOrder};
use crate::launcher::frame::RawStr;
use crate::launcher::spawn::{StepTask, start_task};
use crate::launcher::{ATTEMPT_VARIABLE, LAUNCHER_VARIABLE};

/// What all tasks are started with.
pub(super) struct Starter<'a> {
    pub(super) order: &'a StepOrder,
    pub(super) entrances: Arc<[File]>,
    /// Files that are open already: tasks that write to the same one do not empty it under each other.
    opened: BTreeMap<PathBuf, File>,
}

/// A task that was started, and our ends of its streams.
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

/// Why a task has not come to run.
pub(super) enum StartFailure {
    /// A file of it cannot be opened.
    Stream { what: &'static str, path: PathBuf, error: io::Error },
    /// Its program cannot be executed.
    Exec { words: String, error: io::Error, stderr: Option<File> },
}

impl<'a> Starter<'a> {
    pub(super) fn new(order: &'a StepOrder, entrances: Arc<[File]>) -> Starter<'a> {
        Starter { order, entrances, opened: BTreeMap::new() }
    }

    /// Starts the task with this number on the node.
    pub(super) fn start(&mut self, local: usize, task: &TaskOrder) -> Result<Started, StartFailure> {
        let (stdin, to_stdin) = self.input(&task.stdin)?;
        let (stdout, from_stdout) = self.output("stdout", &task.stdout)?;
        let (stderr, from_stderr) = self.output("stderr", &task.stderr)?;
        let own_stderr = match &task.stderr {
            Stream::File(path) => self.opened.get(&self.path(path)).and_then(|file| file.try_clone().ok()),
            Stream::Null | Stream::Srun => None,
        };
        let failed = |error| {
            let words = task.words.first().cloned().unwrap_or_default();
            StartFailure::Exec { words, error, stderr: own_stderr }
        };
        let ready = self.ready(local, task, [stdin, stdout, stderr]);
        let child = ready.map_err(io::Error::other).and_then(start_task).map_err(failed)?;
        Ok(Started { pid: child.id().cast_signed(), stdin: to_stdin, stdout: from_stdout, stderr: from_stderr })
    }

    fn ready(&self, local: usize, task: &TaskOrder, stdio: [Stdio; 3]) -> Result<StepTask, NulError> {
        let order = self.order;
        let program = self.program(task.words.first().map_or("", String::as_str));
        Ok(StepTask {
            program: CString::new(program.as_os_str().as_bytes())?,
            argv: task.words.iter().map(|word| CString::new(word.as_str())).collect::<Result<_, _>>()?,
            env: self.environment(local, task)?,
            cwd: CString::new(order.work_dir.as_os_str().as_bytes())?,
            umask: order.umask,
            limits: order.limits.clone(),
            entrances: self.entrances.clone(),
            stdio,
        })
    }

    /// What every task has, and what this one has of its own. Its pid is added at the last moment.
    fn environment(&self, local: usize, task: &TaskOrder) -> Result<Vec<CString>, NulError> {
        let record = |name: &OsStr, value: &OsStr| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat());
        let marker = |name: &'static str| Some((name.to_owned(), std::env::var(name).ok()?));
        let own = [("SLURM_PROCID", task.rank.to_string()), ("SLURM_LOCALID", local.to_string())];
        let own = own.map(|(name, value)| (name.to_owned(), value)).into_iter();
        // By these the launcher knows what belongs to the step.
        let own: Vec<(String, String)> =
            own.chain([ATTEMPT_VARIABLE, LAUNCHER_VARIABLE].into_iter().filter_map(marker)).collect();
        let is_own = |name: &OsStr| name == "SLURM_TASK_PID" || own.iter().any(|(known, _)| OsStr::new(known) == name);
        let all = self.order.environment.iter().filter(|(name, _)| !is_own(name.as_os_str()));
        let all = all.map(|(name, value)| record(name.as_os_str(), value.as_os_str()));
        all.chain(own.iter().map(|(name, value)| record(name.as_ref(), value.as_ref()))).collect()
    }

    /// The program's path: as it is if there is a slash in it, else by `PATH`, else in the folder where the task runs. One
    /// that is not there keeps its name, and fails under it.
    fn program(&self, word: &str) -> PathBuf {
        let dir = self.order.work_dir.as_path();
        if word.contains('/') {
            return dir.join(word);
        }
        let path = self.order.environment.iter().find(|(name, _)| name.as_os_str() == "PATH");
        let path = path.map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |(_, value)| value.as_os_str());
        let folders = std::env::split_paths(path).map(|folder| dir.join(folder));
        folders.chain([dir.to_owned()]).map(|dir| dir.join(word)).find(|file| file.is_file()).unwrap_or(word.into())
    }

    fn path(&self, path: &RawStr) -> PathBuf {
        self.order.work_dir.as_path().join(path.as_path())
    }

    fn input(&self, stream: &Stream) -> Result<(Stdio, Option<PipeWriter>), StartFailure> {
        let failed = |path: &Path, error| StartFailure::Stream { what: "stdin", path: path.to_owned(), error };
        match stream {
            Stream::Null => Ok((Stdio::null(), None)),
            Stream::Srun => {
                let (reader, writer) = io::pipe().map_err(|error| failed(Path::new("a pipe"), error))?;
                Ok((reader.into(), Some(writer)))
            }
            Stream::File(path) => {
                let path = self.path(path);
                Ok((File::open(&path).map_err(|error| failed(&path, error))?.into(), None))
            }
        }
    }

    fn output(&mut self, what: &'static str, stream: &Stream) -> Result<(Stdio, Option<PipeReader>), StartFailure> {
        match stream {
            Stream::Null => Ok((Stdio::null(), None)),
            Stream::Srun => {
                let failed = |error| StartFailure::Stream { what, path: "a pipe".into(), error };
                let (reader, writer) = io::pipe().map_err(failed)?;
                Ok((writer.into(), Some(reader)))
            }
            Stream::File(path) => {
                let path = self.path(path);
                let opened = match self.opened.get(&path) {
                    Some(file) => file.try_clone(),
                    None => self.open(&path),
                };
                let file = opened.map_err(|error| StartFailure::Stream { what, path, error })?;
                Ok((file.into(), None))
            }
        }
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o666 & !self.order.umask).open(path)?;
        if !self.order.append && file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        let kept = file.try_clone()?;
        self.opened.insert(path.to_owned(), kept);
        Ok(file)
    }
}

impl StartFailure {
    /// Slurm's words for it.
    pub(super) fn text(&self) -> String {
        match self {
            StartFailure::Stream { what, path, error } => {
                format!("slurmstepd: error: Could not open {what} file {}: {}", path.display(), words(error))
            }
            StartFailure::Exec { words: program, error, .. } => {
                format!("slurmstepd: error: execve(): {program}: {}", words(error))
            }
        }
    }

    /// What a task leaves with that has not come to run: the number of the error, as in Slurm.
    pub(super) fn exit_code(&self) -> u8 {
        let (StartFailure::Stream { error, .. } | StartFailure::Exec { error, .. }) = self;
        error.raw_os_error().and_then(|number| u8::try_from(number).ok()).unwrap_or(1)
    }

    /// Whether its words went into a file of the task.
    pub(super) fn is_noted(&mut self) -> bool {
        let text = self.text() + "\n";
        match self {
            StartFailure::Exec { stderr: Some(file), .. } => file.write_all(text.as_bytes()).is_ok(),
            StartFailure::Exec { stderr: None, .. } | StartFailure::Stream { .. } => false,
        }
    }
}

/// The system's words for an error, without Rust's ` (os error N)`.
fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| nix::errno::Errno::from_raw(raw).desc().to_owned())
}
