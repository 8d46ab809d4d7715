//! Tables from rows as values.

use super::*;

fn rows() -> Vec<PriorityRow> {
    let row = |id, user: &str, priority, age| PriorityRow {
        id,
        user: user.into(),
        uid: 1000,
        partition: "normal".into(),
        priority,
        nice: 5,
        age,
        job_size: 0.25,
        partition_factor: 0.0,
    };
    vec![row(7, "ada", 525, 0.5), row(12, "bob", 25, 0.0)]
}

const WEIGHTS: PriorityWeights = PriorityWeights { age: 1000, job_size: 100, partition: 0 };

fn shown(words: &[&str]) -> String {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let matches = getopt::read(&mut command(), &words).expect("good options");
    let options = Options::from_arg_matches(&matches).expect("of these options");
    let wanted = Wanted::of(&options).expect("known users");
    let keys = keys(options.sort.as_deref().unwrap_or("i")).expect("known letters");
    let mut rows: Vec<PriorityRow> = rows().into_iter().filter(|row| wanted.takes(row)).collect();
    rows.sort_by(|a, b| compared(&keys, a, b));
    text(&options, WEIGHTS, rows).expect("known letters")
}

#[test]
fn only_factors_with_a_weight_have_a_column() {
    assert_eq!(
        shown(&[]),
        "          JOBID PARTITION   PRIORITY       SITE        AGE    JOBSIZE\n\
         \x20             7 normal           525          0        500         25\n\
         \x20            12 normal            25          0          0         25\n"
    );
    assert_eq!(
        shown(&["-w"]),
        "          JOBID PARTITION   PRIORITY       SITE        AGE    JOBSIZE\n\
         \x20       Weights                               1       1000        100\n"
    );
}

#[test]
fn long_normalized_and_own_formats() {
    assert!(shown(&["-l", "-h"]).starts_with(
        "              7 normal         ada        525          0        500          0          0         25          0"
    ));
    assert_eq!(
        shown(&["-nh", "-o", "%i %a %j %y"]),
        "7 0.5000000 0.2500000 0.00000012\n12 0.0000000 0.2500000 0.00000001\n"
    );
    assert_eq!(shown(&["-h", "-S", "Y", "-o", "%i"]), "12\n7\n");
    assert_eq!(shown(&["-h", "-S-Y", "-o%i"]), "7\n12\n");
    assert_eq!(shown(&["-h", "-j12", "-o", "%i"]), "12\n");
    assert_eq!(shown(&["-h", "-p", "short", "-o", "%i"]), "");
    for bad in ["x", "ii", ""] {
        assert_eq!(keys(bad).is_err(), !bad.is_empty(), "{bad:?}");
    }
}
