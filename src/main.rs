//! Looks at the name it was called by, or at the first word, and hands over; nothing else.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = if submit::COMMANDS.contains(&name) {
        name.to_owned()
    } else {
        words.next().unwrap_or_default().to_string_lossy().into_owned()
    };
    let arguments: Vec<OsString> = words.collect();
    match name.as_str() {
        "controller" => controller::run(arguments),
        "noded" => noded::run_noded(arguments),
        "launcher" => noded::run_launcher(arguments),
        "init" => init::run(arguments),
        "stepd" => noded::run_stepd(&arguments),
        "backup" => submit::backup(&arguments, controller::backup::stopped),
        "restore" => controller::backup::run_restore(arguments),
        "fsck" => controller::backup::run_fsck(arguments),
        name => {
            let others = || [controller::commands(), vec![noded::command(), init::command()]].concat();
            submit::describe(name, &arguments, others).unwrap_or_else(|| submit::run(name, arguments))
        }
    }
}
