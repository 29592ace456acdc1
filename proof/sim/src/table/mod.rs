//! Tables: what `kubectl get` prints.

mod cells;
mod jsonpath;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::json::{at, text};
use crate::kinds::Kind;
use crate::present::metadata_only;

/// What of the object goes along with each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// A column: heading, type, and 0 for those that are always shown.
pub(crate) type Column = (&'static str, &'static str, i64);

/// The table of some objects of one kind, in the version that was asked for.
pub(crate) fn of(kind: &Kind, objects: &[&Value], include: Include, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": cells_of(kind, object, now)});
            match include {
                Include::None => row["object"] = Value::Null,
                Include::Metadata => row["object"] = metadata_only(object),
                Include::Object => row["object"] = (*object).clone(),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": columns_of(kind), "rows": rows,
    })
}

fn columns_of(kind: &Kind) -> Vec<Value> {
    let mut columns = vec![json!({
        "name": "Name", "type": "string", "format": "name", "priority": 0,
        "description": "Name must be unique within a namespace.",
    })];
    match custom_columns(kind) {
        Some(custom) => columns.extend(custom.iter().map(|column| {
            json!({
                "name": text(column, "name"), "type": text(column, "type"), "format": text(column, "format"),
                "description": text(column, "description"), "priority": column["priority"].as_i64().unwrap_or(0),
            })
        })),
        None => columns.extend(cells::columns(kind).iter().map(|(name, kind, priority)| {
            json!({"name": name, "type": kind, "format": "", "description": "", "priority": priority})
        })),
    }
    if custom_columns(kind).is_some_and(<[Value]>::is_empty) {
        columns.push(json!({"name": "Age", "type": "date", "format": "", "description": "", "priority": 0}));
    }
    columns
}

fn custom_columns(kind: &Kind) -> Option<&[Value]> {
    kind.custom.as_ref().map(|custom| custom.columns.as_slice())
}

fn cells_of(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![text(object, "metadata.name").into()];
    match custom_columns(kind) {
        Some([]) => cells.push(age(at(object, "metadata.creationTimestamp"), now).into()),
        Some(columns) => {
            cells.extend(columns.iter().map(|column| {
                let value = jsonpath::first(object, text(column, "jsonPath"));
                match text(column, "type") {
                    "date" => value.map_or("".into(), |value| age(&value, now).into()),
                    "string" => value.map_or(Value::Null, |value| shown(&value).into()),
                    _ => value.unwrap_or_default(),
                }
            }));
        }
        None => cells.extend(cells::cells(kind, object, now)),
    }
    cells
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How long ago a timestamp was, in kubectl's short form.
pub(crate) fn age(value: &Value, now: Timestamp) -> String {
    let Some(then) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    duration(now.as_second() - then.as_second())
}

/// Kubernetes' `HumanDuration`, of whole seconds.
fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{large_unit}")
        } else {
            format!("{large}{large_unit}{small}{small_unit}")
        }
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 | 0 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, "m", s % MINUTE, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, "d", s % DAY / HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, "y", s % YEAR / DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}
