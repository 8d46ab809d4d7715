//! How a task is spread over several nodes: the fewest that hold all its processes, each at least one; among those the earliest.
//!
//! It is given how many processes fit on each slot, and answers with numbers of processes. Start at [`spread`].

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::candidates::Candidates;
use crate::spec::job::Request;

/// A slot, and how many processes: that fit there, or that are put there.
pub(crate) type Room = (usize, u32);

/// The nodes of a task, in order, each with its processes. Of the alternatives of `[a|b]` the first that can be.
pub(crate) fn spread(request: &Request, candidates: &Candidates, rooms: Vec<Room>) -> Option<Vec<Room>> {
    let rooms: Vec<Room> = rooms.into_iter().filter(|(_, room)| *room > 0).collect();
    if candidates.same.is_empty() {
        return spread_over(request, candidates, &rooms);
    }
    candidates.same.iter().find_map(|part| {
        let rooms: Vec<Room> = rooms.iter().copied().filter(|(slot, _)| part[*slot]).collect();
        spread_over(request, candidates, &rooms)
    })
}

fn spread_over(request: &Request, candidates: &Candidates, rooms: &[Room]) -> Option<Vec<Room>> {
    let required: BTreeSet<usize> = candidates.required.iter().copied().collect();
    let has = |slot: &usize| rooms.binary_search_by_key(slot, |(slot, _)| *slot).is_ok();
    if !required.iter().all(has) {
        return None;
    }
    if candidates.counted.is_empty() {
        return choose(request, &required, rooms);
    }
    // The earliest nodes that make up the counts; where those are too small, the roomiest.
    let mut by_room: Vec<Room> = rooms.to_vec();
    by_room.sort_by_key(|(_, room)| Reverse(*room));
    [rooms, &by_room].into_iter().find_map(|order| {
        let rest = order.iter().map(|(slot, _)| *slot).filter(|slot| !required.contains(slot));
        let mut firm = candidates.count_out(required.iter().copied().chain(rest))?;
        firm.extend(&required);
        choose(request, &firm, rooms)
    })
}

/// The `firm` nodes, and the fewest others that are needed beside them.
fn choose(request: &Request, firm: &BTreeSet<usize>, rooms: &[Room]) -> Option<Vec<Room>> {
    let mut chosen: Vec<Room> = rooms.iter().copied().filter(|(slot, _)| firm.contains(slot)).collect();
    let firm_room: u64 = chosen.iter().map(|(_, room)| u64::from(*room)).sum();
    let wanted = u64::from(request.process_count()).saturating_sub(firm_room);
    let others: Vec<Room> = rooms.iter().copied().filter(|(slot, _)| !firm.contains(slot)).collect();
    let mut by_room: Vec<(u32, Reverse<usize>)> = others.iter().map(|(slot, room)| (*room, Reverse(*slot))).collect();
    by_room.sort_unstable_by(|a, b| b.cmp(a));
    let count = match fewest(&by_room, wanted) {
        Some(count) => count.max((request.nodes_min as usize).saturating_sub(firm.len())),
        None => return None,
    };
    let nodes = firm.len() + count;
    let too_many =
        request.nodes_max.is_some_and(|max| nodes > max as usize) || nodes > request.process_count() as usize;
    if count > by_room.len() || too_many {
        return None;
    }
    chosen.extend(earliest(&by_room[..count], &others, wanted));
    chosen.sort_unstable();
    Some(fill(chosen, request.process_count()))
}

/// How many of the roomiest hold so many processes together.
fn fewest(by_room: &[(u32, Reverse<usize>)], wanted: u64) -> Option<usize> {
    let mut together = 0;
    if wanted == 0 {
        return Some(0);
    }
    let last = by_room.iter().position(|(room, _)| {
        together += u64::from(*room);
        together >= wanted
    });
    last.map(|last| last + 1)
}

/// From the roomiest nodes on, an earlier node takes the place of the least roomy one for as long as all still fits.
fn earliest(roomiest: &[(u32, Reverse<usize>)], rooms: &[Room], wanted: u64) -> Vec<Room> {
    let mut roomiest: BTreeSet<(u32, Reverse<usize>)> = roomiest.iter().copied().collect();
    let mut spare = roomiest.iter().map(|(room, _)| u64::from(*room)).sum::<u64>() - wanted;
    let mut earliest = Vec::with_capacity(roomiest.len());
    for &(slot, room) in rooms {
        let Some(&(smallest, at)) = roomiest.first() else { break };
        let cost = u64::from(smallest.saturating_sub(room));
        if roomiest.remove(&(room, Reverse(slot))) {
            earliest.push((slot, room));
        } else if cost <= spare {
            roomiest.remove(&(smallest, at));
            spare -= cost;
            earliest.push((slot, room));
        }
    }
    earliest
}

/// Each node gets one process first, and the rest fills them in order.
fn fill(rooms: Vec<Room>, wanted: u32) -> Vec<Room> {
    let mut left = wanted - u32::try_from(rooms.len()).expect("a task has no more nodes than processes");
    let filled = rooms.into_iter().map(|(slot, room)| {
        let more = left.min(room - 1);
        left -= more;
        (slot, 1 + more)
    });
    filled.collect()
}
