//! What becomes of another plugin's apps.

use std::fs;

use hawser::marathon::{Level, check, convert};
use serde_json::Value;

use crate::{apps, context, directory};

/// The text after the conversion, and below it the notes.
fn converted(app: &str) -> String {
    let converted = convert(app, "hawser").unwrap();
    format!("{}\n{}\n", converted.text.trim_end(), converted.notes.join("\n"))
}

#[test]
fn each_app_becomes_what_is_beside_it() {
    let mut wrong = Vec::new();
    for (name, app) in apps("tests/golden/marathon/convert") {
        let golden = directory("tests/golden/marathon/convert").join(&name).with_extension("txt");
        let text = converted(&app);
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_converted_app_has_only_mistakes_that_it_had_before() {
    for (name, app) in apps("tests/golden/marathon/convert") {
        let after = convert(&app, "hawser").unwrap().text;
        let errors = |text: &str| check(text, &context()).unwrap().count(Level::Error);
        assert_eq!(errors(&after), errors(&app), "{name}");
    }
}

#[test]
fn what_is_not_about_a_volume_is_the_same_afterwards() {
    let without_volumes = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        let apps = match value.get_mut("apps").and_then(Value::as_array_mut) {
            Some(apps) => apps.iter_mut().collect(),
            None => vec![&mut value],
        };
        for app in apps {
            let container = app["container"].as_object_mut().unwrap();
            container.remove("volumes");
            if let Some(docker) = container.get_mut("docker").and_then(Value::as_object_mut) {
                docker.remove("parameters");
            }
        }
        value
    };
    for (name, app) in apps("tests/golden/marathon/convert") {
        let after = convert(&app, "hawser").unwrap().text;
        assert_eq!(without_volumes(&after), without_volumes(&app), "{name}");
    }
}

#[test]
fn converting_twice_changes_nothing_more() {
    for (name, app) in apps("tests/golden/marathon/convert") {
        let once = convert(&app, "hawser").unwrap().text;
        let twice = convert(&once, "hawser").unwrap();
        assert_eq!((twice.text, twice.volumes, twice.notes), (once, 0, Vec::new()), "{name}");
    }
}

#[test]
fn apps_of_hawser_and_of_others_stay_as_they_are_written() {
    for (name, app) in apps("tests/golden/marathon/right") {
        let converted = convert(&app, "hawser").unwrap();
        assert_eq!((converted.text, converted.volumes), (app, 0), "{name}");
    }
}

#[test]
fn a_volume_that_cannot_be_read_is_left_alone_with_the_reason() {
    let app = r#"{"id": "/a", "container": {"docker": {"image": "x", "parameters": [
        {"key": "volume-driver", "value": "pxd"}, {"key": "volume", "value": "size=5,repl=2:/a"}]}}}"#;
    let converted = convert(app, "hawser").unwrap();
    assert_eq!((converted.volumes, converted.left), (0, 1));
    let [note] = converted.notes.as_slice() else { panic!("{:?}", converted.notes) };
    assert!(note.contains("left as it is: it does not have exactly one name"), "{note}");
}

#[test]
fn a_field_that_is_there_twice_is_an_error_and_not_half_a_conversion() {
    let app = r#"{"id": "/a", "cmd": "x", "container": {"type": "MESOS", "volumes": [{"containerPath": "a", "mode": "RW",
        "external": {"name": "a", "provider": "dvdi", "options": {"dvdi/driver": "x", "dvdi/driver": "rexray"}}}]}}"#;
    let error = convert(app, "hawser").unwrap_err().to_string();
    assert!(error.contains("/a: the volume `a` could not be changed"), "{error}");
}
