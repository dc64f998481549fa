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
        "there is no app of Marathon in it: an app is an object with an `id`, alone, in a list or in a group"
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
    } else if root.is("containers") {
        found.push(pod(root, ""));
    } else {
        read(root, "", &mut found);
    }
    let objects = found.iter().all(|item| item.at.value.is_object());
    if objects && !found.is_empty() { Ok(found) } else { Err(NotApps::Form) }
}

/// Reads an app or a group. What is neither becomes an app, too: the caller sees that it is no object.
fn read<'a>(at: At<'a>, group: &str, found: &mut Vec<Item<'a>>) {
    let id = join(group, at.text_of("id").unwrap_or_default());
    let is_group = ["apps", "pods", "groups"].iter().any(|key| at.is(key));
    if is_group {
        for member in ["apps", "groups"].iter().flat_map(|key| at.list(key)) {
            read(member, &id, found);
        }
        found.extend(at.list("pods").into_iter().map(|at| pod(at, &id)));
    } else if at.is("id") || at.is("container") || !at.value.is_object() {
        found.push(Item { kind: Kind::App, id, at });
    }
}

/// A pod, or its status, as `GET /v2/groups` answers, with the pod in it.
fn pod<'a>(at: At<'a>, group: &str) -> Item<'a> {
    let id = join(group, at.text_of("id").unwrap_or_default());
    let at = at.get("spec").unwrap_or(at);
    Item { kind: Kind::Pod, id, at }
}

/// An id is absolute, or its group's id comes before it.
fn join(group: &str, id: &str) -> String {
    if id.starts_with('/') || (id.is_empty() && group.is_empty()) {
        id.to_owned()
    } else {
        format!("{}/{id}", group.trim_end_matches('/'))
    }
}
