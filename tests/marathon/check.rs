//! What is found in an app.

use std::{collections::BTreeSet, fmt::Write, fs};

use hawser::marathon::{Context, Finding, Level, RULES, check};

use crate::{apps, context, defaults, directory};

/// The findings of a directory's apps, as `findings.txt` has them.
fn found(name: &str) -> (String, Vec<Finding>) {
    let (mut text, mut all) = (String::new(), Vec::new());
    for (file, app) in apps(name) {
        writeln!(text, "{file}").unwrap();
        for finding in check(&app, &context()).unwrap().findings {
            let Finding { level, rule, app, path, what, .. } = &finding;
            writeln!(text, "  {level} {rule}: {app}: {path}: {what}").unwrap();
            all.push(finding);
        }
    }
    (text, all)
}

#[test]
fn in_right_apps_there_is_nothing_but_advice_about_versions() {
    let (text, found) = found("tests/golden/marathon/right");
    assert!(found.iter().all(|finding| finding.rule == "no-size"), "{text}");
    assert!(found.len() <= 1, "{text}");
}

#[test]
fn what_is_wrong_with_the_wrong_apps_is_found_and_nothing_else() {
    let golden = directory("tests/golden/marathon/findings.txt");
    let (text, _) = found("tests/golden/marathon/wrong");
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(text == expected, "this differs from {}:\n{text}", golden.display());
}

#[test]
fn every_rule_is_broken_by_an_app() {
    let (_, found) = found("tests/golden/marathon/wrong");
    let broken: BTreeSet<_> = found.iter().map(|finding| finding.rule).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, rules);
    assert_eq!(rules.len(), RULES.len(), "a name is given twice");
}

#[test]
fn each_finding_says_why_from_where_and_what_to_write() {
    for finding in found("tests/golden/marathon/wrong").1 {
        let Finding { path, what, why, source, instead, .. } = &finding;
        assert!([path, what, instead].iter().all(|text| !text.is_empty()), "{finding:?}");
        assert!(!why.is_empty() && !source.is_empty(), "{finding:?}");
    }
}

#[test]
fn no_finding_shows_a_secret() {
    let (text, found) = found("tests/golden/marathon/wrong");
    assert!(!text.contains("abc123"), "{text}");
    assert!(found.iter().all(|finding| !finding.to_string().contains("abc123")));
}

/// The configuration knows more than the spec says.
#[test]
fn with_a_configuration_what_its_nodes_cannot_make_is_found() {
    let context = Context { driver: "disk".to_owned(), defaults: Some(defaults::local()) };
    let app = r#"{"id": "/a", "cmd": "x", "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
        "container": {"docker": {"image": "x", "parameters": [{"key": "volume-driver", "value": "disk"},
        {"key": "volume", "value": "name=a,size=1GiB,iops=3000:/a"}]}}}"#;
    let report = check(app, &context).unwrap();
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!((finding.level, finding.rule), (Level::Error, "spec"));
    assert!(finding.what.contains("not configured on this node"), "{finding}");
}

#[test]
fn what_is_no_app_is_refused_and_never_found_right() {
    for text in
        ["", "{", "[]", "{}", "7", "[7]", "[{\"id\": \"/a\"}, 7]", "{\"id\": \"/g\", \"apps\": []}"]
    {
        assert!(check(text, &context()).is_err(), "{text}");
    }
}
