//! Apps with something odd in every place: nothing panics, and whatever is written can be read.

use hawser::marathon::{check, convert};
use serde_json::{Value, json};

use crate::{apps, context};

fn odd() -> [Value; 10] {
    [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("name=a,,b=:c:d:e"),
        json!("pxd"),
        json!([[], "x"]),
        json!({}),
        json!({ "dvdi/driver": "rexray", "size": {} }),
    ]
}

/// The value with something odd in one place, for each place.
fn changed(value: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = odd().into();
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for odd in changed(item) {
                    let mut items = items.clone();
                    items[index] = odd;
                    all.push(Value::Array(items));
                }
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                for odd in changed(field) {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), odd);
                    all.push(Value::Object(fields));
                }
                let mut fields = fields.clone();
                fields.remove(key);
                all.push(Value::Object(fields));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

#[test]
fn whatever_stands_in_an_app_it_is_checked_and_what_is_converted_can_be_read() {
    let (mut checked, mut converted) = (0, 0);
    for directory in ["convert", "right"] {
        for (name, app) in apps(&format!("tests/golden/marathon/{directory}")) {
            let app: Value = serde_json::from_str(&app).unwrap();
            for odd in changed(&app) {
                let text = odd.to_string();
                checked += usize::from(check(&text, &context()).is_ok());
                if let Ok(done) = convert(&text, "hawser") {
                    assert!(check(&done.text, &context()).is_ok(), "{name}: {text}");
                    converted += usize::from(done.volumes > 0);
                }
            }
        }
    }
    assert!(checked > 5000 && converted > 1000, "{checked} {converted}");
}
