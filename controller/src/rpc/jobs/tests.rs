//! Rows, and columns of them.

use sched::event::Event;
use sched::ids::Timestamp;
use sched::spec::hostlist;
use tokio::sync::mpsc;

use super::*;
use crate::history::tests::{cluster_with, fat_job, run};

fn pages(cluster: &Cluster, request: &v1::ListJobsRequest) -> Vec<v1::JobsPage> {
    let (sender, mut pages) = mpsc::channel(16);
    let mut outlet = Outlet::new(sender);
    let mut pager = Pager::new(&mut outlet, Vec::new()).packed(Packer::new(&request.fields));
    let (wanted, _) = find(cluster, &request.ids).expect("sound ids");
    make_rows(cluster, request, (wanted, None), &mut pager).and_then(|()| pager.send()).ok().expect("someone listens");
    drop(pager);
    std::iter::from_fn(|| pages.try_recv().ok()).map(|page| page.expect("a page")).collect()
}

fn unpacked(pages: &[v1::JobsPage]) -> Vec<v1::JobRow> {
    let (mut row, mut rows) = (v1::JobRow::default(), Vec::new());
    for columns in pages.iter().filter_map(|page| page.columns.as_ref()) {
        proto::job_columns::visit(columns, &mut row, |row| row, |row| rows.push(row.clone())).expect("it is sound");
    }
    rows
}

/// An array of which two tasks have run, some were cancelled, and the rest waits.
fn cluster() -> Cluster {
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("0-9"));
    run(&mut cluster, job, 0, 2);
    run(&mut cluster, job, 1, 1);
    let tasks = IndexSet::from(3);
    cluster.apply(Timestamp(1_800_000_060_000), &Event::Cancelled { job, tasks, uid: 9 });
    cluster
}

#[test]
fn who_names_no_fields_gets_whole_rows_as_ever() {
    let request = v1::ListJobsRequest { ended: true, ..v1::ListJobsRequest::default() };
    let whole = pages(&cluster(), &request);
    assert!(whole.iter().all(|page| page.columns.is_none()));
    let rows: Vec<&v1::JobRow> = whole.iter().flat_map(|page| &page.rows).collect();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [7, 7, 8, 9]);
    assert!(rows.iter().all(|row| !row.group.is_empty() && !row.user.is_empty() && row.cpus > 0));
    // Nor where one of them is a message.
    let odd = v1::ListJobsRequest { fields: vec![field::ID, 33], ..request };
    assert_eq!(pages(&cluster(), &odd)[0].rows, whole[0].rows);
}

#[test]
fn each_field_alone_is_what_it_is_in_whole_rows() {
    let cluster = cluster();
    let named = |fields: &[u32], ids: &[&str]| v1::ListJobsRequest {
        ended: true,
        fields: fields.to_vec(),
        ids: ids.iter().map(ToString::to_string).collect(),
        ..v1::ListJobsRequest::default()
    };
    for ids in [&[][..], &["7_[0,2-3]"]] {
        let whole: Vec<v1::JobRow> = pages(&cluster, &named(&[], ids)).into_iter().flat_map(|page| page.rows).collect();
        for number in Fields::ALL.numbers() {
            let mut packer = Packer::new(&[number]).expect("a plain field");
            whole.iter().for_each(|row| packer.add(row));
            let expected = v1::JobsPage { columns: Some(packer.take()), ..v1::JobsPage::default() };
            let alone = pages(&cluster, &named(&[number], ids));
            assert!(alone.iter().all(|page| page.rows.is_empty()));
            assert_eq!(unpacked(&alone), unpacked(&[expected]), "field {number}");
        }
    }
}

#[test]
fn a_filter_reads_what_nobody_asked_for() {
    let (cluster, fields) = (cluster(), vec![field::ID]);
    let ended = v1::ListJobsRequest { ended: true, ..v1::ListJobsRequest::default() };
    let rows: Vec<v1::JobRow> = pages(&cluster, &ended).into_iter().flat_map(|page| page.rows).collect();
    let nodes: Vec<String> = rows.iter().flat_map(|row| hostlist::expand(&row.nodes).expect("a hostlist")).collect();
    let request = v1::ListJobsRequest { fields, nodes: vec![nodes[0].clone()], ..ended };
    let found = unpacked(&pages(&cluster, &request));
    assert!(!found.is_empty() && found.len() < rows.len(), "{found:?}");
}

#[test]
fn pages_of_columns_are_bounded() {
    let (sender, mut pages) = mpsc::channel(16);
    let mut outlet = Outlet::new(sender);
    let packer = Packer::new(&Fields::ALL.numbers());
    let mut pager = Pager::new(&mut outlet, Vec::new()).packed(packer);
    for id in 0..3_000 {
        pager
            .add(v1::JobRow { id, name: format!("{id:0100}"), ..v1::JobRow::default() })
            .ok()
            .expect("someone listens");
    }
    pager.send().ok().expect("someone listens");
    drop(pager);
    let pages: Vec<v1::JobsPage> = std::iter::from_fn(|| pages.try_recv().ok()).filter_map(Result::ok).collect();
    assert!(pages.len() >= 3);
    for page in &pages {
        assert!(page.encoded_len() < 2 * (PAGE_BYTES + PAGE_VALUES), "{}", page.encoded_len());
    }
    let ids: Vec<u32> = unpacked(&pages).iter().map(|row| row.id).collect();
    assert_eq!(ids, (0..3_000).collect::<Vec<u32>>());
}
