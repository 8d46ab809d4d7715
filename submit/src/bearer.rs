//! What a user shows who calls from elsewhere: the token of `covey user token create`, from a file that nobody else may read.
//!
//! It is read only when a controller was reached by TLS, and sent nowhere else.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::call::{config_folder, file_named};

/// The variable that names the token's file.
const TOKEN_VARIABLE: &str = "COVEY_TOKEN_FILE";
/// The longest file that is read.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// Shows a token on each call, where there is one. It never prints it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

/// Why a token cannot be used. Its text is not repeated.
#[derive(Debug, Error)]
pub(crate) enum BearerError {
    #[error("cannot read the token in {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it; if somebody may have read it, covey user token revoke it and make another", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{} holds no token: covey user token create prints one", .0.display())]
    Garbage(PathBuf),
}

impl Bearer {
    /// The user's token: in the file that `COVEY_TOKEN_FILE` names, else in `covey/token` in the config folder, if that is there.
    pub(crate) fn of_user() -> Result<Bearer, BearerError> {
        if let Some(path) = file_named(TOKEN_VARIABLE) {
            return Bearer::in_file(&path);
        }
        let path = config_folder().join("token");
        if path.exists() { Bearer::in_file(&path) } else { Ok(Bearer::default()) }
    }

    fn in_file(path: &Path) -> Result<Bearer, BearerError> {
        let unread = |source| BearerError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        let mode = file.metadata().map_err(unread)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(BearerError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
        // As scontrol token prints it, too.
        let text = text.trim();
        let text = text.strip_prefix("SLURM_JWT=").unwrap_or(text);
        let value = format!("Bearer {text}").parse::<MetadataValue<Ascii>>().ok();
        let mut value =
            value.filter(|_| text.split('.').count() == 3).ok_or_else(|| BearerError::Garbage(path.to_owned()))?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_taken_from_a_private_file_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let write = |text: &str, mode| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            Bearer::in_file(&path)
        };
        for text in ["aaa.bbb.ccc\n", "SLURM_JWT=aaa.bbb.ccc\n"] {
            let mut bearer = write(text, 0o600).expect("a token");
            assert!(!format!("{bearer:?}").contains("bbb"));
            let request = bearer.call(Request::new(())).expect("it is let through");
            assert!(!format!("{request:?}").contains("bbb"));
            assert_eq!(request.metadata().get("authorization").expect("shown"), "Bearer aaa.bbb.ccc");
        }
        for mode in [0o640, 0o604, 0o660] {
            let said = write("aaa.bbb.ccc", mode).expect_err("others may read it").to_string();
            assert!(said.contains("chmod 600") && !said.contains("bbb"), "{said}");
        }
        for text in ["", "secret", "a.b\nc.d"] {
            let said = write(text, 0o600).expect_err("no token").to_string();
            assert!(said.contains("covey user token create") && !said.contains("secret"), "{said}");
        }
        fs::remove_file(&path).expect("there");
        assert!(Bearer::in_file(&path).expect_err("it is gone").to_string().contains("token"));
    }
}
