//! Making a process as vfork does: the child lives in the launcher's memory until it executes its program, and the launcher stands
//! still for so long. Nothing is copied, so that it costs the same however large the launcher is, and no pipe is needed to
//! learn what went wrong.
//!
//! What the child does on its way is the caller's ([`spawn`](super::spawn)).

use std::convert::Infallible;
use std::io;

use nix::libc::{self, c_int, c_void};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// What the child's calls may use of a stack; a few hundred bytes are used.
const STACK_BYTES: usize = 64 << 10;

/// What launcher and child both see.
struct Shared<F> {
    child: F,
    /// Why the child has not executed anything.
    errno: c_int,
}

/// Runs `child` in a new process and answers its pid once that has executed a program; `child` comes back only with an error.
///
/// Signals are blocked on the way: `child` unblocks them when it has reset what this process ignores.
///
/// # Errors
/// When no process can be made, or what `child` came back with; then nothing is left of it.
///
/// # Safety
/// `child` must neither panic nor take a lock, and what it allocates is never freed; it must not change what this process relies on.
/// This process must have no other thread.
#[allow(unsafe_code, reason = "neither std nor rustix nor nix makes a process that shares memory until it executes")]
pub(super) unsafe fn start<F: FnMut() -> io::Result<Infallible>>(child: F) -> io::Result<i32> {
    let mut shared = Shared { child, errno: 0 };
    let mut stack: Vec<u8> = Vec::with_capacity(STACK_BYTES);
    let mut blocked = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut blocked))?;
    // SAFETY: the stack grows down from the end of what was reserved, aligned as every ABI wants it. Stack and `shared` outlive the
    // child's use of them: with CLONE_VFORK this call returns only when the child has executed or ended.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK_BYTES);
        let top = top.sub(top.addr() % 16);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(enter::<F>, top.cast(), flags, (&raw mut shared).cast())
    };
    let made = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
    let pid = made?;
    // SAFETY: the child has written here, if at all, before it ended.
    match unsafe { (&raw const shared.errno).read_volatile() } {
        0 => Ok(pid),
        errno => {
            // It is ours, and has ended; nobody else waits for children meanwhile.
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)?;
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// The child's first function.
#[allow(unsafe_code, reason = "what comes through clone is a bare pointer")]
extern "C" fn enter<F: FnMut() -> io::Result<Infallible>>(argument: *mut c_void) -> c_int {
    // SAFETY: it is the `shared` of `start`, which nobody else touches while this runs.
    let shared = unsafe { &mut *argument.cast::<Shared<F>>() };
    let Err(error) = (shared.child)();
    shared.errno = error.raw_os_error().unwrap_or(libc::EPERM);
    127
}
