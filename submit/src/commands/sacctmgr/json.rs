//! `sacctmgr show ENTITY --json`: the rows of an entity in the shape of Slurm's data parser. There is no database, so limits,
//! coordinators and shares are empty.

use serde_json::{Value, json};

use super::fields::Row;
use crate::json::number::{set, unset};
use crate::json::{Document, Meta};

/// The document of an entity's rows; `None` for one that Slurm writes as a table alone.
pub(super) fn document<'a>(entity: &str, rows: Vec<Row>, meta: &Meta) -> Option<Document<'a>> {
    let (key, one): (&str, fn(&Row) -> Value) = match entity {
        "user" => ("users", user),
        "account" => ("accounts", account),
        "association" => ("associations", association),
        "cluster" => ("clusters", cluster),
        "qos" => ("qos", qos),
        "tres" => ("TRES", tres),
        "wckey" => ("wckeys", wckey),
        _ => return None,
    };
    let values: Vec<Value> = rows.iter().map(one).collect();
    Some(meta.around(key, move || values.clone().into_iter(), json!({})))
}

fn text<'a>(row: &'a Row, field: &str) -> &'a str {
    row.get(field).map_or("", String::as_str)
}

fn user(row: &Row) -> Value {
    json!({
        "name": text(row, "User"),
        "old_name": "",
        "administrator_level": [text(row, "AdminLevel")],
        "associations": [],
        "coordinators": [],
        "default": { "account": "", "qos": 0, "wckey": "" },
        "flags": [],
        "wckeys": [],
    })
}

fn account(row: &Row) -> Value {
    json!({
        "name": text(row, "Account"),
        "description": text(row, "Description"),
        "organization": text(row, "Organization"),
        "associations": [],
        "coordinators": [],
        "flags": [],
    })
}

fn association(row: &Row) -> Value {
    json!({
        "account": text(row, "Account"),
        "cluster": text(row, "Cluster"),
        "partition": text(row, "Partition"),
        "user": text(row, "User"),
        "parent_account": if text(row, "Account") == "root" { "" } else { "root" },
        "qos": [text(row, "QOS")],
        "default": { "qos": "" },
        "priority": unset(),
        "flags": [],
        "comment": "",
        "is_default": false,
        "accounting": [],
    })
}

fn cluster(row: &Row) -> Value {
    json!({
        "name": text(row, "Name"),
        "controller": { "host": text(row, "ControlHost"), "port": 0 },
        "flags": [],
        "nodes": "",
        "select_plugin": "",
        "associations": { "root": { "account": "root", "cluster": text(row, "Name"), "partition": "", "user": "" } },
        "tres": [],
    })
}

fn qos(row: &Row) -> Value {
    json!({
        "name": text(row, "Name"),
        "description": text(row, "Description"),
        "id": text(row, "ID").parse::<u32>().unwrap_or(0),
        "flags": [],
        "preempt": { "list": [], "mode": ["DISABLED"], "exempt_time": unset() },
        "priority": set(text(row, "Priority").parse::<u32>().unwrap_or(0)),
        "usage_factor": set(text(row, "UsageFactor").parse::<f64>().unwrap_or(1.0)),
        "usage_threshold": unset(),
    })
}

fn tres(row: &Row) -> Value {
    let id = text(row, "ID").parse::<u32>().unwrap_or(0);
    json!({ "type": text(row, "Type"), "name": text(row, "Name"), "id": id })
}

fn wckey(row: &Row) -> Value {
    json!({
        "name": text(row, "Name"),
        "cluster": text(row, "Cluster"),
        "user": text(row, "User"),
        "flags": [],
        "accounting": [],
    })
}
