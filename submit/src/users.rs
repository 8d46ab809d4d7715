//! Users and groups by name and by number, as `/etc/passwd` and `/etc/group` alone have them: no name service is asked, so that
//! one static binary will do.

use std::fs;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The name of a user; digits where nobody has the number.
pub(crate) fn name_of_user(uid: u32) -> String {
    name_in(&read(PASSWD), uid)
}

/// The name of a group; digits where none has the number.
pub(crate) fn name_of_group(gid: u32) -> String {
    name_in(&read(GROUP), gid)
}

/// A user by name or number; the number, primary group and name.
pub(crate) fn user_of(user: &str) -> Option<(u32, u32, String)> {
    let passwd = read(PASSWD);
    let fields = by_either(&passwd, user)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?, fields[0].to_owned()))
}

/// A group by name or number.
pub(crate) fn group_of(group: &str) -> Option<(u32, String)> {
    let groups = read(GROUP);
    let fields = by_either(&groups, group)?;
    Some((fields.get(2)?.parse().ok()?, fields[0].to_owned()))
}

/// The name of a user who is given by name or by number; `None` for a name that nobody has.
pub(crate) fn user_name(user: &str) -> Option<String> {
    match user.parse() {
        Ok(uid) => Some(name_of_user(uid)),
        Err(_) => by_name(&read(PASSWD), user).map(|_| user.to_owned()),
    }
}

/// The real name of a user; empty where the file has none.
pub(crate) fn proper_name(user: &str) -> String {
    let passwd = read(PASSWD);
    let gecos = by_name(&passwd, user).and_then(|fields| fields.get(4).copied()).unwrap_or_default();
    gecos.split(',').next().unwrap_or_default().to_owned()
}

/// A file that cannot be read has no lines.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn name_in(file: &str, id: u32) -> String {
    by_number(file, id).map_or_else(|| id.to_string(), |fields| fields[0].to_owned())
}

/// The fields of the line that a number, or a name, means.
fn by_either<'a>(file: &'a str, text: &str) -> Option<Vec<&'a str>> {
    match text.parse() {
        Ok(id) => by_number(file, id),
        Err(_) => by_name(file, text),
    }
}

fn by_number(file: &str, id: u32) -> Option<Vec<&str>> {
    lines(file).find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(id)))
}

fn by_name<'a>(file: &'a str, name: &str) -> Option<Vec<&'a str>> {
    lines(file).find(|fields| fields[0] == name)
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_files_and_fall_back_to_digits() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:100:Ada,,,:/home/ada:\nbad\n";
        assert_eq!((name_in(passwd, 1000), name_in(passwd, 7)), ("ada".into(), "7".into()));
        assert_eq!((user_of("root"), user_of("nobody at all")), (Some((0, 0, "root".into())), None));
        assert_eq!((group_of("0"), group_of("root")), (Some((0, "root".into())), Some((0, "root".into()))));
        assert_eq!((user_name("root"), user_name("0")), (Some("root".into()), Some("root".into())));
        assert_eq!((user_name("4242424"), user_name("nobody at all")), (Some("4242424".into()), None));
        assert_eq!((proper_name("root"), proper_name("nobody at all")), ("root".into(), String::new()));
    }
}
