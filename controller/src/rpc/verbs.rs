//! What each call on the wire is: a verb of the table of roles, or one of those that only nodes have.
//!
//! A test walks the services, so that no call can be added without a word here.

use sched::allow::Verb;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// What the table of roles has. Some calls turn out to be another verb when they are read.
    Of(Verb),
    /// What nodes do.
    Node {
        /// Its word in the audit log.
        name: &'static str,
        /// Whether it leaves a line there when it is allowed, too.
        kept: bool,
    },
}

impl Call {
    /// By the path of a request, such as `/covey.v1.Controller/Submit`. `None` for what is none of ours, such as health checks.
    pub(crate) fn of(path: &str) -> Option<Call> {
        let (service, method) = path.strip_prefix("/covey.v1.")?.split_once('/')?;
        match service {
            "Controller" => of_controller(method).map(Call::Of),
            "Admission" => of_admission(method).map(Call::Of),
            "Membership" | "NodeLink" => of_nodes(method).map(|(name, kept)| Call::Node { name, kept }),
            _ => None,
        }
    }

    /// Its word in the audit log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Call::Of(verb) => verb.name(),
            Call::Node { name, .. } => name,
        }
    }

    /// Whether it leaves a line when it is allowed.
    pub(crate) fn is_kept(self) -> bool {
        match self {
            Call::Of(verb) => !verb.only_reads(),
            Call::Node { kept, .. } => kept,
        }
    }
}

fn of_controller(method: &str) -> Option<Verb> {
    Some(match method {
        "Submit" | "Allocate" => Verb::Submit,
        "Cancel" => Verb::Cancel,
        "Hold" => Verb::Hold,
        "Requeue" => Verb::Requeue,
        "Suspend" => Verb::Suspend,
        "Signal" => Verb::Signal,
        "UpdateJobs" => Verb::Update,
        "RunStep" => Verb::StartStep,
        "GetScript" => Verb::ReadScript,
        "ReadOutput" => Verb::ReadOutput,
        "UpdateNodes" => Verb::UpdateNodes,
        "ChangePartition" => Verb::ChangePartition,
        "Reconfigure" => Verb::Reconfigure,
        "ListAudit" => Verb::ReadAudit,
        "Backup" => Verb::Backup,
        "ListJobs" | "ListHistory" | "ListNodes" | "ListPriorities" | "Why" | "Watch" | "WatchJobs" | "GetCluster"
        | "GetStatistics" => Verb::Read,
        _ => return None,
    })
}

fn of_admission(method: &str) -> Option<Verb> {
    Some(match method {
        "CreateNodeToken" => Verb::CreateNodeToken,
        "ListNodeTokens" => Verb::ListNodeTokens,
        "RevokeNodeToken" => Verb::RevokeNodeToken,
        "RevokeNode" => Verb::RevokeNode,
        "CreateUserToken" => Verb::CreateUserToken,
        "ListUserTokens" => Verb::ListUserTokens,
        "RevokeUserToken" => Verb::RevokeUserToken,
        _ => return None,
    })
}

fn of_nodes(method: &str) -> Option<(&'static str, bool)> {
    Some(match method {
        "JoinCluster" => ("join-cluster", true),
        "RenewCertificate" => ("renew-certificate", true),
        "Join" => (Verb::BeNode.name(), true),
        // One for each node of each step, and the step has a line already.
        "ServeStep" => ("serve-step", false),
        // Two for each task of a map, and it changes nothing here.
        "SignBlob" => ("sign-blob", false),
        // Whoever asked for it has a verb of their own.
        "ServeOutput" => ("serve-output", false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_call_of_every_service_has_its_verb() {
        let set = FileDescriptorSet::decode(proto::DESCRIPTOR).expect("it was compiled with this program");
        let mut seen = 0;
        for service in set.file.iter().flat_map(|file| &file.service) {
            for method in &service.method {
                let path = format!("/covey.v1.{}/{}", service.name(), method.name());
                let call = Call::of(&path).unwrap_or_else(|| panic!("{path} is no verb: say in this file which it is"));
                let for_users = matches!(service.name(), "Controller" | "Admission");
                assert_eq!(matches!(call, Call::Of(_)), for_users, "{path}");
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen} calls");
        assert_eq!(Call::of("/grpc.health.v1.Health/Check"), None);
        assert_eq!(Call::of("/covey.v1.Controller/Nothing"), None);
    }

    #[test]
    fn what_changes_something_is_kept_and_what_reads_is_not() {
        let kept = |path: &str| Call::of(path).expect("a call").is_kept();
        for name in ["Submit", "Cancel", "UpdateNodes", "Reconfigure", "RunStep"] {
            assert!(kept(&format!("/covey.v1.Controller/{name}")), "{name}");
        }
        for name in ["ListJobs", "GetScript", "GetStatistics", "ListAudit"] {
            assert!(!kept(&format!("/covey.v1.Controller/{name}")), "{name}");
        }
    }
}
