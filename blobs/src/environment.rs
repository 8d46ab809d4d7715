//! What stores may know of the environment: variables that start with `AWS_`, `AZURE_` or `GOOGLE_`, and no others.
//!
//! The filter matters: the builders below would also obey bare names such as `TOKEN` or `ENDPOINT`. Values are secrets
//! and are never printed. Only [`Environment::from_environment`] reads the process.

use std::collections::BTreeMap;
use std::fmt;

const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The settings of all cloud stores, by the name of their variable.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the environment of this process; values that are not UTF-8 are left out.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_pairs(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))))
    }

    /// Keeps of `pairs` what concerns stores; an empty value counts as unset.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.filter(|(name, value)| !value.is_empty() && PREFIXES.iter().any(|p| name.starts_with(p))).collect())
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
}
