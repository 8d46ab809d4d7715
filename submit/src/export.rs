//! `--export`: which of the submitter's variables the tasks get.
//!
//! `ALL` (the default), `NONE`, `NIL`, or a list of `NAME`, `NAME=value` and `ALL`, applied in its order. Without `ALL`
//! a list starts from what a login sets, as `NONE` does. `SLURM_*` always pass. Start at [`environment`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::submitter::Submitter;

/// `NAME=value` records, sorted and each ended by a NUL byte, of the variables that pass.
pub(crate) fn environment(
    export: Option<&str>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    submitter: &Submitter,
) -> Vec<u8> {
    let all: BTreeMap<OsString, OsString> = variables.into_iter().collect();
    let mut passed: BTreeMap<OsString, OsString> = all
        .iter()
        .filter(|(name, _)| name.as_bytes().starts_with(b"SLURM_"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let tokens = tokens(export.unwrap_or("ALL"));
    let is_all = |token: &String| token.eq_ignore_ascii_case("ALL");
    let is_nil = tokens.iter().any(|token| token.eq_ignore_ascii_case("NIL"));
    if !is_nil && !tokens.iter().any(is_all) {
        passed.extend(submitter.login().map(|(name, value)| (name.into(), value.into())));
    }
    for token in &tokens {
        match token.split_once('=') {
            Some((name, value)) => drop(passed.insert(name.into(), value.into())),
            None if is_all(token) => passed.extend(all.iter().map(|(k, v)| (k.clone(), v.clone()))),
            None => passed.extend(all.get_key_value(OsStr::new(token)).map(|(k, v)| (k.clone(), v.clone()))),
        }
    }
    passed.iter().flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat()).collect()
}

/// Splits at commas outside of quotes, and takes the quotes away.
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
    fn tokens_apply_in_their_order() {
        let variables = [("A", "1"), ("B", "2"), ("HOME", "/elsewhere"), ("SLURM_JOB_ID", "7")];
        let login = "HOME=/home/ada LOGNAME=ada PATH=/usr/local/bin:/usr/bin:/bin SHELL=/bin/bash";
        let all = "A=1 B=2 HOME=/elsewhere SLURM_JOB_ID=7";
        for (export, expected) in [
            (None, all.to_owned()),
            (Some("ALL"), all.to_owned()),
            (Some("all"), all.to_owned()),
            (Some("NIL"), "SLURM_JOB_ID=7".to_owned()),
            (Some("NONE"), format!("{login} SLURM_JOB_ID=7 USER=ada")),
            (Some("A,X=y,MISSING"), format!("A=1 {login} SLURM_JOB_ID=7 USER=ada X=y")),
            (Some("ALL,A=v"), all.replace("A=1", "A=v")),
            (Some("A=v,ALL"), all.to_owned()),
            (Some("ALL,A='v,w',B="), all.replace("A=1", "A=v,w").replace("B=2", "B=")),
        ] {
            let variables = variables.map(|(name, value)| (name.into(), value.into()));
            let records = environment(export, variables, &Submitter::ada());
            let records = String::from_utf8(records).expect("the values are UTF-8");
            assert_eq!(records.trim_end_matches('\0').replace('\0', " "), expected, "{export:?}");
        }
    }
}
