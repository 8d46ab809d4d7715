//! Formats as values to exact lines, as Slurm 22.05 printed them.

use super::*;

type Row = (&'static str, u32);

const COLUMNS: Columns<Row> = &[
    &[Column {
        letter: 'n',
        names: &["name"],
        header: "NAME",
        cut: Cut::Always,
        value: Value::Made(|row| row.0.to_owned()),
    }],
    &[
        Column {
            letter: 'c',
            names: &["count", "number"],
            header: "COUNT",
            cut: Cut::OnlyLeft,
            value: Value::Made(|row| row.1.to_string()),
        },
        Column {
            letter: 'P',
            names: &[],
            header: "PART",
            cut: Cut::KeepStar,
            value: Value::Made(|row| format!("{}*", row.0)),
        },
        Column {
            letter: NO_LETTER,
            names: &["more"],
            header: "MORE",
            cut: Cut::Always,
            value: Value::Made(|_| "x".into()),
        },
    ],
];

const ROW: Row = ("linux", 12345);

#[test]
fn formats_place_cut_and_keep() {
    for (format, header, row) in [
        ("%n %c", "NAME COUNT", "linux 12345"),
        ("%.8n|%8n|", "    NAME|NAME    |", "   linux|linux   |"),
        ("%.3n %3n", "NAM NAM", "lin lin"),
        ("%.4c %4c", "COUN COUN", "12345 1234"),
        ("%.3P|%3P|%8P|%.8P", "PAR|PAR|PART    |    PART", "li*|li*|linux*  |  linux*"),
        ("id=%c,%%n", "id=COUNT,NAME", "id=12345,linux"),
        (" é%0n", " éNAME", " élinux"),
        ("%#n|", "NAME     |", "linux    |"),
        ("-%n%", "-NAME", "-linux"),
        ("foo", "foo", "foo"),
        ("", "", ""),
    ] {
        let (mut format, unknown) = Format::letters(format, COLUMNS);
        format.fit(&[ROW]);
        assert_eq!((format.header(), format.row(&ROW), unknown), (header.into(), row.into(), Vec::<String>::new()));
    }
}

#[test]
fn codes_without_a_column_are_named_and_stay() {
    for (format, row, bad) in [
        ("%n %q %c", "linux %q 12345", &["q"][..]),
        ("%5%n", "%5linux", &[""]),
        ("%-5n", "%-5n", &["-"]),
        ("%.3x", "%.3x", &["x"]),
    ] {
        let (format, unknown) = Format::letters(format, COLUMNS);
        assert_eq!((format.row(&ROW).as_str(), unknown), (row, bad.iter().map(ToString::to_string).collect()));
    }
}

#[test]
fn names_have_widths_and_suffixes() {
    for (format, header, row) in [
        ("name,Count,", "NAME                COUNT               ", "linux               12345               "),
        ("NAME:3,number:.8,name:;,count:@x,", "NAM   COUNTNAME;COUNT@x", "lin   12345linux;12345@x"),
        ("name:.7x,count:.3,name: ", "   NAMExCOUNAME ", "  linuxx12345linux "),
        ("name:-,more", "NAME-MORE                ", "linux-x                   "),
        ("name:0,more:00", "NAMEMORE", "linuxx"),
        ("name:\u{1f},count:\u{1f},", "NAME\u{1f}COUNT\u{1f}", "linux\u{1f}12345\u{1f}"),
        ("", "", ""),
    ] {
        let (shown, unknown) = Format::names(format, COLUMNS);
        assert!(unknown.is_empty(), "{unknown:?}");
        assert_eq!((shown.header().as_str(), shown.row(&ROW).as_str()), (header, row));
    }
    let (format, unknown) = Format::names(" name , bogus,name", COLUMNS);
    assert_eq!((format.columns().count(), unknown), (1, vec![" name ".to_owned(), " bogus".to_owned()]));
}
