//! The apps in `examples/marathon` and `docs/marathon.md` are right, and what they ask for can be had;
//! `docs/marathon-rules.md` has the rules.

use std::{collections::BTreeSet, fs};

use hawser::{
    marathon::{Context, Level, RULES, check, convert},
    spec::{BackendKind, Defaults},
};

use crate::{apps, context, defaults, directory};

/// A node with every backend.
fn everything() -> Context {
    let (ebs, nfs) = (defaults::with_ebs().ebs, defaults::with_nfs(&["fast"]).nfs);
    let defaults = Defaults { backend: BackendKind::Ebs, ebs, nfs, ..defaults::local() };
    Context { defaults: Some(defaults), ..context() }
}

#[test]
fn the_examples_of_apps_are_right() {
    let examples = apps("examples/marathon");
    let names: BTreeSet<_> = examples.iter().map(|(name, _)| name.as_str()).collect();
    for (name, app) in &examples {
        let report = check(app, &everything()).unwrap();
        let before = *name == "rexray-before.json";
        let by_path = ["mesos-shared.json", "pod-shared.json"].contains(&name.as_str());
        let allowed = |rule: &str| {
            (before && rule == "other-driver") || (by_path && rule == "published-path")
        };
        let wrong: Vec<_> =
            report.findings.iter().filter(|finding| !allowed(finding.rule)).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
    for name in [
        "postgres",
        "nginx-shared",
        "consul-scale",
        "mesos-redis",
        "mesos-shared",
        "pod-shared",
        "rexray-before",
        "rexray-after",
    ] {
        assert!(names.contains(format!("{name}.json").as_str()), "{name}: {names:?}");
    }
}

#[test]
fn the_app_after_rexray_is_what_convert_makes_of_the_one_before() {
    let read = |name: &str| fs::read_to_string(directory("examples/marathon").join(name)).unwrap();
    let converted = convert(&read("rexray-before.json"), "hawser").unwrap();
    assert_eq!(converted.text, read("rexray-after.json"));
}

/// Each with its level.
#[test]
fn the_page_about_the_rules_has_every_rule_and_no_other() {
    let page = fs::read_to_string(directory("docs/marathon-rules.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<_> = rows
        .filter_map(|row| {
            let mut cells = row.split('|').map(str::trim);
            Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
        })
        .filter(|(_, level)| ["error", "warning", "advice"].contains(&level.as_str()))
        .collect();
    let rules = RULES.iter().map(|rule| (rule.name.to_owned(), rule.level.to_string()));
    assert_eq!(listed, rules.collect());
}

#[test]
fn the_apps_on_the_page_about_marathon_are_right() {
    let page = fs::read_to_string(directory("docs/marathon.md")).unwrap();
    let mut checked = 0;
    for block in page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        // Only the container is shown.
        let app = format!(
            r#"{{"id": "/shown", "cmd": "x", "upgradeStrategy": {{"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}, {block}}}"#
        );
        let report = check(&app, &everything()).unwrap();
        assert_eq!(report.count(Level::Error) + report.count(Level::Warning), 0, "{report:#?}");
        checked += 1;
    }
    assert!(checked >= 3, "{checked}");
}
