//! What stores may know of the environment: variables that start with `AWS_`, `AZURE_`, `AZURITE_` or `GOOGLE_`, and
//! no others.
//!
//! Besides the variables themselves there may be a file of them, named by `COVEY_STORE_KEYS`: lines of `NAME=value`, as from a
//! secret of a container. The filter matters: the builders below would also obey bare names such as `TOKEN` or `ENDPOINT`. Values are secrets
//! and are never printed. Only [`Environment::from_environment`] reads the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::BlobError;

const PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "AZURITE_", "GOOGLE_"];

/// Names a file with further settings.
pub const SETTINGS_VARIABLE: &str = "COVEY_STORE_KEYS";

/// Bytes of that file; what is beyond them is not read.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

/// Whether a variable may hold a key of a store, or name a file that does: what a process is not to inherit that needs none.
#[must_use]
pub fn is_setting(name: &str) -> bool {
    name == SETTINGS_VARIABLE || is_of_a_store(name)
}

fn is_of_a_store(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The settings of all cloud stores, by the name of their variable.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the environment of this process, and the file that [`SETTINGS_VARIABLE`] names; what the environment says itself
    /// goes first. Values that are not UTF-8 are left out.
    ///
    /// # Errors
    /// The file cannot be read, may be read by others, or has a line that is no setting.
    pub fn from_environment() -> Result<Self, BlobError> {
        let text = |(k, v): (OsString, OsString)| Some((k.into_string().ok()?, v.into_string().ok()?));
        let own: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
        let file = own.iter().find(|(name, value)| name == SETTINGS_VARIABLE && !value.is_empty());
        let mut settings = match file {
            Some((_, file)) => Self::from_file(Path::new(file))?,
            None => Self::default(),
        };
        settings.0.extend(Self::from_pairs(own).0);
        Ok(settings)
    }

    /// Reads a file of `NAME=value` lines; empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// It cannot be read, may be read by others, or has another line.
    pub fn from_file(path: &Path) -> Result<Self, BlobError> {
        let file = path.display().to_string();
        let failed = |source: io::Error| BlobError::Settings { file: file.clone(), source: source.into() };
        let mut opened = File::open(path).map_err(failed)?;
        if opened.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(BlobError::OpenSettings { file });
        }
        let mut text = String::new();
        opened.by_ref().take(SETTINGS_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let mut pairs = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            match line.split_once('=') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some((name, value)) if is_of_a_store(name) => {
                    pairs.push((name.trim_end(), value.trim_start()));
                }
                _ => return Err(BlobError::BadSetting { file, line: number }),
            }
        }
        Ok(Self::from_pairs(pairs))
    }

    /// Keeps of `pairs` what concerns stores; an empty value counts as unset.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.filter(|(name, value)| !value.is_empty() && is_of_a_store(name)).collect())
    }

    /// The value of one variable.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The settings that the builder with keys `K` understands, of variables that start with `prefix`.
    pub(crate) fn settings<K: std::str::FromStr>(&self, prefix: &str) -> Vec<(K, &str)> {
        let mine = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        mine.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str()))).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::azure::AzureConfigKey;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_variables_of_stores_are_kept_and_values_are_never_shown() {
        let environment = Environment::from_pairs([
            ("AZURE_STORAGE_ACCOUNT_KEY", "SECRET"),
            ("AZURE_UNHEARD_OF", "x"),
            ("AWS_REGION", "SECRET"),
            ("AWS_PROFILE", ""),
            ("TOKEN", "SECRET"),
        ]);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_REGION", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_UNHEARD_OF"}"#);
        assert_eq!(environment.settings::<AzureConfigKey>("AZURE_"), [(AzureConfigKey::AccessKey, "SECRET")]);
    }

    #[test]
    fn a_file_of_settings_is_for_its_owner_alone() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = temp.path().join("keys");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
            Environment::from_file(&path)
        };
        let read = write("# of the lab\n\nAZURE_STORAGE_ACCOUNT_KEY = a=b==\nAWS_REGION=eu\n", 0o600).expect("good");
        assert_eq!(read.settings::<AzureConfigKey>("AZURE_"), [(AzureConfigKey::AccessKey, "a=b==")]);
        let open = write("AWS_REGION=eu\n", 0o640).expect_err("its group may read it");
        assert!(open.to_string().ends_with("/keys may be read by others, and it holds keys: chmod 600 it"), "{open}");
        let bad = write("AWS_REGION=eu\nTOKEN=SECRET\n", 0o400).expect_err("no setting of a store");
        assert!(bad.to_string().contains("/keys, line 2: write it as NAME=value"), "{bad}");
        assert!(!format!("{bad} {bad:?}").contains("SECRET"));
        std::fs::remove_file(&path).expect("there");
        assert!(matches!(Environment::from_file(&path), Err(BlobError::Settings { .. })));
    }
}
