//! Trackable resources as `sacct` writes them: `billing=2,cpu=2,gres/gpu=1,mem=4G,node=1`, in the order of their names.

use std::collections::BTreeMap;

use proto::v1::{JobRow, Usage};

use super::entry::{Entry, cpu_us, padded};

impl Entry<'_> {
    /// What it holds, or held. How much of its job's memory and gres a step takes is not recorded.
    pub(super) fn allocated_tres(&self) -> String {
        let (cpus, nodes) = (self.cpus(), self.node_count());
        match self.step_name().as_deref() {
            None if !self.started() => String::new(),
            None => job_tres(self.row, &self.held_memory()),
            Some("batch") => format!("cpu={cpus},mem={},node={nodes}", self.held_memory()),
            Some(_) => format!("cpu={cpus},node={nodes}"),
        }
    }

    /// What was asked for.
    pub(super) fn requested_tres(&self) -> String {
        self.of_job(|row| job_tres(row, &self.requested_memory()))
    }

    /// What went in; `mean` divides what the tasks used together.
    pub(super) fn usage_in(&self, mean: bool) -> String {
        let tasks = if mean { u64::from(self.tasks().max(1)) } else { 1 };
        self.used(|usage| {
            let cpu = padded(cpu_us(usage) / tasks / 1_000_000);
            let mem = self.shown.unit.text(usage.rss_kib_max * 1024, 0);
            format!("cpu={cpu},fs/disk={},mem={mem}", usage.bytes_in / tasks)
        })
    }

    /// What went out.
    pub(super) fn usage_out(&self, mean: bool) -> String {
        let tasks = if mean { u64::from(self.tasks().max(1)) } else { 1 };
        self.used(|usage| format!("fs/disk={}", usage.bytes_out / tasks))
    }

    /// The same where a figure belongs to one task: known only of a step that has one.
    pub(super) fn of_one_task(&self, text: impl FnOnce() -> String) -> String {
        if self.tasks() == 1 { text() } else { String::new() }
    }

    /// Where, or in which task, the most of each went in.
    pub(super) fn place_in(&self, place: &str) -> String {
        if place.is_empty() { String::new() } else { self.used(|_| format!("cpu={place},fs/disk={place},mem={place}")) }
    }

    /// Where, or in which task, the most went out.
    pub(super) fn place_out(&self, place: &str) -> String {
        if place.is_empty() { String::new() } else { self.used(|_| format!("fs/disk={place}")) }
    }

    fn used(&self, text: impl FnOnce(&Usage) -> String) -> String {
        self.of_step(|step| step.usage().as_ref().map(text).unwrap_or_default())
    }
}

fn job_tres(row: &JobRow, memory: &str) -> String {
    let (cpus, nodes) = (row.cpus, row.node_count);
    let gres: String = gres(row).into_iter().map(|(name, count)| format!("{name}={count},")).collect();
    format!("billing={cpus},cpu={cpus},{gres}mem={memory},node={nodes}")
}

/// All gres of a job by name: `gres/gpu` is the sum of what has a type and what has none.
fn gres(row: &JobRow) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let Some(detail) = &row.detail else { return counts };
    for (list, times) in
        [(&detail.gres_per_node, row.node_count), (&detail.gres_per_process, row.processes), (&detail.gres_in_all, 1)]
    {
        for item in list.split(',').filter(|item| !item.is_empty()) {
            let (name, count) = item.rsplit_once(':').unwrap_or((item, "1"));
            let count = count.parse::<u64>().unwrap_or(0) * u64::from(times);
            *counts.entry(name.to_owned()).or_default() += count;
            if let Some((kind, _)) = name.split_once(':') {
                *counts.entry(kind.to_owned()).or_default() += count;
            }
        }
    }
    counts
}
