//! The `Status` that `docker volume inspect` shows.

use serde_json::{Map, Value, json};

use crate::{
    engine::{Engine, View, Ways},
    volume::Holder,
};

/// What is worth knowing of a volume, for a person.
pub(super) async fn of(engine: &Engine, view: &View) -> Map<String, Value> {
    let record = &view.record;
    let mut status = Map::new();
    let mut put = |key: &str, value: Value| status.insert(key.to_owned(), value);
    put("id", json!(record.id));
    put("name", json!(record.name));
    put("state", json!(view.state()));
    put("size", json!(record.spec.size.to_string()));
    put("fs", json!(record.spec.file_system()));
    put("backend", json!(record.spec.backend.kind()));
    put("holders", record.holders.iter().map(holder).collect());
    if let Some(owner) = view.reached_through() {
        put("reached_through", json!(owner));
    } else if let Some(writer) = record.writer() {
        put("written_from", json!(writer));
    }
    if let Some(scale) = record.spec.scale {
        let members = engine.members_of(view);
        put("scale", json!(scale));
        put("members", members.iter().map(|member| self::member(member)).collect());
    }
    if let Some((used, available)) = engine.usage(view) {
        put("used", json!(used.rounded().to_string()));
        put("available", json!(available.rounded().to_string()));
    }
    if let Some(failure) = &view.failure {
        put("failure", json!(failure));
    }
    if let Some(doing) = view.doing {
        put("doing", json!(doing));
    }
    let ways = engine.ways(view).await;
    if ways != Ways::default() {
        put("reach", json!(reach(view, &ways)));
        put("sharing", json!(ways));
    }
    status
}

/// By which way this node gets at a volume that is shared.
fn reach(view: &View, ways: &Ways) -> String {
    match &ways.reaches {
        Some(reaches) if view.observed.as_ref().is_some_and(|seen| seen.remote.published) => {
            format!("remote through {}", reaches.through)
        }
        Some(_) | None if view.path.is_some() => "direct".to_owned(),
        Some(_) | None => "not mounted".to_owned(),
    }
}

fn member(view: &View) -> Value {
    let claim = view.record.member.as_ref().and_then(|member| member.claim.as_ref());
    json!({ "name": view.record.name, "state": view.state(), "claim": claim })
}

fn holder(holder: &Holder) -> Value {
    let state = if holder.parked_since.is_some() { "parked" } else { "held" };
    json!({ "id": holder.id, "count": holder.count, "since": holder.since, "state": state })
}
