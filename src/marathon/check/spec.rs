//! What Docker, dvdcli and hawser make of an app's volumes.

use super::Context;
use crate::{
    marathon::{
        app::{App, Container, Containerizer},
        finding::Findings,
        json::At,
        rules,
        volume::{Argument, DRIVER, Route, Volume, driver_parameters, parameters},
    },
    spec::Key,
};

pub(super) fn check(
    app: &App<'_>,
    container: &Container<'_>,
    context: &Context,
    findings: &mut Findings,
) {
    if container.kind == Containerizer::Docker {
        forms(container, findings);
        drivers(app, container, findings);
    }
    paths(app, container, findings);
    csi(container, context, findings);
    // That a volume has no name is Marathon's to say, and was said.
    for volume in app.volumes.iter().filter(|volume| !volume.name.is_empty()) {
        match &volume.driver {
            None => no_driver(volume, context, findings),
            Some(_) if volume.is_of(&context.driver) => {
                spec(volume, context, findings);
                if volume.route == Route::External {
                    external(volume, container, findings);
                }
            }
            Some(driver) => {
                let what = format!("the volume is one of `{driver}`");
                let instead = match driver.split([':', '/']).next() {
                    Some("rexray") => {
                        "`hawser marathon convert` makes it hawser's; where hawser is the driver `rexray` \
                         (daemon.rexray_socket), check with --driver rexray"
                    }
                    Some("pxd") => "`hawser marathon convert` makes it hawser's",
                    _ => "write `hawser`, or name hawser's driver with --driver",
                };
                findings.add(&rules::OTHER_DRIVER, volume.path.clone(), what, instead);
            }
        }
    }
}

/// Whether Docker can read the parameters about volumes.
fn forms(container: &Container<'_>, findings: &mut Findings) {
    for (key, value) in parameters(&container.at) {
        let wrong = match (key, value.text()) {
            ("volume", Some(text)) => Argument::read(text).err(),
            ("v", Some(_)) => {
                Some("`v` is the short form, which Mesos cannot hand on: write `volume`")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            let instead = "write {\"key\": \"volume\", \"value\": \"name=NAME,size=10GiB:/PATH\"}";
            findings.add(&rules::PARAMETER_FORM, value.path, wrong, instead);
        }
    }
    for volume in container_mounts(container) {
        if volume.target.is_none() {
            let what = "the mount has no target";
            findings.add(&rules::PARAMETER_FORM, volume.path, what, "add target=/PATH");
        }
    }
}

fn container_mounts<'a>(container: &Container<'a>) -> Vec<Volume<'a>> {
    let all = Volume::all(container).into_iter();
    all.filter(|volume| volume.route == Route::Mount).collect()
}

/// One driver for all volumes of a container; each `mount` parameter has its own.
fn drivers(app: &App<'_>, container: &Container<'_>, findings: &mut Findings) {
    let parameters = driver_parameters(&container.at);
    let mut named: Vec<(&str, String)> = Vec::new();
    named.extend(parameters.iter().filter_map(|at| Some((at.text()?, at.path.clone()))));
    let external = app.volumes.iter().filter(|volume| volume.route == Route::External);
    for volume in external {
        let driver = volume.driver.as_deref();
        named.extend(driver.map(|driver| (driver, volume.at.place("options"))));
    }
    let Some((first, _)) = named.first() else { return };
    if let Some((other, path)) = named.iter().find(|(driver, _)| driver != first) {
        findings.add(
            &rules::TWO_DRIVERS,
            path.clone(),
            format!("one volume is of `{first}` and another of `{other}`"),
            "use one driver for the container, or parameters with the key `mount`, which name a driver each",
        );
    }
}

/// Each path once.
fn paths(app: &App<'_>, container: &Container<'_>, findings: &mut Findings) {
    let own = app.volumes.iter().filter(|volume| volume.route != Route::External);
    let mut all: Vec<_> =
        own.filter_map(|volume| Some((volume.target.clone()?, volume.path.clone()))).collect();
    for volume in container.at.list("volumes") {
        let path = volume.text_of("containerPath").map(str::to_owned);
        all.extend(path.map(|path| (path, volume.place("containerPath"))));
    }
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    for (index, (path, at)) in all.iter().enumerate() {
        if all.iter().take(index).any(|(other, _)| plain(other) == plain(path)) {
            let what = format!("another volume is at {path}");
            findings.add(&rules::SAME_PATH, at.clone(), what, "give each volume its own path");
        }
    }
}

fn csi(container: &Container<'_>, context: &Context, findings: &mut Findings) {
    for volume in container.at.list("volumes") {
        let plugin = volume.find(["external", "options", "pluginName"]);
        let ours = plugin.filter(|plugin| plugin.text() == Some(&context.driver));
        if let Some(plugin) = ours {
            let what = "a CSI volume of hawser";
            let instead = "write \"provider\": \"dvdi\" with \"dvdi/driver\", or the type DOCKER";
            findings.add(&rules::CSI_VOLUME, plugin.path, what, instead);
        }
    }
}

fn no_driver(volume: &Volume<'_>, context: &Context, findings: &mut Findings) {
    // A plain name is a volume of Docker's own, which is nobody's mistake.
    if volume.name.contains([',', '=']) {
        let what = "the name is an inline spec, and no driver is named that could read it";
        let driver = &context.driver;
        let instead = match volume.route {
            Route::Mount => format!("add volume-driver={driver} to it"),
            Route::Parameter | Route::External => {
                format!(
                    "add {{\"key\": \"volume-driver\", \"value\": \"{driver}\"}} to the parameters"
                )
            }
        };
        findings.add(&rules::NO_DRIVER, volume.path.clone(), what, instead);
    }
}

fn spec(volume: &Volume<'_>, context: &Context, findings: &mut Findings) {
    const INSTEAD: &str = "`hawser spec 'NAME' -o KEY=VALUE …` says what a spec means";
    let request = match volume.request() {
        Ok(request) => request,
        Err(error) => {
            findings.add(&rules::SPEC, volume.path.clone(), error, INSTEAD);
            return;
        }
    };
    let defaults = context.defaults.as_ref();
    if let Some(Err(error)) =
        defaults.map(|defaults| request.stated.resolve(&request.name, defaults))
    {
        findings.add(&rules::SPEC, volume.path.clone(), error.to_string(), INSTEAD);
    } else if request.stated.get(Key::Size).is_none() && request.stated.get(Key::Snapshot).is_none()
    {
        let what = format!("no size is stated for `{}`", request.name);
        findings.add(
            &rules::NO_SIZE,
            volume.path.clone(),
            what,
            "add size=10GiB, or what the app needs",
        );
    }
}

/// What comes of the way through Marathon's external volumes.
fn external(volume: &Volume<'_>, container: &Container<'_>, findings: &mut Findings) {
    let options = volume.at.get("options").map(|options| options.entries()).unwrap_or_default();
    let carried = |(key, at): &(&str, At<'_>)| {
        *key != DRIVER && at.text().is_some_and(|text| text.contains([',', '=']))
    };
    let mesos = container.kind == Containerizer::Mesos;
    for (key, at) in options.iter().filter(|one| mesos && carried(one)) {
        let what = format!("the value of `{key}` has a comma or an equals sign");
        let instead = "in lists write `;` for `,` and `.` for `=`: \"noatime;commit.30\"; or write \
                       the spec into the name, which is handed on as it is";
        findings.add(&rules::DVDCLI_VALUE, at.path.clone(), what, instead);
    }
    if volume.name.contains([',', '=']) {
        let what = "an inline spec as the name of an external volume";
        let instead = if mesos {
            "before Marathon 1.8.222, and 1.9.100, write \"size\" and \"dvdi/…\" options"
        } else {
            "before Marathon 1.8.222, and 1.9.100, use `parameters`: volume-driver, and volume"
        };
        findings.add(&rules::INLINE_NAME, volume.path.clone(), what, instead);
    }
    let target = volume.target.as_deref().unwrap_or_default();
    let image = container.at.find(["docker", "image"]).is_some();
    if mesos && !image && target.starts_with('/') {
        let what = format!("{target} in a container without an image");
        let instead = "write a path without `/` before it: the task finds it in its sandbox";
        findings.add(&rules::SANDBOX_PATH, volume.path.clone(), what, instead);
    }
}
