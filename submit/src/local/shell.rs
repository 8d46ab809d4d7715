//! What people paste into a shell: quoted paths, and the name by which this program was called.

use std::path::Path;

use super::layout::Layout;

/// The lines that make a shell talk to the cluster of this folder.
pub(crate) fn exports(layout: &Layout) -> String {
    let dir = quoted(&layout.dir().to_string_lossy());
    format!("export COVEY_DIR={dir}\nexport COVEY_CONTROLLER={}\n", quoted(&layout.endpoints().to_string()))
}

/// The line that puts a folder first in a shell's search path.
pub(crate) fn search_path(dir: &Path) -> String {
    format!("export PATH={}:\"$PATH\"\n", quoted(&dir.to_string_lossy()))
}

/// A command line of this program as the user would type it.
pub(crate) fn command(words: &[&str]) -> String {
    let typed = std::env::args().next().filter(|name| Path::new(name).file_name().is_some_and(|name| name == "covey"));
    let words = std::iter::once(typed.as_deref().unwrap_or("covey")).chain(words.iter().copied());
    shell_words::join(words)
}

/// How to talk to a cluster and how to end it, one command a line.
pub(crate) fn instructions(layout: &Layout) -> String {
    let dir = layout.dir().to_string_lossy();
    let (env, down) = (command(&["env", "--dir", &dir]), command(&["down", "--dir", &dir]));
    format!("talk to it:  eval \"$({env})\"; {}\nend it:      {down}\n", command(&["squeue"]))
}

fn quoted(text: &str) -> String {
    shell_words::quote(text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_every_path() {
        for dir in ["/nowhere/d", "/nowhere/it's $HOME", "/nowhere/a\"b`c\\d", "/nowhere/*;#&"] {
            let layout = Layout::find(Some(Path::new(dir))).expect("a path");
            let script = exports(&layout)
                + &search_path(Path::new(dir))
                + "printf '%s|%s|%s' \"$COVEY_DIR\" \"$COVEY_CONTROLLER\" \"$PATH\"";
            let out = Command::new("/bin/sh").args(["-c", &script]).env("PATH", "/bin").output().expect("a shell");
            let read = String::from_utf8(out.stdout).expect("UTF-8");
            assert_eq!(read, format!("{dir}|unix://{dir}/controller.sock|{dir}:/bin"));
        }
    }

    #[test]
    fn instructions_name_the_folder() {
        let layout = Layout::find(Some(Path::new("/nowhere/a b"))).expect("a path");
        let expected = "talk to it:  eval \"$(covey env --dir '/nowhere/a b')\"; covey squeue\n\
                        end it:      covey down --dir '/nowhere/a b'\n";
        assert_eq!(instructions(&layout), expected);
    }
}
