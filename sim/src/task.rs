//! What a simulated task does when it runs. It travels as the name of its job, as a real task's program would.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How long tasks run, and how they leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conduct {
    /// How long; `None` is until it is stopped.
    pub(crate) runs_ms: Option<u64>,
    /// Its exit code.
    pub(crate) code: u8,
    /// Whether only KILL ends it before its time.
    pub(crate) stubborn: bool,
}

/// A text that describes no conduct.
#[derive(Debug, Error)]
#[error("{0:?} does not say how a task behaves; write RUNS_MS:CODE:STUBBORN")]
pub(crate) struct ConductError(String);

impl fmt::Display for Conduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runs_ms {
            Some(runs_ms) => write!(f, "{runs_ms}")?,
            None => f.write_str("endless")?,
        }
        write!(f, ":{}:{}", self.code, self.stubborn)
    }
}

impl FromStr for Conduct {
    type Err = ConductError;

    fn from_str(text: &str) -> Result<Conduct, ConductError> {
        let wrong = || ConductError(text.to_owned());
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or_else(wrong);
        let runs_ms = match part()? {
            "endless" => None,
            runs_ms => Some(runs_ms.parse().map_err(|_| wrong())?),
        };
        let code = part()?.parse().map_err(|_| wrong())?;
        let stubborn = part()?.parse().map_err(|_| wrong())?;
        Ok(Conduct { runs_ms, code, stubborn })
    }
}
