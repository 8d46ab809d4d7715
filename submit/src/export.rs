//! `--export` and `--export-file`: which variables the tasks get.
//!
//! `ALL` (the default), `NONE`, `NIL`, or a list of `NAME`, `NAME=value` and `ALL`, applied in its order. `NONE` and a list without
//! `ALL` ask for what a login on the node sets, beneath what is named. `SLURM_*` always pass. Start at [`environment`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The largest file of variables, in bytes; what the controller takes of an environment is less.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `NAME=value` records, sorted and each ended by a NUL byte, of the variables that pass.
pub(crate) fn environment(export: Option<&str>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<u8> {
    let all: BTreeMap<OsString, OsString> = variables.into_iter().collect();
    let mut passed: BTreeMap<OsString, OsString> = all
        .iter()
        .filter(|(name, _)| name.as_bytes().starts_with(b"SLURM_"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for token in &tokens(export.unwrap_or("ALL")) {
        match token.split_once('=') {
            Some((name, value)) => drop(passed.insert(name.into(), value.into())),
            None if is_all(token) => passed.extend(all.iter().map(|(k, v)| (k.clone(), v.clone()))),
            None => passed.extend(all.get_key_value(OsStr::new(token)).map(|(k, v)| (k.clone(), v.clone()))),
        }
    }
    passed.iter().flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat()).collect()
}

/// An environment without the keys of blob stores, but for those that `--export` names. A map's blobs are moved with the nodes' own keys; those by
/// which its submitter has listed them would else come to lie in the journal, and in the environment of every task.
pub(crate) fn without_store_keys(export: Option<&str>, environment: &[u8]) -> Vec<u8> {
    let tokens = tokens(export.unwrap_or_default());
    let named = |name: &[u8]| tokens.iter().any(|token| token.split('=').next().unwrap_or_default().as_bytes() == name);
    let records = environment.split_inclusive(|byte| *byte == 0);
    let passes = |record: &&[u8]| {
        let name = record.split(|byte| *byte == b'=').next().unwrap_or_default();
        named(name) || !is_store_key(&String::from_utf8_lossy(name))
    };
    records.filter(passes).flatten().copied().collect()
}

/// Whether a variable holds, or names, what opens a blob store.
fn is_store_key(name: &str) -> bool {
    let of_store = ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix));
    of_store && ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD", "CREDENTIALS"].iter().any(|word| name.contains(word))
}

/// Whether tasks have the environment of a login beneath what they are given.
pub(crate) fn is_login(export: Option<&str>) -> bool {
    let tokens = tokens(export.unwrap_or("ALL"));
    !tokens.iter().any(|token| is_all(token) || token.eq_ignore_ascii_case("NIL"))
}

/// What `SLURM_EXPORT_ENV` says in the job, so that its steps do as it was told: nothing where nothing was said.
pub(crate) fn shown(export: Option<&str>) -> String {
    match export {
        Some(_) if is_login(export) => "NONE".into(),
        export => export.unwrap_or_default().to_owned(),
    }
}

/// The variables of `--export-file`: a file in the folder `dir`, or an open file descriptor from 3 on.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn of_file(place: &str, dir: &Path) -> io::Result<Vec<(OsString, OsString)>> {
    let path = match place.parse::<u32>() {
        Ok(descriptor) if descriptor > 2 => Path::new("/proc/self/fd").join(place),
        _ => dir.join(place),
    };
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(records(&text))
}

/// Records with NUL bytes between them, or with line ends where there is none; what has no `=` is passed over.
fn records(text: &[u8]) -> Vec<(OsString, OsString)> {
    let end = if text.contains(&0) { 0 } else { b'\n' };
    let record = |record: &[u8]| {
        let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((os(&record[..equals]), os(&record[equals + 1..])))
    };
    text.split(|byte| *byte == end).filter_map(record).collect()
}

fn is_all(token: &str) -> bool {
    token.eq_ignore_ascii_case("ALL")
}

/// Splits at commas outside of quotes, and takes the quotes away; `NONE` and `NIL` name no variable.
fn tokens(list: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let mut open = None;
    for c in list.chars() {
        match (open, c) {
            (None, ',') => tokens.push(String::new()),
            (None, '\'' | '"') => open = Some(c),
            (Some(quote), _) if quote == c => open = None,
            _ => tokens.last_mut().expect("there is always a token").push(c),
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_stores_stay_behind_unless_they_are_named() {
        let all = b"AWS_REGION=x\0AWS_SECRET_ACCESS_KEY=a=b\0AZURE_STORAGE_SAS_TOKEN=c\0GOOGLE_APPLICATION_CREDENTIALS=d\0MY_KEY=e\0";
        let left = |export| String::from_utf8(without_store_keys(export, all)).expect("text").replace('\0', " ");
        assert_eq!(left(None), "AWS_REGION=x MY_KEY=e ");
        assert_eq!(left(Some("ALL,AWS_SECRET_ACCESS_KEY")), "AWS_REGION=x AWS_SECRET_ACCESS_KEY=a=b MY_KEY=e ");
        assert_eq!(left(Some("AZURE_STORAGE_SAS_TOKEN=c")), "AWS_REGION=x AZURE_STORAGE_SAS_TOKEN=c MY_KEY=e ");
    }

    #[test]
    fn tokens_apply_in_their_order() {
        let variables = [("A", "1"), ("B", "2"), ("HOME", "/elsewhere"), ("SLURM_JOB_ID", "7")];
        let all = "A=1 B=2 HOME=/elsewhere SLURM_JOB_ID=7";
        for (export, expected, login, shows) in [
            (None, all.to_owned(), false, ""),
            (Some("ALL"), all.to_owned(), false, "ALL"),
            (Some("all"), all.to_owned(), false, "all"),
            (Some("NIL"), "SLURM_JOB_ID=7".to_owned(), false, "NIL"),
            (Some("NONE"), "SLURM_JOB_ID=7".to_owned(), true, "NONE"),
            (Some("A,X=y,MISSING"), "A=1 SLURM_JOB_ID=7 X=y".to_owned(), true, "NONE"),
            (Some("ALL,A=v"), all.replace("A=1", "A=v"), false, "ALL,A=v"),
            (Some("A=v,ALL"), all.to_owned(), false, "A=v,ALL"),
            (Some("ALL,A='v,w',B="), all.replace("A=1", "A=v,w").replace("B=2", "B="), false, "ALL,A='v,w',B="),
        ] {
            let records = environment(export, variables.map(|(name, value)| (name.into(), value.into())));
            let records = String::from_utf8(records).expect("the values are UTF-8");
            assert_eq!(records.trim_end_matches('\0').replace('\0', " "), expected, "{export:?}");
            assert_eq!((is_login(export), shown(export).as_str()), (login, shows), "{export:?}");
        }
    }

    #[test]
    fn a_file_of_variables_has_lines_or_nul_bytes() {
        let os = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        assert_eq!(records(b"A=1\nB=x y\n\nbare\n=v\n"), os(&[("A", "1"), ("B", "x y")]));
        assert_eq!(records(b"A=1\n2\0B=\0"), os(&[("A", "1\n2"), ("B", "")]));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("vars"), b"A=1\n").expect("written");
        assert_eq!(of_file("vars", folder.path()).expect("readable"), os(&[("A", "1")]));
        assert!(of_file("none", folder.path()).is_err());
    }
}
