//! How many tasks use a volume, and what happens when one takes another's place.

use super::Context;
use crate::{
    marathon::{
        app::App,
        finding::Findings,
        json::At,
        rules,
        volume::{Route, Volume, is_shared},
    },
    spec::{Key, Request, Sharing, Value},
};

const STOP_FIRST: &str =
    "write \"upgradeStrategy\": {\"minimumHealthCapacity\": 0, \"maximumOverCapacity\": 0}";

pub(super) fn check(app: &App<'_>, context: &Context, findings: &mut Findings) {
    let ours = app.volumes.iter().filter(|volume| volume.is_of(&context.driver));
    let mut exclusive = false;
    let mut any = false;
    for volume in ours {
        let Ok(request) = volume.request() else { continue };
        any = true;
        let shared = is_shared(&request, context.defaults.as_ref());
        exclusive |= !shared && request.stated.scale().is_none();
        match request.stated.scale() {
            Some(scale) => group(app, volume, u64::from(scale.get()), findings),
            None if !shared => one_volume(app, volume, &request, findings),
            None => {}
        }
        shared_flag(volume, &request, findings);
    }
    if exclusive && app.instances == 1 && app.tasks_during_upgrade() > 1 {
        let at =
            app.at.get("upgradeStrategy").map_or(app.at.place("upgradeStrategy"), |at| at.path);
        let what = "a new version's task is started while the old one has the volume";
        findings.add(&rules::UPGRADE_OVERLAP, at, what, STOP_FIRST);
    }
    if any {
        unreachable(app, findings);
    }
    place_of_one_more(app, findings);
}

/// An upgrade that begins with one task more than there are, of an app with one on each node.
fn place_of_one_more(app: &App<'_>, findings: &mut Findings) {
    let during = app.tasks_during_upgrade();
    if app.instances < 2 || !app.is_one_per_node() || during <= app.instances {
        return;
    }
    let at = app.at.get("upgradeStrategy").map_or(app.at.place("upgradeStrategy"), |at| at.path);
    let what = format!("one task on each node, and up to {during} while a version is replaced");
    let instead = "have at least as many nodes, or write a minimumHealthCapacity that lets a task end \
                   first, such as 0, and \"maximumOverCapacity\": 0";
    findings.add(&rules::UPGRADE_PLACE, at, what, instead);
}

/// A volume that tasks of one node at a time can use.
fn one_volume(app: &App<'_>, volume: &Volume<'_>, request: &Request, findings: &mut Findings) {
    // What Marathon itself refuses was said.
    if app.instances > 1 && volume.route != Route::External {
        findings.add(
            &rules::SEVERAL_ON_ONE,
            volume.path.clone(),
            format!("{} instances, and one volume `{}` that is not shared", app.instances, request.name),
            "add shared=true (all tasks have one volume) or scale=N (each has its own); where volumes \
             are directories on an NFS server, add backend=nfs",
        );
    }
}

fn group(app: &App<'_>, volume: &Volume<'_>, scale: u64, findings: &mut Findings) {
    let path = volume.path.clone();
    if volume.route == Route::External {
        let what = "a group of volumes for an external volume";
        let instead = "use the type DOCKER with `parameters`, or remove scale=";
        findings.add(&rules::SCALE_ONE, path, what, instead);
        return;
    }
    let during = app.tasks_during_upgrade();
    if app.instances > scale {
        let what = format!("{} instances, and scale={scale}", app.instances);
        let instead = format!("write scale={}, or more", app.instances);
        findings.add(&rules::SCALE_TOO_SMALL, path, what, instead);
    } else if during > scale {
        let what = format!(
            "a new version's tasks are started beside the old ones, up to {during}, and there are {scale} volumes"
        );
        let instead =
            format!("{STOP_FIRST}, or scale={during}: new tasks then begin with new volumes");
        findings.add(&rules::UPGRADE_OVERLAP, path, what, instead);
    }
    if app.instances > 1 && !app.is_one_per_node() {
        let what =
            format!("{} tasks with a volume each, and nothing keeps them apart", app.instances);
        let instead = "write \"constraints\": [[\"hostname\", \"UNIQUE\"]]";
        findings.add(&rules::SCALE_UNIQUE, app.at.place("constraints"), what, instead);
    }
}

/// Marathon's `shared` and hawser's are two things.
fn shared_flag(volume: &Volume<'_>, request: &Request, findings: &mut Findings) {
    let flag = volume.at.get("shared").filter(|flag| *flag.value == true);
    let said = request.stated.get(Key::Shared);
    let shared = matches!(said, Some(Value::Sharing(Sharing::Shared)));
    if let Some(flag) = flag
        && volume.route == Route::External
        && !shared
    {
        let what = "\"shared\" is true, and hawser is not told so";
        let instead =
            "add \"dvdi/shared\": \"true\" to the options (type MESOS), or shared=true to the name";
        findings.add(&rules::SHARED_FLAG, flag.path, what, instead);
    }
}

/// How long the app is away with its agent.
fn unreachable(app: &App<'_>, findings: &mut Findings) {
    const QUICK: &str =
        "write \"unreachableStrategy\": {\"inactiveAfterSeconds\": 0, \"expungeAfterSeconds\": 0}";
    const SLOW: i64 = 120;
    let Some(strategy) = app.at.get("unreachableStrategy") else { return };
    if strategy.text() == Some("disabled") {
        let what = "a task on an agent that is lost is never replaced";
        findings.add(&rules::UNREACHABLE_NEVER, strategy.path.clone(), what, QUICK);
    }
    let inactive = strategy.get("inactiveAfterSeconds");
    let seconds = inactive.as_ref().and_then(|at: &At<'_>| at.value.as_i64()).unwrap_or(0);
    if let Some(inactive) = inactive
        && seconds > SLOW
    {
        let what = format!("a task on an agent that is lost is replaced after {seconds} s");
        findings.add(&rules::UNREACHABLE_SLOW, inactive.path, what, QUICK);
    }
}
