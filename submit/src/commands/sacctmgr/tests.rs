//! Words to exact lines, over rows as they come from a controller.

use proto::v1::{GetClusterReply, JobRow, ListNodesReply, NodeReason, NodeRow, NodeState, Setting};

use super::*;

fn asked(words: &[&str]) -> Outcome<(Asked, Entity)> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let options = Options::from_arg_matches(&getopt::read(&mut command(), &words)?).expect("these options");
    let entity = entity(&options.words[1]).expect("an entity");
    Ok((Asked::read(&options, entity, &options.words[2..])?, entity))
}

fn printed(words: &[&str]) -> Vec<String> {
    let (asked, entity) = asked(words).expect("all is well");
    let mut names = rows::Names::default();
    for (user, account, wckey) in [("ada", "physics", "w"), ("bob", "", ""), ("ada", "art", ""), ("bob", "art", "")] {
        let row = JobRow { user: user.into(), account: account.into(), wckey: wckey.into(), ..JobRow::default() };
        names.enter(&row);
    }
    let gpu = NodeRow { name: "n1".into(), gres: "gpu:a100:2,fpga:1".into(), ..NodeRow::default() };
    let reason = NodeReason { text: "smoke".into(), user: "root".into(), ..NodeReason::default() };
    let down = NodeRow { name: "n2".into(), state: NodeState::Down.into(), reason: Some(reason), ..gpu.clone() };
    let nodes = ListNodesReply { nodes: vec![gpu, down], ..ListNodesReply::default() };
    let licenses = Setting { key: "Licenses".into(), value: "matlab:2".into() };
    let about = GetClusterReply { name: "covey".into(), settings: vec![licenses], ..GetClusterReply::default() };
    let rows = match entity.name {
        "qos" => vec![rows::qos()],
        "tres" => rows::tres(&nodes, &about),
        "event" => rows::events(&nodes, "covey"),
        name => names.rows(name, "covey"),
    };
    asked.lines(&rows)
}

#[test]
fn headers_are_slurms_to_the_letter() {
    let header = |words: &[&str]| printed(words)[0].clone();
    assert_eq!(header(&["show", "user"]), "      User   Def Acct     Admin ");
    assert_eq!(header(&["list", "accounts"]), "   Account                Descr                  Org ");
    assert_eq!(
        header(&["show", "assoc"]),
        "   Cluster    Account       User  Partition     Share   Priority GrpJobs       GrpTRES GrpSubmit     GrpWall   \
         GrpTRESMins MaxJobs       MaxTRES MaxTRESPerNode MaxSubmit     MaxWall   MaxTRESMins                  QOS   Def QOS GrpTRESRunMin "
    );
    assert_eq!(
        header(&["-s", "show", "user"]),
        "      User   Def Acct     Admin    Cluster    Account  Partition     Share   Priority MaxJobs MaxNodes  MaxCPUs \
         MaxSubmit     MaxWall  MaxCPUMins                  QOS   Def QOS "
    );
    assert_eq!(
        header(&["show", "cluster"]),
        "   Cluster     ControlHost  ControlPort   RPC     Share GrpJobs       GrpTRES GrpSubmit MaxJobs       MaxTRES \
         MaxSubmit     MaxWall                  QOS   Def QOS "
    );
    assert_eq!(
        header(&["show", "event"]),
        "   Cluster        NodeName           TimeStart             TimeEnd  State                         Reason       User "
    );
    assert_eq!(
        header(&["show", "transactions"]),
        "               Time               Action      Actor                Where                 Info "
    );
    assert!(
        header(&["show", "qos"])
            .starts_with("      Name   Priority  GraceTime    Preempt   PreemptExemptTime PreemptMode ")
    );
}

#[test]
fn rows_are_what_jobs_and_nodes_say() {
    assert_eq!(printed(&["-nP", "show", "qos", "format=name,prio,usagefactor"]), ["normal|0|1.000000"]);
    assert_eq!(printed(&["-np", "list", "wckey"]), ["w|covey|ada|"]);
    assert_eq!(printed(&["-nP", "show", "account", "format=acc"]), ["art", "physics"]);
    let associations = |words: &[&str]| printed(&[&["-nP", "show", "assoc", "format=account,user"], words].concat());
    assert_eq!(associations(&[]), ["root|", "art|", "art|ada", "art|bob", "physics|", "physics|ada"]);
    assert_eq!(associations(&["where", "user=ada", "cluster=covey"]), ["art|ada", "physics|ada"]);
    assert_eq!(associations(&["account=art", "tree"]), ["art|", "art|ada", "art|bob"]);
    assert_eq!(printed(&["-nP", "list", "user", "withassoc", "names=bob", "format=user,account"]), ["bob|"]);
    let event = printed(&["-nP", "list", "event"]);
    assert_eq!(event, ["covey|n2|Unknown|Unknown|DOWN|smoke|root"]);
    let tres = printed(&["show", "tres", "type=cpu,gres,license"]);
    assert_eq!(
        tres,
        [
            "    Type            Name     ID ",
            "-------- --------------- ------ ",
            "     cpu                      1 ",
            "    gres            fpga        ",
            "    gres             gpu        ",
            "    gres        gpu:a100        ",
            " license          matlab        ",
        ]
    );
}

#[test]
fn a_users_accounts_are_no_limit() {
    // Snakemake refuses an account that is not in this list, unless the list is empty.
    let told = printed(&["-n", "-s", "list", "user", "ada", "format=account%256"]);
    assert!(told.len() == 1 && told[0].trim().is_empty(), "{told:?}");
    assert!(printed(&["-n", "-s", "list", "user", "nobody", "format=account%256"]).is_empty());
}

#[test]
fn what_is_not_understood_is_said_in_slurms_words() {
    let text = |words: &[&str]| asked(words).err().map(|failure| failure.text()).unwrap_or_default();
    assert!(text(&["show", "user", "colour=red"]).starts_with(" Unknown condition: colour=red\n"));
    assert_eq!(text(&["show", "user", "format=colour"]), " Unknown field 'colour'\n");
    let code = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        manage(&words).err().map(|failure| (failure.code(), failure.text()))
    };
    let (exit, hint) = code(&["-i", "add", "account", "physics"]).expect("nothing is added");
    assert!(exit == 1 && hint.contains("any is accepted"), "{hint}");
    assert_eq!(code(&["bogus"]).map(|(exit, _)| exit), Some(1));
    assert!(code(&["show", "bogus"]).is_some_and(|(_, text)| text.contains("runawayjobs")));
}

#[test]
fn documents_have_the_rows_of_the_tables() {
    let told = |entity: &str, rows: Vec<Row>| {
        let document = json::document(entity, rows, &Meta::here("sacctmgr", &[], "covey"));
        serde_json::to_value(document.expect("Slurm has one of it")).expect("it is JSON")
    };
    let qos = told("qos", vec![rows::qos()]);
    assert_eq!(qos["qos"][0]["name"], "normal");
    assert_eq!(qos["qos"][0]["id"], 1);
    let user = Row::from([("User", "ada".to_owned()), ("AdminLevel", "None".to_owned())]);
    let users = told("user", vec![user]);
    assert_eq!(users["users"][0]["name"], "ada");
    assert_eq!(users["users"][0]["administrator_level"][0], "None");
    let association =
        Row::from([("Account", "physics".to_owned()), ("User", "ada".to_owned()), ("QOS", "normal".to_owned())]);
    let associations = told("association", vec![association]);
    assert_eq!(associations["associations"][0]["account"], "physics");
    assert_eq!(associations["associations"][0]["parent_account"], "root");
    assert_eq!(told("tres", Vec::new())["TRES"], serde_json::json!([]));
    assert!(json::document("event", Vec::new(), &Meta::here("sacctmgr", &[], "covey")).is_none());
}
