//! From REX-Ray's and Portworx's volumes to hawser's, in the text of the apps.
//!
//! Only what is about these volumes is changed; the rest of the text stays as it is written. An option that
//! hawser cannot honour is left out, and a note says so with the reason: nothing is dropped in silence.

mod edit;
mod peer;

use jsonc_parser::cst::CstRootNode;
use serde::Serialize;
use serde_json::Value;

use super::{
    app::{App, Container, Containerizer},
    document::{Item, Kind, NotApps, items},
    volume::{Route, Volume, driver_parameters},
};
use peer::{Peer, Translated};

/// A text that cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// There is no app in it.
    #[error(transparent)]
    NotApps(#[from] NotApps),
    /// A volume's name or driver is not where it should be, after all was written.
    #[error(
        "{app}: the volume `{volume}` could not be changed in the text: is a field there twice? Change it by hand"
    )]
    NotWritten {
        /// The app.
        app: String,
        /// The volume.
        volume: String,
    },
}

/// Apps, made hawser's.
#[derive(Debug, Serialize)]
pub struct Converted {
    /// The whole text.
    pub text: String,
    /// How many volumes were changed.
    pub volumes: usize,
    /// How many were left as they are, since hawser has nothing of the kind; the notes say why.
    pub left: usize,
    /// What became of things that are not simply the same.
    pub notes: Vec<String>,
}

/// Makes every volume of REX-Ray and Portworx in `text` one of `driver`.
///
/// # Errors
/// See [`ConvertError`].
pub fn convert(text: &str, driver: &str) -> Result<Converted, ConvertError> {
    let document: Value = serde_json::from_str(text).map_err(NotApps::from)?;
    // Whatever serde_json takes is JSON, which this reads, too.
    let root = CstRootNode::parse(text, &jsonc_parser::ParseOptions::default());
    let root = root.map_err(|_| ConvertError::NotApps(NotApps::Form))?;
    let mut work =
        Work { root, driver, volumes: 0, left: 0, notes: Vec::new(), expected: Vec::new() };
    for Item { id, at, .. } in items(&document)?.into_iter().filter(|item| item.kind == Kind::App) {
        work.app(&App::new(id, at));
    }
    work.finish()
}

/// The text under way.
struct Work<'a> {
    root: CstRootNode,
    driver: &'a str,
    volumes: usize,
    left: usize,
    notes: Vec<String>,
    /// The app, the volume as it is to be read again, and how people know it.
    expected: Vec<(String, String, String)>,
}

impl Work<'_> {
    fn app(&mut self, app: &App<'_>) {
        let Some(container) = &app.container else { return };
        let mut peers = Vec::new();
        for volume in &app.volumes {
            let driver = volume.driver.as_deref();
            let Some(peer) = driver.and_then(Peer::of_driver) else { continue };
            self.volume(&app.id, container, volume, peer);
            peers.push(peer);
        }
        if peers.is_empty() {
            return;
        }
        for driver in driver_parameters(&container.at) {
            if driver.text().and_then(Peer::of_driver).is_some() {
                edit::set_text(&self.root, &driver.steps, self.driver);
            }
        }
        if peers.contains(&Peer::Portworx) {
            self.placement(app);
        }
    }

    fn volume(&mut self, app: &str, container: &Container<'_>, volume: &Volume<'_>, peer: Peer) {
        let place = format!("{app}: {}", volume.path);
        let translated = match Translated::new(peer, &volume.name, &volume.options) {
            Ok(translated) => translated,
            Err(why) => {
                self.notes.push(format!("{place}: left as it is: {why}"));
                self.left += 1;
                return;
            }
        };
        let notes = translated.notes.iter().map(|note| format!("{place}: {note}"));
        self.notes.extend(notes);
        self.volumes += 1;
        let inline = translated.request.canonical();
        match volume.route {
            Route::Parameter => edit::parameter(&self.root, volume, &inline),
            Route::Mount => edit::mount(&self.root, volume, &translated.request, self.driver),
            Route::External if container.kind == Containerizer::Mesos => {
                edit::mesos(&self.root, volume, &translated.request, self.driver);
            }
            Route::External => edit::docker(&self.root, volume, &inline, self.driver),
        }
        self.expected.push((app.to_owned(), inline, translated.request.name.to_string()));
    }

    /// Portworx's own constraint keeps apps on its nodes.
    fn placement(&mut self, app: &App<'_>) {
        for constraint in app.at.list("constraints") {
            let field = constraint.items().into_iter().next();
            if field.and_then(|field| field.text()) == Some("pxfabric") {
                self.notes.push(format!(
                    "{}: {}: left as it is: it keeps the app on Portworx's nodes; remove it where these go",
                    app.id, constraint.path
                ));
            }
        }
    }

    /// Reads what was written, and looks whether it says what it is to say.
    fn finish(self) -> Result<Converted, ConvertError> {
        let text = self.root.to_string();
        let document: Value = serde_json::from_str(&text).map_err(NotApps::from)?;
        let mut written = Vec::new();
        for Item { id, at, .. } in items(&document)? {
            let app = App::new(id, at);
            let ours = app.volumes.iter().filter(|volume| volume.is_of(self.driver));
            let requests = ours.filter_map(|volume| volume.request().ok());
            written.extend(requests.map(|request| (app.id.clone(), request.canonical())));
        }
        for (app, inline, volume) in self.expected {
            let at = written.iter().position(|one| *one == (app.clone(), inline.clone()));
            match at {
                Some(at) => drop(written.swap_remove(at)),
                None => return Err(ConvertError::NotWritten { app, volume }),
            }
        }
        Ok(Converted { text, volumes: self.volumes, left: self.left, notes: self.notes })
    }
}
