//! The files of a task: opening its three streams, and adding the launcher's own words to its stderr.
//!
//! Files are opened here and not in the child, so that a missing folder is an answer and not an exit code. They are
//! opened, and written to, with the rights of the task's user.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::frame::{FileSpec, Launch, Outcome, StartStep, StopWhy};
use super::identity::as_user;
use super::spawn::Streams;

/// Longer paths are cut in [`Outcome::NotStarted`], so that the records of all attempts fit one frame.
const PATH_BYTES_MAX: usize = 512;

const NON_BLOCKING: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Opens the streams of a task; the outcome if one cannot be opened.
pub(super) fn open_streams(launch: &Launch) -> Result<Streams, Outcome> {
    let opened = as_user(launch.user.as_ref(), || open_all(launch));
    opened.unwrap_or_else(|error| Err(not_started(StartStep::OpenOutput, &stderr_path(launch), &error)))
}

fn open_all(launch: &Launch) -> Result<Streams, Outcome> {
    let path = launch.stdin.as_ref().map_or(Path::new("/dev/null"), |path| path.as_path());
    let path = launch.cwd.as_path().join(path);
    let mut reading = OpenOptions::new();
    let stdin = open(reading.read(true), &path).map_err(|error| not_started(StartStep::OpenInput, &path, &error))?;
    let stdout = open_output(launch, &launch.stdout, StartStep::OpenOutput)?;
    let stderr = match &launch.stderr {
        Some(file) => open_output(launch, file, StartStep::OpenError)?,
        None => stdout.try_clone().map_err(|error| not_started(StartStep::OpenError, &stderr_path(launch), &error))?,
    };
    Ok(Streams { stdin, stdout, stderr })
}

/// Where a task's messages go.
pub(super) fn stderr_path(launch: &Launch) -> PathBuf {
    let file = launch.stderr.as_ref().unwrap_or(&launch.stdout);
    launch.cwd.as_path().join(file.path.as_path())
}

/// What an error on the way to a running program is reported as.
pub(super) fn not_started(step: StartStep, path: &Path, error: &io::Error) -> Outcome {
    let mut path = path.to_string_lossy().into_owned();
    path.truncate(path.floor_char_boundary(PATH_BYTES_MAX));
    Outcome::NotStarted { step, path, error: words(error) }
}

/// Whether a start failed because an output's folder is not there. It may be there by now: a program that makes it may
/// have been quicker than this question.
pub(super) fn lacks_folder(outcome: &Outcome) -> bool {
    // A file that is opened is made where it is missing, so that only a folder can be what was not found.
    matches!(outcome, Outcome::NotStarted { step: StartStep::OpenOutput | StartStep::OpenError, error, .. }
        if error == Errno::ENOENT.desc())
}

/// Tells the reader of a task's stderr why the program could not be executed, as Slurm does.
pub(super) fn note_exec_failure(stderr: &Path, program: &Path, error: &io::Error) {
    note(stderr, &format!("slurmstepd: error: execve(): {}: {}\n", program.display(), words(error)));
}

/// Tells the reader of a task's stderr that it is being ended, when and why, as Slurm does. `what` is `JOB` or `STEP`.
pub(super) fn note_stop(stderr: &Path, what: &str, job_label: &str, node_name: &str, why: StopWhy) {
    let at = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S");
    let because = match why {
        StopWhy::Cancelled | StopWhy::Released => "",
        StopWhy::TimeLimit => " DUE TO TIME LIMIT",
        StopWhy::Requeue => " DUE TO JOB REQUEUE",
        StopWhy::Preemption => " DUE TO PREEMPTION",
        StopWhy::Deadline => " DUE TO DEADLINE",
        StopWhy::NodeFailure | StopWhy::Shutdown => " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS",
    };
    let text = format!("slurmstepd: error: *** {what} {job_label} ON {node_name} CANCELLED AT {at}{because} ***\n");
    note(stderr, &text);
}

/// Tells the reader of a task's stderr that processes of it were killed for their memory, as Slurm does.
pub(super) fn note_oom_kills(stderr: &Path, step: &str, count: u64) {
    let events = if count == 1 { "event" } else { "events" };
    let text = format!(
        "slurmstepd: error: Detected {count} oom_kill {events} in StepId={step}. \
         Some of the step tasks have been OOM Killed.\n"
    );
    note(stderr, &text);
}

fn open_output(launch: &Launch, file: &FileSpec, step: StartStep) -> Result<File, Outcome> {
    let path = launch.cwd.as_path().join(file.path.as_path());
    let mut options = OpenOptions::new();
    // Always appending, so that stdout, stderr and the launcher's own words never write over each other.
    options.append(true).create(true).mode(0o666 & !launch.umask);
    open(&mut options, &path)
        .and_then(|opened| if file.append { Ok(opened) } else { empty(opened) })
        .map_err(|error| not_started(step, &path, &error))
}

/// Empties what can be emptied: a regular file, not a device or pipe.
fn empty(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Opens without waiting for the other end of a pipe, which would hold up every task of the node.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(NON_BLOCKING).open(path)?;
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Adds a line to a file that is there; a file that went away or is full is no reason to stop anything.
fn note(path: &Path, text: &str) {
    let opened = OpenOptions::new().append(true).custom_flags(NON_BLOCKING).open(path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        tracing::debug!(path = %path.display(), %error, "could not add a line to a task's stderr");
    }
}

/// The system's words for an error, without Rust's ` (os error N)`.
fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| Errno::from_raw(raw).desc().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened_in(folder: &Path) -> Outcome {
        let path = folder.join("out");
        let error = open(OpenOptions::new().append(true).create(true), &path).expect_err("it cannot be opened");
        not_started(StartStep::OpenOutput, &path, &error)
    }

    #[test]
    fn a_folder_that_came_meanwhile_was_still_missing() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("later");
        let outcome = opened_in(&folder);
        std::fs::create_dir(&folder).expect("a folder");
        assert!(lacks_folder(&outcome), "{outcome:?}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_not_waited_for() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let outcome = opened_in(&file);
        assert!(!lacks_folder(&outcome), "{outcome:?}");
    }
}
