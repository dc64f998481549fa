//! Changes in the text, field by field.

use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstRootNode};

use crate::{
    marathon::{
        json::Step,
        volume::{Argument, DRIVER, PREFIX, Volume, csv},
    },
    spec::{Bytes, Key, Request, Value},
};

const GIB: u64 = 1 << 30;

/// Writes another text in the place of one.
pub(super) fn set_text(root: &CstRootNode, steps: &[Step<'_>], text: &str) {
    if let Some(literal) = node(root, steps).and_then(|node| node.as_string_lit()) {
        literal.replace_with(CstInputValue::from(text));
    }
}

/// `NAME:/PATH` of a Docker parameter.
pub(super) fn parameter(root: &CstRootNode, volume: &Volume<'_>, inline: &str) {
    let argument = volume.at.text().map(Argument::read);
    if let Some(Ok(Argument { target, options, .. })) = argument {
        set_text(root, &volume.at.steps, &format!("{inline}:{target}{options}"));
    }
}

/// The fields of a Docker parameter `mount`: source, driver and options are exchanged, the rest stays.
pub(super) fn mount(root: &CstRootNode, volume: &Volume<'_>, request: &Request, driver: &str) {
    let own = ["source=", "src=", "volume-driver=", "volume-opt="];
    let mut fields = csv(volume.at.text().unwrap_or_default());
    fields.retain(|field| !own.iter().any(|key| field.starts_with(key)));
    fields.push(format!("source={}", request.name));
    fields.push(format!("volume-driver={driver}"));
    let options = pairs(request).into_iter();
    fields.extend(options.map(|(key, value)| format!("volume-opt={key}={value}")));
    let quoted = |field: String| if field.contains(',') { format!("\"{field}\"") } else { field };
    let fields: Vec<_> = fields.into_iter().map(quoted).collect();
    set_text(root, &volume.at.steps, &fields.join(","));
}

/// An external volume of the Mesos containerizer: a plain name, the size, and an option for each field.
pub(super) fn mesos(root: &CstRootNode, volume: &Volume<'_>, request: &Request, driver: &str) {
    let Some(external) = object(root, &volume.at.steps) else { return };
    set(&external, "name", request.name.as_str());
    let mut wanted = pairs(request);
    if let Some(Value::Size(size)) = request.stated.get(Key::Size) {
        wanted.retain(|(key, _)| key != Key::Size.as_str());
        set_size(&external, *size, &mut wanted);
    }
    let options = external.object_value_or_set("options");
    set(&options, DRIVER, driver);
    for property in options.properties() {
        let key = property.decoded_name().unwrap_or_default();
        let value = property.value().and_then(|value| value.as_string_lit());
        let value = value.and_then(|value| value.decoded_value().ok());
        let stays = wanted.iter().any(|(k, v)| {
            key.strip_prefix(PREFIX) == Some(k.as_str()) && value.as_deref() == Some(v.as_str())
        });
        if key.starts_with(PREFIX) && key != DRIVER && !stays {
            property.remove();
        }
    }
    for (key, value) in wanted {
        let key = format!("{PREFIX}{key}");
        if options.get(&key).is_none() {
            options.append(&key, CstInputValue::from(value));
        }
    }
}

/// Marathon's `size` is a number of GiB; any other size is an option.
fn set_size(external: &CstObject, size: Bytes, wanted: &mut Vec<(String, String)>) {
    if !size.get().is_multiple_of(GIB) {
        external.get("size").into_iter().for_each(|size| size.remove());
        wanted.push(("size".to_owned(), size.to_string()));
        return;
    }
    let number = (size.get() / GIB).to_string();
    match external.get("size") {
        Some(present) if present.value().is_some_and(|value| value.to_string() == number) => {}
        Some(present) => present.set_value(CstInputValue::Number(number)),
        None => drop(external.append("size", CstInputValue::Number(number))),
    }
}

/// An external volume of the Docker containerizer: all in the name.
pub(super) fn docker(root: &CstRootNode, volume: &Volume<'_>, inline: &str, driver: &str) {
    let Some(external) = object(root, &volume.at.steps) else { return };
    set(&external, "name", inline);
    set(&external.object_value_or_set("options"), DRIVER, driver);
}

/// Each field that is stated, as an option: without `,` and `=`, which dvdcli does not carry.
fn pairs(request: &Request) -> Vec<(String, String)> {
    let fields = request.stated.canonical();
    let fields = fields.split(',').filter_map(|field| field.split_once('='));
    fields.map(|(key, value)| (key.to_owned(), value.replace('=', "."))).collect()
}

/// Writes a text field, if it says something else.
fn set(object: &CstObject, key: &str, text: &str) {
    match object.get(key) {
        Some(property) => {
            let present = property.value().and_then(|value| value.as_string_lit());
            let present = present.and_then(|value| value.decoded_value().ok());
            if present.as_deref() != Some(text) {
                property.set_value(CstInputValue::from(text));
            }
        }
        None => drop(object.append(key, CstInputValue::from(text))),
    }
}

fn object(root: &CstRootNode, steps: &[Step<'_>]) -> Option<CstObject> {
    node(root, steps)?.as_object()
}

fn node(root: &CstRootNode, steps: &[Step<'_>]) -> Option<CstNode> {
    steps.iter().try_fold(root.value()?, |node, step| match *step {
        Step::Field(key) => node.as_object()?.get(key)?.value(),
        Step::Item(index) => node.as_array()?.elements().into_iter().nth(index),
    })
}
