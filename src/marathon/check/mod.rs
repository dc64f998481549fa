//! Whether an app is right: Marathon's rules for what concerns volumes and where tasks run, and hawser's.
//!
//! Marathon's other rules (networks, ports, health checks, secrets, roles) are left to it.

mod across;
mod container;
mod external;
mod published;
mod scheduling;
mod spec;
mod tasks;

use serde_json::Value;

use super::{
    app::App,
    document::{Kind, NotApps, items},
    finding::{Findings, Report},
    json::At,
    rules,
};
use crate::spec::Defaults;

/// What the check knows of the cluster.
#[derive(Debug, Clone)]
pub struct Context {
    /// What hawser is called there.
    pub driver: String,
    /// What its configuration adds to a spec. Without it, specs are read, and not completed.
    pub defaults: Option<Defaults>,
}

/// Checks the apps in a text.
///
/// # Errors
/// When there are none.
pub fn check(text: &str, context: &Context) -> Result<Report, NotApps> {
    let document: Value = serde_json::from_str(text)?;
    let items = items(&document)?;
    let mut findings = Findings::default();
    let mut apps = Vec::new();
    for item in &items {
        findings.of_app(&item.id);
        match item.kind {
            Kind::Pod => pod(&item.at, &mut findings),
            Kind::App => {
                let app = App::new(item.id.clone(), item.at.clone());
                check_app(&app, context, &mut findings);
                apps.push(app);
            }
        }
    }
    across::check(&apps, context, &mut findings);
    Ok(findings.into_report(items.len()))
}

fn check_app(app: &App<'_>, context: &Context, findings: &mut Findings) {
    scheduling::check(app, findings);
    if let Some(container) = &app.container {
        container::check(container, findings);
        external::check(app, container, findings);
        published::check(container, findings);
        spec::check(app, container, context, findings);
    }
    tasks::check(app, context, findings);
}

fn pod(pod: &At<'_>, findings: &mut Findings) {
    for volume in pod.list("volumes") {
        published::check_of_pod(&volume, findings);
        if let Some(external) = volume.get("external") {
            findings.add(
                &rules::POD_VOLUME,
                external.path,
                "an external volume in a pod",
                "make it an app: of type DOCKER with `parameters`, or of type MESOS with one instance",
            );
        }
    }
}

/// Adds a finding where a field is of another type than Marathon takes. The field, where it is of the right one.
fn typed<'a>(
    at: &At<'a>,
    key: &str,
    wanted: &'static str,
    is: fn(&Value) -> bool,
    findings: &mut Findings,
) -> Option<At<'a>> {
    let field = at.get(key)?;
    if is(field.value) {
        return Some(field);
    }
    let what = format!("`{key}` is not {wanted}");
    findings.add(&rules::JSON_TYPE, field.path, what, format!("write {wanted}"));
    None
}

/// `a-z`, `0-9` and `-`, the last not at either end.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}
