//! What a file holds: an app, a list of apps, a group of apps, groups and pods, or an answer of
//! Marathon's API with any of them.

use serde_json::Value;

use super::json::At;

/// A text in which there is no app.
#[derive(Debug, thiserror::Error)]
pub enum NotApps {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON of something else.
    #[error(
        "not an app of Marathon, and neither a list of apps nor a group: an app is an object with an `id`"
    )]
    Form,
}

/// What is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    App,
    Pod,
}

/// An app or a pod of a document.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    pub(super) kind: Kind,
    /// Its id with the ids of the groups around it.
    pub(super) id: String,
    pub(super) at: At<'a>,
}

/// Every app and pod, in the order of the text.
pub(super) fn items(document: &Value) -> Result<Vec<Item<'_>>, NotApps> {
    let root = At::root(document);
    // As `GET /v2/apps/ID` answers.
    let root = root.get("app").filter(|app| app.value.is_object()).unwrap_or(root);
    let mut found = Vec::new();
    if root.value.is_array() {
        root.items().into_iter().for_each(|at| read(at, "", &mut found));
    } else {
        read(root, "", &mut found);
    }
    let apps = found.iter().all(|item| item.at.value.is_object());
    if apps && !found.is_empty() { Ok(found) } else { Err(NotApps::Form) }
}

fn read<'a>(at: At<'a>, group: &str, found: &mut Vec<Item<'a>>) {
    let id = join(group, at.text_of("id").unwrap_or_default());
    let members = ["apps", "pods", "groups"];
    if members.iter().any(|key| at.is(key)) {
        for member in members.iter().flat_map(|key| at.list(key)) {
            read(member, &id, found);
        }
    } else if at.is("id") || at.is("container") {
        let kind = if at.is("containers") { Kind::Pod } else { Kind::App };
        found.push(Item { kind, id, at });
    } else if !at.value.is_object() {
        // Reported by the caller: there is something else where an app should be.
        found.push(Item { kind: Kind::App, id, at });
    }
}

/// An id is absolute, or its group's id comes before it.
fn join(group: &str, id: &str) -> String {
    if id.starts_with('/') || (id.is_empty() && group.is_empty()) {
        id.to_owned()
    } else {
        format!("{}/{id}", group.trim_end_matches('/'))
    }
}
