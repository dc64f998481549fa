//! Apps of one file that use one volume.

use super::Context;
use crate::{
    marathon::{
        app::App,
        finding::Findings,
        rules,
        volume::{Route, Volume, is_shared},
    },
    spec::Request,
};

/// A volume, whose it is, and what is asked of it.
type Use<'a> = (&'a App<'a>, &'a Volume<'a>);

pub(super) fn check(apps: &[App<'_>], context: &Context, findings: &mut Findings) {
    let uses: Vec<Use<'_>> =
        apps.iter().flat_map(|app| app.volumes.iter().map(move |volume| (app, volume))).collect();
    external_names(&uses, findings);
    let ours = uses.into_iter().filter(|(_, volume)| volume.is_of(&context.driver));
    let read: Vec<(Use<'_>, Request)> =
        ours.filter_map(|found| Some((found, found.1.request().ok()?))).collect();
    for (index, ((app, volume), request)) in read.iter().enumerate() {
        findings.of_app(&app.id);
        let before = read.iter().take(index);
        let mut others = before.filter(|(_, other)| other.name == request.name);
        let Some(((other_app, _), other)) = others.next() else { continue };
        let shared = is_shared(request, context.defaults.as_ref());
        let group = request.stated.scale().is_some();
        if other_app.id != app.id && !shared && !group {
            findings.add(
                &rules::VOLUME_IN_TWO_APPS,
                volume.path.clone(),
                format!("{} uses the volume `{}`, too", other_app.id, request.name),
                "add shared=true in both apps, or give each its own volume",
            );
        }
        differing(volume, request, &other_app.id, other, findings);
    }
}

/// One volume, for which two say different things.
fn differing(
    volume: &Volume<'_>,
    request: &Request,
    other_app: &str,
    other: &Request,
    findings: &mut Findings,
) {
    let differs = request.stated.iter().find_map(|(key, value)| {
        let theirs = other.stated.get(key).filter(|theirs| *theirs != value)?;
        Some(format!("`{}` is {value} here and {theirs} in {other_app}", key.as_str()))
    });
    if let Some(what) = differs {
        let instead = "write the same spec in both, or the name alone in one";
        findings.add(&rules::SPECS_DIFFER, volume.path.clone(), what, instead);
    }
}

/// Marathon compares the names as they are written.
fn external_names(uses: &[Use<'_>], findings: &mut Findings) {
    let external: Vec<_> =
        uses.iter().filter(|(_, volume)| volume.route == Route::External).collect();
    let flag = |volume: &Volume<'_>| volume.at.get("shared").is_some_and(|at| *at.value == true);
    for (app, volume) in &external {
        let mut others =
            external.iter().filter(|(other, v)| other.id != app.id && v.name == volume.name);
        if let Some((other, _)) = others.next()
            && !flag(volume)
        {
            findings.of_app(&app.id);
            findings.add(
                &rules::DVDI_NAME_IN_TWO_APPS,
                volume.path.clone(),
                format!("{} has an external volume `{}`, too", other.id, volume.name),
                "where both are to use it, write \"shared\": true beside the name in both, and shared=true \
                 for hawser; else give each its own name",
            );
        }
    }
}
