//! What can be wrong with a message, and how an error crosses the wire with its detail.

use thiserror::Error;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::DETAIL_KEY;

/// A message that no honest sender makes, or that breaks a bound. Names the field.
#[derive(Debug, Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// A number or text that means nothing here.
    #[error("{field} has no meaning here: {value}")]
    Meaningless {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: String,
    },
    /// An id of another length than 16 or 32 bytes.
    #[error("{field} is {bytes} bytes long; {wanted} are needed")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The right one.
        wanted: usize,
    },
    /// The array's text.
    #[error("Invalid job array specification")]
    Array(#[from] sched::spec::array::ArrayError),
    /// The dependency's text.
    #[error("Job dependency problem")]
    Dependency(#[from] sched::spec::dependency::DependencyError),
    /// The warning's text.
    #[error(transparent)]
    Warning(#[from] sched::spec::signal::WarningError),
    /// A hostlist's text.
    #[error("Invalid node name specified")]
    Hosts(#[from] sched::spec::hostlist::HostlistError),
    /// A constraint's text.
    #[error("Invalid feature specification")]
    Constraint(#[from] sched::spec::constraint::ConstraintError),
    /// What a node says it is.
    #[error("Invalid feature specification")]
    Features(#[from] sched::spec::constraint::FeaturesError),
    /// A list of licenses.
    #[error("Invalid license specification")]
    Licenses(#[from] sched::spec::licenses::LicenseError),
    /// What a node says it has.
    #[error("Invalid generic resource (gres) specification")]
    Gres(#[from] sched::spec::gres::GresError),
    /// A list of events for a mail.
    #[error("Invalid mail type specification")]
    MailType(#[from] sched::spec::labels::MailTypeError),
    /// A job out of bounds.
    #[error(transparent)]
    Spec(#[from] sched::spec::job::SpecError),
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Status {
        let detail = std::error::Error::source(&error).map(ToString::to_string);
        refused(Code::InvalidArgument, &error.to_string(), detail.as_deref())
    }
}

/// A status whose message is Slurm's text and whose metadata holds a sentence for people.
#[must_use]
pub fn refused(code: Code, message: &str, detail: Option<&str>) -> Status {
    let mut status = Status::new(code, message);
    if let Some(detail) = detail {
        status.metadata_mut().insert_bin(DETAIL_KEY, MetadataValue::from_bytes(detail.as_bytes()));
    }
    status
}

/// The sentence for people that came with a status.
#[must_use]
pub fn detail(status: &Status) -> Option<String> {
    let value = status.metadata().get_bin(DETAIL_KEY)?.to_bytes().ok()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}
