//! The shape of a task on the wire: `v1::Request` to [`Request`] on arrival, and back.

use sched::ids::Name;
use sched::spec::gres::{GresAsk, Per};
use sched::spec::hostlist;
use sched::spec::job::{Memory, Request};
use sched::spec::licenses::LicenseAsk;

use crate::error::WireError;
use crate::v1;

/// Reads a shape. Its bounds are checked with the rest of the job.
///
/// # Errors
/// When a hostlist, the constraint or a gres means nothing.
pub(crate) fn read_request(request: v1::Request) -> Result<Request, WireError> {
    let constraint = Some(request.constraint).filter(|text| !text.is_empty());
    let license = |ask: v1::LicenseAsk| LicenseAsk { name: ask.name.into(), count: ask.count };
    Ok(Request {
        nodes_min: request.nodes_min.max(1),
        nodes_max: request.nodes_max,
        processes: request.processes,
        cpus_per_process: request.cpus_per_process,
        memory: match request.memory {
            None => Memory::Default,
            Some(v1::request::Memory::MemoryPerNodeMib(mib)) => Memory::PerNode(mib),
            Some(v1::request::Memory::MemoryPerCpuMib(mib)) => Memory::PerCpu(mib),
        },
        processes_per_node: request.processes_per_node,
        cpus_milli: request.cpus_milli,
        exclusive: request.exclusive,
        nodes: read_names(&request.nodes)?,
        exclude: read_names(&request.exclude)?,
        constraint: constraint.map(|text| text.parse()).transpose()?,
        gres: request.gres.into_iter().map(read_gres).collect::<Result<_, _>>()?,
        licenses: request.licenses.into_iter().map(license).collect(),
    })
}

/// Reads a hostlist.
///
/// # Errors
/// When it is none.
pub fn read_names(list: &str) -> Result<Vec<Name>, WireError> {
    Ok(hostlist::expand(list)?.into_iter().map(Into::into).collect())
}

fn read_gres(ask: v1::GresAsk) -> Result<GresAsk, WireError> {
    let per = match ask.per() {
        v1::Per::Node => Per::Node,
        v1::Per::Process => Per::Process,
        v1::Per::Task => Per::Task,
        v1::Per::Unspecified => return Err(WireError::Meaningless { field: "per", value: ask.per.to_string() }),
    };
    let kind = Some(ask.kind).filter(|kind| !kind.is_empty()).map(Into::into);
    Ok(GresAsk { name: ask.name.into(), kind, count: ask.count, per })
}

impl From<Request> for v1::Request {
    fn from(request: Request) -> v1::Request {
        v1::Request {
            nodes_min: request.nodes_min,
            nodes_max: request.nodes_max,
            processes: request.processes,
            cpus_per_process: request.cpus_per_process,
            memory: match request.memory {
                Memory::Default => None,
                Memory::PerNode(mib) => Some(v1::request::Memory::MemoryPerNodeMib(mib)),
                Memory::PerCpu(mib) => Some(v1::request::Memory::MemoryPerCpuMib(mib)),
            },
            processes_per_node: request.processes_per_node,
            cpus_milli: request.cpus_milli,
            exclusive: request.exclusive,
            nodes: hostlist::compress(&request.nodes),
            exclude: hostlist::compress(&request.exclude),
            constraint: request.constraint.map(String::from).unwrap_or_default(),
            gres: request.gres.into_iter().map(Into::into).collect(),
            licenses: request.licenses.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<GresAsk> for v1::GresAsk {
    fn from(ask: GresAsk) -> v1::GresAsk {
        let per = match ask.per {
            Per::Node => v1::Per::Node,
            Per::Process => v1::Per::Process,
            Per::Task => v1::Per::Task,
        };
        let kind = ask.kind.map(|kind| kind.to_string()).unwrap_or_default();
        v1::GresAsk { name: ask.name.to_string(), kind, count: ask.count, per: per.into() }
    }
}

impl From<LicenseAsk> for v1::LicenseAsk {
    fn from(ask: LicenseAsk) -> v1::LicenseAsk {
        v1::LicenseAsk { name: ask.name.to_string(), count: ask.count }
    }
}
