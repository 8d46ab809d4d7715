//! What can be wrong with a message, and how a refusal crosses the wire: with a reason for programs and a sentence for people.

use std::collections::HashMap;

use thiserror::Error;
use tonic::Status;
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt};

use crate::reason::ErrorReason;

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
    /// A share of failures that is none.
    #[error("inject_failure: {0}")]
    InjectedFailure(#[from] sched::spec::inject::InjectedFailureError),
    /// A job out of bounds.
    #[error(transparent)]
    Spec(#[from] sched::spec::job::SpecError),
}

impl WireError {
    fn reason(&self) -> ErrorReason {
        match self {
            WireError::Missing(_) => ErrorReason::FieldMissing,
            WireError::Meaningless { .. }
            | WireError::Length { .. }
            | WireError::Array(_)
            | WireError::Dependency(_)
            | WireError::Warning(_)
            | WireError::Hosts(_)
            | WireError::Constraint(_)
            | WireError::Features(_)
            | WireError::Licenses(_)
            | WireError::Gres(_)
            | WireError::MailType(_)
            | WireError::InjectedFailure(_)
            | WireError::Spec(_) => ErrorReason::FieldInvalid,
        }
    }

    /// The field that was wrong, where it is one alone.
    fn field(&self) -> Option<&'static str> {
        match self {
            WireError::Missing(field) | WireError::Meaningless { field, .. } | WireError::Length { field, .. } => {
                Some(field)
            }
            WireError::Array(_) => Some("array"),
            WireError::Dependency(_) => Some("dependency"),
            WireError::Warning(_) => Some("signal"),
            WireError::Constraint(_) => Some("constraint"),
            WireError::Features(_) => Some("features"),
            WireError::Licenses(_) => Some("licenses"),
            WireError::Gres(_) => Some("gres"),
            WireError::MailType(_) => Some("mail_type"),
            WireError::InjectedFailure(_) => Some("inject_failure"),
            WireError::Hosts(_) | WireError::Spec(_) => None,
        }
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Status {
        let detail = std::error::Error::source(&error).map(ToString::to_string);
        let fields = [("detail", detail.as_deref()), ("field", error.field())];
        status(error.reason(), &error.to_string(), &fields)
    }
}

/// Whose reasons these are: the `domain` of a google.rpc.ErrorInfo.
const DOMAIN: &str = "covey";

/// The longest message or detail in bytes; a longer one is cut. All of an error travels in headers, and clients take 8 KiB of those.
const TEXT_BYTES_MAX: usize = 1_024;

/// A refusal as a status: its reason for programs, Slurm's text, and a sentence for people.
#[must_use]
pub fn refused(reason: ErrorReason, message: &str, detail: Option<&str>) -> Status {
    status(reason, message, &[("detail", detail)])
}

fn status(reason: ErrorReason, message: &str, fields: &[(&str, Option<&str>)]) -> Status {
    let field = |(key, text): &(&str, Option<&str>)| text.map(|text| ((*key).to_owned(), cut(text).to_owned()));
    let fields: HashMap<String, String> = fields.iter().filter_map(field).collect();
    let details = ErrorDetails::with_error_info(reason.word(), DOMAIN, fields);
    Status::with_error_details(reason.code(), cut(message), details)
}

/// A text, not longer than [`TEXT_BYTES_MAX`].
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// The sentence for people that came with a status.
#[must_use]
pub fn detail(status: &Status) -> Option<String> {
    info(status)?.metadata.remove("detail")
}

/// The reason that came with a status; none from something else than a controller, or from one that knows more reasons.
#[must_use]
pub fn reason(status: &Status) -> Option<ErrorReason> {
    ErrorReason::from_word(&info(status)?.reason)
}

fn info(status: &Status) -> Option<ErrorInfo> {
    status.get_details_error_info().filter(|info| info.domain == DOMAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_reason_its_field_and_a_sentence() {
        let status = refused(ErrorReason::UnknownJob, "Invalid job id specified", Some("there is no job 5"));
        assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "Invalid job id specified"));
        assert_eq!(
            (reason(&status), detail(&status)),
            (Some(ErrorReason::UnknownJob), Some("there is no job 5".into()))
        );
        let status = Status::from(WireError::Missing("spec"));
        let info = info(&status).expect("it carries one");
        assert_eq!((&*info.reason, info.metadata["field"].as_str()), ("FIELD_MISSING", "spec"));
        assert_eq!(reason(&Status::not_found("a proxy's")), None);
    }

    #[test]
    fn what_a_refusal_repeats_is_cut() {
        let value = "\u{20ac}".repeat(1_000_000);
        let status = Status::from(WireError::Meaningless { field: "manifest", value: value.clone() });
        assert!(status.message().len() <= TEXT_BYTES_MAX && status.message().ends_with('\u{20ac}'));
        let status = refused(ErrorReason::FieldInvalid, "no", Some(&value));
        assert!(status.details().len() < 2 * TEXT_BYTES_MAX, "{}", status.details().len());
    }
}
