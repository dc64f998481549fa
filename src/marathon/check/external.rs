//! Marathon's rules for external volumes.

use serde_json::Value;

use super::{is_label, typed};
use crate::marathon::{
    app::{App, Container, Containerizer},
    finding::Findings,
    json::At,
    rules,
    volume::DRIVER,
};

pub(super) fn check(app: &App<'_>, container: &Container<'_>, findings: &mut Findings) {
    let volumes = container.at.list("volumes");
    let external = volumes.iter().filter_map(|volume| Some((volume, volume.get("external")?)));
    let external = external.filter(|(_, external)| external.value.is_object());
    let mut names: Vec<&str> = Vec::new();
    let mut dvdi = 0;
    for (volume, external) in external {
        name(&external, &mut names, findings);
        match external.text_of("provider") {
            Some("dvdi") => {
                dvdi += 1;
                of_dvdi(volume, &external, container.kind, findings);
            }
            Some("csi") => {}
            _ => {
                let what = "the provider is not known";
                let path = external.place("provider");
                findings.add(&rules::EXTERNAL_PROVIDER, path, what, "write \"provider\": \"dvdi\"");
            }
        }
    }
    if dvdi > 0 {
        of_the_app(app, findings);
    }
}

fn name<'a>(external: &At<'a>, names: &mut Vec<&'a str>, findings: &mut Findings) {
    let path = external.place("name");
    match external.text_of("name") {
        Some("") | None => {
            findings.add(&rules::EXTERNAL_NAME, path, "the volume has no name", "give it a name");
        }
        Some(name) if names.contains(&name) => {
            let what = "another volume of the app has this name";
            let instead = "mount it once, at a directory above both paths";
            findings.add(&rules::DVDI_NAME_TWICE, path, what, instead);
        }
        Some(name) => names.push(name),
    }
}

fn of_dvdi(volume: &At<'_>, external: &At<'_>, kind: Containerizer, findings: &mut Findings) {
    let size = external.get("size");
    if size.as_ref().is_some_and(|size| !size.value.is_u64()) {
        let instead = match kind {
            Containerizer::Mesos => {
                "write a number of GiB without quotes; another unit goes into \"dvdi/size\": \"512MiB\""
            }
            Containerizer::Docker => "write it into the name: \"name\": \"name=NAME,size=512MiB\"",
        };
        let what = "the size is not a whole number";
        findings.add(&rules::EXTERNAL_SIZE, external.place("size"), what, instead);
    }
    typed(external, "shared", "true or false, without quotes", Value::is_boolean, findings);
    options(external, findings);
    let path = volume.text_of("containerPath").unwrap_or_default();
    if matches!(path, "." | "..") {
        let what = format!("`{path}` is not a place for a volume");
        let instead = "write a name such as data, or an absolute path";
        findings.add(&rules::CONTAINER_PATH, volume.place("containerPath"), what, instead);
    }
    match kind {
        Containerizer::Mesos => {
            if volume.text_of("mode") == Some("RO") {
                let what = "a volume that is read only";
                findings.add(&rules::DVDI_READ_ONLY, volume.place("mode"), what, "write \"RW\"");
            }
        }
        Containerizer::Docker => {
            let given = external.get("options").map(|options| options.entries());
            let others = given.into_iter().flatten().filter(|(key, _)| *key != DRIVER);
            for (key, at) in others.chain(size.map(|size| ("size", size))) {
                let what = format!("`{key}` is not for containers of type DOCKER");
                let instead = "write it into the name: \"name\": \"name=NAME,size=10GiB\"";
                findings.add(&rules::DVDI_DOCKER_OPTIONS, at.path, what, instead);
            }
        }
    }
}

fn options(external: &At<'_>, findings: &mut Findings) {
    let given = typed(external, "options", "an object", Value::is_object, findings);
    let entries = given.as_ref().map(At::entries).unwrap_or_default();
    for (key, at) in &entries {
        if !is_option_key(key) {
            let what = format!("`{key}` is not the key of an option");
            let instead = "write PROVIDER/OPTION, such as \"dvdi/fs\"";
            findings.add(&rules::OPTION_KEY, at.path.clone(), what, instead);
        }
        if at.text().is_none() {
            let what = format!("the value of `{key}` is not a text");
            let instead = format!("write it in quotes: \"{}\"", at.value);
            findings.add(&rules::JSON_TYPE, at.path.clone(), what, instead);
        }
    }
    let driver = entries.iter().find(|(key, _)| *key == DRIVER).and_then(|(_, at)| at.text());
    if driver == Some("rexray") {
        entries.iter().for_each(|(key, at)| of_rexray(key, at, findings));
    }
    if !driver.is_some_and(is_label) {
        let at = given.unwrap_or_else(|| external.clone());
        let what = match driver {
            Some(driver) => format!("`{driver}` is not the name of a driver"),
            None => "no driver is named".to_owned(),
        };
        let path = at.place(DRIVER);
        findings.add(&rules::DVDI_DRIVER, path, what, "write \"dvdi/driver\": \"hawser\"");
    }
}

/// What Marathon says of `rexray`'s options, also where hawser has that name.
fn of_rexray(key: &str, at: &At<'_>, findings: &mut Findings) {
    let Some(text) = at.text() else { return };
    let (right, instead) = match key {
        "dvdi/volumetype" | "dvdi/newfstype" => (is_label(text), "write a-z, 0-9 and `-`"),
        "dvdi/iops" => (text.parse().is_ok_and(|n: u64| n > 0), "write a whole number above 0"),
        // OptionSupport.scala takes the value itself for the answer, and so refuses `false`.
        "dvdi/overwritefs" => (text.eq_ignore_ascii_case("true"), "remove it: it is false anyway"),
        _ => return,
    };
    if !right {
        let what = format!("`{key}` is `{text}`");
        findings.add(&rules::REXRAY_OPTION, at.path.clone(), what, instead);
    }
}

/// `PROVIDER/OPTION`.
fn is_option_key(key: &str) -> bool {
    let Some((provider, option)) = key.split_once('/') else { return false };
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let ends = end(option.bytes().next()) && end(option.bytes().last());
    is_label(provider) && ends && option.bytes().all(inner)
}

fn of_the_app(app: &App<'_>, findings: &mut Findings) {
    if app.instances > 1 {
        findings.add(
            &rules::DVDI_INSTANCES,
            app.at.place("instances"),
            format!("{} instances of an app with an external volume", app.instances),
            "write \"instances\": 1; for more, the type DOCKER with `parameters`: volume-driver, and \
             volume with shared=true or scale=N in its name",
        );
    }
    let over = app.at.find(["upgradeStrategy", "maximumOverCapacity"]);
    if let Some(over) = over
        && over.value.as_f64().is_some_and(|over| over > 0.0)
    {
        findings.add(
            &rules::DVDI_UPGRADE,
            over.path,
            format!("maximumOverCapacity is {}", over.value),
            "write \"upgradeStrategy\": {\"minimumHealthCapacity\": 0, \"maximumOverCapacity\": 0}",
        );
    }
}
