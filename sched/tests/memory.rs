//! How much memory the books take, counted by the allocator: what many jobs have in common is kept once, and what has ended of an array
//! takes little.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

mod rig;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rig::{Rig, array, job};
use sched::cluster::Cluster;
use sched::ids::{JobId, Name};
use sched::reason::Exit;
use sched::reconcile::How;
use sched::spec::job::JobDraft;
use sched::step::Input;

struct Counting;

static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD_BYTES.fetch_add(taken(layout), Relaxed);
        // SAFETY: the caller keeps the promises that `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(taken(layout), Relaxed);
        // SAFETY: the caller keeps the promises that `dealloc` asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What the C library takes for so many bytes: its own eight, in steps of sixteen.
fn taken(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

/// What is held when only the cluster is left of the rig, and the cluster.
fn held_by(rig: Rig) -> (Cluster, usize) {
    let cluster = rig.cluster.clone();
    drop(rig);
    (cluster, HELD_BYTES.load(Relaxed))
}

/// What a job takes on average, of so many.
fn per_job(count: usize, draft: impl Fn(usize) -> JobDraft) -> usize {
    let mut rig = Rig::new();
    rig.unchecked = true;
    let before = HELD_BYTES.load(Relaxed);
    for number in 0..count {
        rig.submit(draft(number)).expect("accepted");
    }
    let (cluster, held) = held_by(rig);
    // A checkpoint keeps nothing of who shares with whom.
    let packed = rmp_serde::to_vec(&cluster).expect("packed");
    let packed_held = HELD_BYTES.load(Relaxed);
    let restored = rmp_serde::from_slice::<Cluster>(&packed).expect("unpacked").restored();
    let restored_bytes = HELD_BYTES.load(Relaxed) - packed_held;
    assert_eq!(
        restored.jobs().map(|job| job.id).collect::<Vec<_>>(),
        cluster.jobs().map(|job| job.id).collect::<Vec<_>>()
    );
    assert!(restored_bytes < (held - before) * 5 / 4, "{restored_bytes} bytes restored, {} before", held - before);
    (held - before) / count
}

/// One test alone, because all threads are counted.
#[test]
fn what_is_alike_is_kept_once_and_what_has_ended_takes_little() {
    let same = per_job(10_000, |_| job());
    println!("{same} bytes a job, all the same");
    let name = |number: usize| -> Name { format!("step-{number:06}").as_str().into() };
    let different = per_job(10_000, |number| JobDraft { name: name(number), ..job() });
    println!("{different} bytes a job, each with a name of its own");
    assert!(same < 700, "{same} bytes a job, all the same");
    assert!(different < 1300, "{different} bytes a job, each with a name of its own");

    let tasks = 20_000;
    let mut rig = Rig::with_nodes(8, 8);
    rig.unchecked = true;
    rig.submit(array(&format!("0-{}", 2 * tasks - 1))).expect("accepted");
    let before = HELD_BYTES.load(Relaxed);
    while rig.cluster.job(JobId(1)).expect("there").tally.completed < tasks {
        rig.plan();
        for node in rig.cluster.nodes().map(|node| node.id).collect::<Vec<_>>() {
            let ran = rig.cluster.attempts_on(node).map(|key| (key, rig::ended(How::Exited(Exit::default()))));
            let ends = ran.collect();
            rig.now = rig.now.plus_ms(7);
            rig.input(Input::Ends { node, ends, steps: Vec::new() });
        }
    }
    let (_cluster, held) = held_by(rig);
    let task = (held - before) / tasks as usize;
    println!("{task} bytes a task that has ended");
    assert!(task < 40, "{task} bytes a task that has ended");
}
