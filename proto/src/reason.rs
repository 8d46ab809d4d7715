//! Why a call was refused, for programs: which reason each refusal has, and which gRPC code each reason.
//!
//! What the reasons mean is in `covey/v1/errors.proto`. How they travel is in [`crate::error`].

use sched::refusal::Refusal;
use tonic::Code;

pub use crate::v1::ErrorReason;

/// The prefix that protobuf wants and that programs do not see.
const PREFIX: &str = "ERROR_REASON_";

impl ErrorReason {
    /// Its name on the wire, such as `UNKNOWN_JOB`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.as_str_name().trim_start_matches(PREFIX)
    }

    /// The reason with this name on the wire.
    #[must_use]
    pub fn from_word(word: &str) -> Option<ErrorReason> {
        ErrorReason::from_str_name(&format!("{PREFIX}{word}"))
    }

    /// The reason of a refusal.
    #[must_use]
    pub fn of(refusal: &Refusal) -> ErrorReason {
        match refusal {
            Refusal::UnknownPartition(_) => ErrorReason::UnknownPartition,
            Refusal::NoDefaultPartition => ErrorReason::NoDefaultPartition,
            Refusal::PartitionClosed(_) => ErrorReason::PartitionClosed,
            Refusal::NeverFits { .. } => ErrorReason::NeverFits,
            Refusal::NoSuchNode { .. } => ErrorReason::FieldInvalid,
            Refusal::NodeElsewhere { .. } => ErrorReason::NodeElsewhere,
            Refusal::UnknownFeature { .. } => ErrorReason::UnknownFeature,
            Refusal::UnknownGres { .. } => ErrorReason::UnknownGres,
            Refusal::License { .. } => ErrorReason::UnknownLicense,
            Refusal::ArrayTooBig { .. } => ErrorReason::ArrayTooBig,
            Refusal::UnknownNode(_) | Refusal::NotAMember(_) => ErrorReason::UnknownNode,
            Refusal::NodeState(_) => ErrorReason::NodeState,
            Refusal::PartitionExists(_) => ErrorReason::PartitionExists,
            Refusal::PartitionInUse { .. } => ErrorReason::PartitionInUse,
            Refusal::TheDefault(_) => ErrorReason::PartitionIsDefault,
            Refusal::PartitionChange(_) => ErrorReason::PartitionInvalid,
            Refusal::TooManyPartitions(_) => ErrorReason::TooManyPartitions,
            Refusal::NoReservation(_) => ErrorReason::UnknownReservation,
            Refusal::TooManyJobs(_) => ErrorReason::TooManyJobs,
            Refusal::TooManyOfUser { .. } => ErrorReason::TooManyJobsOfUser,
            Refusal::TooManyBytesOfUser { .. } => ErrorReason::TooManyBytesOfUser,
            Refusal::UnknownJob => ErrorReason::UnknownJob,
            Refusal::Dependency(_) => ErrorReason::UnknownDependency,
            Refusal::WholeJobsOnly(_) => ErrorReason::WholeJobsOnly,
            Refusal::AlreadyDone | Refusal::HasFinished => ErrorReason::AlreadyDone,
            Refusal::DeadlineTooSoon { .. } => ErrorReason::DeadlineTooSoon,
            Refusal::NotAllowed(_) | Refusal::RootJobsDisabled => ErrorReason::NotAllowed,
            Refusal::StillPending => ErrorReason::StillPending,
            Refusal::NoLongerPending => ErrorReason::NoLongerPending,
            Refusal::NotRequeueable => ErrorReason::NotRequeueable,
            Refusal::MayStillRun { .. } => ErrorReason::MayStillRun,
            Refusal::NotRunning => ErrorReason::NotRunning,
            Refusal::NotSuspended => ErrorReason::NotSuspended,
            Refusal::CpusInUse { .. } => ErrorReason::CpusInUse,
            Refusal::NodeAway { .. } => ErrorReason::NodeAway,
            Refusal::CircularDependency => ErrorReason::CircularDependency,
            Refusal::StepBusy => ErrorReason::StepBusy,
            Refusal::TooManyProcesses => ErrorReason::TooManyProcesses,
            Refusal::TooManySteps(_) => ErrorReason::TooManySteps,
            Refusal::UnknownStep => ErrorReason::UnknownStep,
            Refusal::BadChange(_) => ErrorReason::FieldInvalid,
            Refusal::NotAdmitted(_) => ErrorReason::NodeNotAdmitted,
            Refusal::TooManyTokens(_) | Refusal::TooManyUserTokens { .. } => ErrorReason::TooManyTokens,
            Refusal::UnknownToken(_) | Refusal::UnknownUserToken(_) => ErrorReason::UnknownToken,
        }
    }

    /// The gRPC code that goes with it.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            ErrorReason::Unspecified => Code::Unknown,
            ErrorReason::FieldMissing
            | ErrorReason::FieldInvalid
            | ErrorReason::TooLarge
            | ErrorReason::UnknownPartition
            | ErrorReason::NoDefaultPartition
            | ErrorReason::PartitionInvalid
            | ErrorReason::NeverFits
            | ErrorReason::NodeElsewhere
            | ErrorReason::UnknownFeature
            | ErrorReason::UnknownGres
            | ErrorReason::UnknownLicense
            | ErrorReason::UnknownReservation
            | ErrorReason::ArrayTooBig
            | ErrorReason::UnknownDependency
            | ErrorReason::CircularDependency
            | ErrorReason::DeadlineTooSoon
            | ErrorReason::TooManyProcesses
            | ErrorReason::UnknownUser => Code::InvalidArgument,
            ErrorReason::UnknownJob
            | ErrorReason::UnknownStep
            | ErrorReason::UnknownNode
            | ErrorReason::UnknownToken => Code::NotFound,
            ErrorReason::PartitionExists => Code::AlreadyExists,
            ErrorReason::AlreadyDone
            | ErrorReason::StillPending
            | ErrorReason::NoLongerPending
            | ErrorReason::NotRunning
            | ErrorReason::NotSuspended
            | ErrorReason::NotRequeueable
            | ErrorReason::MayStillRun
            | ErrorReason::CpusInUse
            | ErrorReason::NodeAway
            | ErrorReason::WholeJobsOnly
            | ErrorReason::NoScript
            | ErrorReason::StepBusy
            | ErrorReason::TooManySteps
            | ErrorReason::TooManyJobs
            | ErrorReason::TooManyJobsOfUser
            | ErrorReason::TooManyBytesOfUser
            | ErrorReason::NodeState
            | ErrorReason::PartitionClosed
            | ErrorReason::PartitionInUse
            | ErrorReason::PartitionIsDefault
            | ErrorReason::TooManyPartitions
            | ErrorReason::TooManyTokens
            | ErrorReason::DiskFull
            | ErrorReason::Disabled
            | ErrorReason::SettingsInvalid
            | ErrorReason::NotSigned
            | ErrorReason::NoOutput => Code::FailedPrecondition,
            ErrorReason::NotAllowed | ErrorReason::NoCredentials | ErrorReason::NodeNotAdmitted => {
                Code::PermissionDenied
            }
            ErrorReason::BadCredentials => Code::Unauthenticated,
            ErrorReason::TooFast
            | ErrorReason::Busy
            | ErrorReason::TooManyStreams
            | ErrorReason::SlowReader
            | ErrorReason::TooSlow => Code::ResourceExhausted,
            ErrorReason::Stopping | ErrorReason::Unreachable | ErrorReason::NodeSilent => Code::Unavailable,
            ErrorReason::Storage | ErrorReason::Defect => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasons stand in the `.proto` file under the headings of their codes.
    #[test]
    fn every_reason_stands_under_its_code() {
        let (mut heading, mut seen) = ("UNKNOWN".to_owned(), 0);
        for line in include_str!("../covey/v1/errors.proto").lines().skip_while(|line| !line.starts_with("enum")) {
            let line = line.trim();
            match line.strip_prefix("// ").filter(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
                Some(text) => text.clone_into(&mut heading),
                None => {
                    let Some((name, _)) = line.split_once(" = ") else { continue };
                    let reason = ErrorReason::from_str_name(name).expect("generated from this file");
                    let code = format!("{:?}", reason.code()).to_uppercase();
                    assert_eq!(code, heading.replace('_', ""), "{name}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 60, "{seen}");
        assert_eq!(ErrorReason::UnknownJob.word(), "UNKNOWN_JOB");
    }
}
