//! Marathon's rules for an app's id, its tasks, where they run, and how they are replaced.

use serde_json::Value;

use super::{is_label, typed};
use crate::marathon::{app::App, finding::Findings, json::At, rules};

pub(super) fn check(app: &App<'_>, findings: &mut Findings) {
    id(app, findings);
    let at = &app.at;
    typed(at, "instances", "a whole number, 0 or more", Value::is_u64, findings);
    typed(at, "container", "an object", Value::is_object, findings);
    runs_something(app, findings);
    if let Some(constraints) = typed(at, "constraints", "an array", Value::is_array, findings) {
        constraints.items().iter().for_each(|one| constraint(one, findings));
    }
    upgrade_strategy(app, findings);
    unreachable_strategy(app, findings);
}

fn id(app: &App<'_>, findings: &mut Findings) {
    const FORM: &str = "write a path such as \"/shop/db\": a-z, 0-9, `-` and `.`, none of the two at \
                        an end of a segment, and the last segment not restart, tasks or versions";
    let what = match app.at.get("id").map(|id| id.value) {
        None => "the app has no id".to_owned(),
        Some(Value::String(id)) => {
            let segments: Vec<_> = id.split('/').filter(|segment| !segment.is_empty()).collect();
            let right =
                |segment: &&str| matches!(*segment, "." | "..") || segment.split('.').all(is_label);
            let reserved = ["restart", "tasks", "versions", ".", ".."];
            match segments.last() {
                Some(last) if segments.iter().all(right) && !reserved.contains(last) => return,
                _ => format!("`{id}` is not the id of an app"),
            }
        }
        Some(_) => "the id is not a text".to_owned(),
    };
    findings.add(&rules::APP_ID, app.at.place("id"), what, FORM);
}

fn runs_something(app: &App<'_>, findings: &mut Findings) {
    let filled = |key: &str| {
        app.at.get(key).is_some_and(|at| match at.value {
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        })
    };
    let what = match (filled("cmd"), filled("args")) {
        (true, true) => "both `cmd` and `args`",
        (false, false) if app.container.is_none() => "neither `cmd` nor `args` nor a container",
        (true, false) | (false, true) | (false, false) => return,
    };
    findings.add(&rules::NO_TASK, app.at.place("cmd"), what, "give one of them");
}

fn constraint(at: &At<'_>, findings: &mut Findings) {
    const EXAMPLE: &str = "write [\"hostname\", \"UNIQUE\"], or [\"rack\", \"LIKE\", \"a|b\"]";
    let items = at.items();
    let words: Vec<_> = items.iter().filter_map(At::text).collect();
    let whole_number = |text: &str| text.parse::<i32>().is_ok();
    let wrong = match words.as_slice() {
        words if words.len() != items.len() || !(2..=3).contains(&words.len()) => {
            Some("a constraint is a list of two or three texts".to_owned())
        }
        ["", ..] => Some("the constraint names no field".to_owned()),
        [_, operator, value @ ..] => match (operator.to_ascii_uppercase().as_str(), value) {
            ("UNIQUE", [_]) => Some("UNIQUE takes no value".to_owned()),
            ("LIKE" | "UNLIKE", []) => Some(format!("{operator} needs a regular expression")),
            ("MAX_PER", []) => Some("MAX_PER needs a whole number".to_owned()),
            ("MAX_PER" | "GROUP_BY", [number]) if !whole_number(number) => {
                Some(format!("{operator} takes a whole number"))
            }
            ("UNIQUE" | "CLUSTER" | "GROUP_BY" | "LIKE" | "UNLIKE" | "MAX_PER" | "IS", _) => None,
            _ => Some(format!(
                "`{operator}` is not UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER or IS"
            )),
        },
        _ => None,
    };
    if let Some(what) = wrong {
        findings.add(&rules::CONSTRAINT, at.path.clone(), what, EXAMPLE);
    }
}

fn upgrade_strategy(app: &App<'_>, findings: &mut Findings) {
    let strategy = typed(&app.at, "upgradeStrategy", "an object", Value::is_object, findings);
    let Some(strategy) = strategy else { return };
    for key in ["minimumHealthCapacity", "maximumOverCapacity"] {
        let said = strategy.get(key);
        let right = said.as_ref().and_then(|at| at.value.as_f64());
        if !right.is_some_and(|number| (0.0..=1.0).contains(&number)) {
            let path = strategy.place(key);
            let what = if said.is_some() { "is not a number from 0 to 1" } else { "is missing" };
            findings.add(
                &rules::UPGRADE_RANGE,
                path,
                format!("`{key}` {what}"),
                "write both, each from 0 to 1",
            );
        }
    }
}

fn unreachable_strategy(app: &App<'_>, findings: &mut Findings) {
    const RIGHT: &str = "write \"disabled\", or both times with inactiveAfterSeconds at most \
                         expungeAfterSeconds";
    let Some(strategy) = app.at.get("unreachableStrategy") else { return };
    let seconds = |key: &str| strategy.get(key).map_or(Some(0), |at| at.value.as_i64());
    let right = match strategy.value {
        Value::String(text) => text == "disabled",
        Value::Object(_) => match (seconds("inactiveAfterSeconds"), seconds("expungeAfterSeconds"))
        {
            (Some(inactive), Some(expunge)) => 0 <= inactive && inactive <= expunge,
            _ => false,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    if !right {
        let what = "it is neither \"disabled\" nor two times in order";
        findings.add(&rules::UNREACHABLE_RANGE, strategy.path, what, RIGHT);
    }
}
