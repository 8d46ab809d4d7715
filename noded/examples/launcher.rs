//! `covey launcher --dir DIR` without the rest of Covey: what the tests start, because the launcher needs a process
//! with but one thread, and a test has two.

use std::path::Path;

use noded::launcher::{self, LauncherError};

fn main() -> Result<(), LauncherError> {
    let dir = std::env::args_os().nth(3).expect("called as: launcher launcher --dir DIR");
    launcher::run(Path::new(&dir))
}
