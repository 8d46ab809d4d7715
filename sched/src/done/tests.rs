//! Packed or loose, rows are those that were put in; and what cannot be is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::devices::Devices;
use crate::ids::{JobId, NodeId, Timestamp};
use crate::reason::{Exit, Outcome};
use crate::resources::{Amount, Cpus, Share};
use crate::task::Usage;

fn share(node: u32) -> Share {
    let amount = Amount { cpus: Cpus::whole(2), memory_mib: 500, ..Amount::default() };
    Share { node: NodeId(node), processes: 1, amount, devices: Devices::default() }
}

fn done(id: u32, (kind, node, times): (u8, u32, (i64, i64)), usage: Usage) -> Done {
    let shares: Vec<Share> = match kind % 4 {
        0 => Vec::new(),
        1 => vec![share(node), share(node + 1)],
        _ => vec![share(node)],
    };
    let ending = if kind & 4 == 0 { Ending::Completed } else { Ending::Failed };
    let note = (kind & 8 != 0).then(|| format!("blob {id}").into());
    Done {
        id: JobId(id),
        attempts: 1 + u32::from(kind & 16),
        started: (kind & 32 == 0).then_some(Timestamp(times.0)),
        ended: Timestamp(times.1),
        shares: shares.into(),
        outcome: Outcome { ending, exit: Exit { code: kind & 4, signal: 0 }, note },
        usage,
        terms: None,
        partition: (kind & 64 != 0).then(|| "debug".into()),
        paused_ms: u64::from(kind & 128),
    }
}

fn rows() -> impl Strategy<Value = Vec<(u32, Done)>> {
    let number = || prop_oneof![Just(0), 0_u64..5000, any::<u64>()];
    let usage = (number(), number(), number(), number(), number());
    let usage = usage.prop_map(|(user_us, system_us, rss_kib_max, bytes_in, bytes_out)| Usage {
        user_us,
        system_us,
        rss_kib_max,
        bytes_in,
        bytes_out,
    });
    let time = || prop_oneof![1_800_000_000_000_i64..1_800_000_100_000, any::<i64>()];
    let index = prop_oneof![0_u32..300, 510_u32..514, Just(u32::MAX)];
    let kind = prop_oneof![Just(2_u8), any::<u8>()];
    let row = (index, any::<u32>(), (kind, 0_u32..5, (time(), time())), usage);
    prop::collection::vec(row.prop_map(|(index, id, kind, usage)| (index, done(id, kind, usage))), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn they_are_what_a_map_would_hold(rows in rows(), some in prop::collection::btree_set(0_u32..300, 0..80)) {
        let (mut all, mut map) = (DoneTasks::default(), BTreeMap::new());
        for (index, done) in rows {
            all.insert(index, done.clone());
            map.insert(index, done);
        }
        let before = all.clone();
        let chosen = some.iter().copied().collect();
        let those = map.clone().into_iter().filter(|(index, _)| some.contains(index)).collect::<Vec<_>>();
        prop_assert_eq!(all.of(&chosen).collect::<Vec<_>>(), those);
        prop_assert_eq!(all.iter().collect::<Vec<_>>(), map.clone().into_iter().collect::<Vec<_>>());
        let removed = all.remove_all(&some.iter().copied().collect());
        prop_assert_eq!(removed, map.clone().into_iter().filter(|(index, _)| some.contains(index)).collect::<Vec<_>>());
        let mut changed = before.changed(&all);
        changed.sort_unstable();
        prop_assert_eq!(changed, map.keys().copied().filter(|index| some.contains(index)).collect::<Vec<_>>());
        map.retain(|index, _| !some.contains(index));
        prop_assert_eq!(all.len(), map.len());
        prop_assert_eq!(all.indices().collect::<Vec<_>>(), map.keys().copied().collect::<Vec<_>>());
        let mut endings = all.endings();
        for index in (0..310).chain([511, u32::MAX]) {
            prop_assert_eq!(all.get(index), map.get(&index).cloned());
            prop_assert_eq!(endings.of(index), map.get(&index).map(|done| done.outcome.ending));
            prop_assert_eq!(all.contains(index), map.contains_key(&index));
        }
        let bytes = rmp_serde::to_vec(&all).expect("packed");
        prop_assert_eq!(&rmp_serde::from_slice::<DoneTasks>(&bytes).expect("unpacked"), &all);
        // As it was written before there were blocks.
        let old = rmp_serde::to_vec(&map).expect("packed");
        let read = rmp_serde::from_slice::<DoneTasks>(&old).expect("unpacked");
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    }
}

#[test]
fn rows_that_are_alike_take_few_bytes_and_those_that_cannot_be_are_refused() {
    let mut all = DoneTasks::default();
    for index in 0..BLOCK {
        let times = (1_800_000_000_000 + i64::from(index) * 3, 1_800_000_000_500 + i64::from(index) * 3);
        all.insert(index, done(77 + index, (2, index % 8, times), Usage::default()));
    }
    let bytes = rmp_serde::to_vec(&all).expect("packed");
    assert!(bytes.len() < 8 * BLOCK as usize, "{} bytes", bytes.len());
    let mut refused = 0;
    for cut in 1..bytes.len() {
        refused += u32::from(rmp_serde::from_slice::<DoneTasks>(&bytes[..cut]).is_err());
    }
    assert_eq!(refused as usize, bytes.len() - 1);
    let block = all.blocks.get(&0).expect("a block");
    let elsewhere = rmp_serde::to_vec(&[(7_u32, &**block)]).expect("packed");
    assert!(rmp_serde::from_slice::<DoneTasks>(&elsewhere).is_err());
}
