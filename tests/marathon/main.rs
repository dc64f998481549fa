//! Marathon's apps, right and wrong, and what `hawser marathon` says about each; and the examples.
//!
//! The apps are in `tests/golden/marathon`: `right` has nothing to find, what is found in `wrong` is in
//! `findings.txt`, and what `convert` makes of an app and says about it is beside it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod check;
mod command;
mod convert;
mod defaults;
mod examples;
mod odd;

use std::{
    fs,
    path::{Path, PathBuf},
};

use hawser::marathon::Context;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names and texts of a directory's JSON files, in order; there are some.
#[track_caller]
fn apps(name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory(name)).unwrap().map(|entry| entry.unwrap().path());
    let json = entries.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let text = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    };
    let mut apps: Vec<_> = json.map(text).collect();
    apps.sort();
    assert!(!apps.is_empty(), "{name}: no apps");
    apps
}

fn context() -> Context {
    Context { driver: "hawser".to_owned(), defaults: None }
}
