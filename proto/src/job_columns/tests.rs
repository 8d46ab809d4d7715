//! Rows through columns and back.

use prost::Message;

use super::*;

fn rows() -> Vec<JobRow> {
    let first = JobRow {
        id: 7,
        name: "train".into(),
        user: "ada".into(),
        index: Some(0),
        nice: -5,
        priority: u32::MAX,
        time_limit_minutes: Some(0),
        submitted_ms: -1,
        state: 2,
        completing: true,
        ..JobRow::default()
    };
    let second = JobRow { id: 8, user: "train".into(), index: None, ..first.clone() };
    vec![first, second, JobRow::default(), JobRow { user: "bob".into(), ..JobRow::default() }]
}

fn packed(numbers: &[u32], rows: &[JobRow]) -> JobColumns {
    let mut packer = Packer::new(numbers).expect("all are plain");
    rows.iter().for_each(|row| packer.add(row));
    packer.take()
}

fn unpacked(page: &JobColumns) -> Vec<JobRow> {
    let mut rows = Vec::new();
    visit(page, &mut JobRow::default(), |row| row, |row| rows.push(row.clone())).expect("it is sound");
    rows
}

#[test]
fn rows_come_back_as_they_were() {
    let all = Fields::ALL.numbers();
    assert_eq!(unpacked(&packed(&all, &rows())), rows());
    let some = unpacked(&packed(&[field::ID, field::USER], &rows()));
    assert_eq!(some[1], JobRow { id: 8, user: "train".into(), ..JobRow::default() });
}

#[test]
fn a_text_travels_once_and_what_no_row_has_not_at_all() {
    let page = packed(&[field::NAME, field::USER, field::ENDED_MS], &rows());
    assert_eq!(page.texts, ["train", "ada", "bob"]);
    assert_eq!(page.columns.iter().map(|column| column.values.len()).collect::<Vec<_>>(), [4, 4, 0]);
}

#[test]
fn a_packer_begins_anew_after_each_page() {
    let mut packer = Packer::new(&[field::USER]).expect("a plain field");
    packer.add(&rows()[0]);
    packer.take();
    packer.add(&rows()[3]);
    assert_eq!((packer.rows(), packer.size()), (1, (1, 3)));
    assert_eq!(unpacked(&packer.take())[0].user, "bob");
}

#[test]
fn a_page_leaves_nothing_of_the_one_before() {
    let mut row = JobRow { note: "kept".into(), ..JobRow::default() };
    for (given, id, user) in [(&rows()[..1], 7, "ada"), (&rows()[2..3], 0, "")] {
        visit(
            &packed(&[field::ID, field::USER], given),
            &mut row,
            |row| row,
            |row| {
                assert_eq!((row.id, row.user.as_str(), row.note.as_str()), (id, user, "kept"));
            },
        )
        .expect("it is sound");
    }
}

#[test]
fn only_plain_fields_have_columns() {
    // Details, usage, steps and shares.
    for number in [33, 40, 54, 61, 0, 4000] {
        assert!(Packer::new(&[field::ID, number]).is_none(), "{number}");
    }
    assert!(Packer::new(&[]).is_none());
}

#[test]
fn the_numbers_are_those_of_the_proto_file() {
    for (number, place) in PLACES {
        let mut row = JobRow::default();
        match place {
            Place::Number { set, .. } => set(&mut row, 2),
            Place::Text { set, .. } => set(&mut row, "x"),
        }
        let bytes = row.encode_to_vec();
        let (tag, _) = prost::encoding::decode_key(&mut bytes.as_slice()).expect("it has one field");
        assert_eq!(tag, *number);
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let sound = packed(&[field::ID, field::USER], &rows());
    let mut short = sound.clone();
    short.columns[0].values.pop();
    let mut lost = sound.clone();
    lost.texts.pop();
    for page in [short, lost] {
        assert!(visit(&page, &mut JobRow::default(), |row| row, |_| {}).is_err());
    }
}
