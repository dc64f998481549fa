//! The controls by HTTP, for tests in other processes: `/fake/VERB?name=value…`, answered in JSON.
//!
//! ```text
//! calls  count?action  reset-calls  volumes  snapshots
//! delays?create&attach&detach&modify&delete&snapshot (ms)   hide?ms   advance?seconds
//! stick?volume&transition=attach|detach|detach-even-forced  unstick?volume
//! throttle?action&percent | &next     fail-next?action&code&message&n    lose-response?action&n
//! away?on=true|false   clear-wire-faults   expire-tokens   burned-tokens?how=answer|refuse
//! wrong-serial?volume  kms-fails?key&how=error|vanish
//! instance-state?instance&state=running|stopped|terminated
//! add-instance?zone&kind=nitro|xen&id&type&max&enis   add-volume?gib&Tag.1.Key&Tag.1.Value
//! ```

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    CallOutcome, Controls,
    config::{Delays, InstanceSpec},
    error::{ApiError, Outcome},
    faults::{BurnedTokens, InstanceState, KmsFailure, Throttle, Transition},
    server::{Answer, answer as http},
    shared::Shared,
    wire::Params,
};

/// Does what the verb says.
pub(crate) async fn answer(shared: &Arc<Shared>, verb: &str, params: &Params) -> Answer {
    let controls = Controls::new(Arc::clone(shared));
    let (verb, params) = (verb.to_owned(), params.clone());
    // Some of them write files.
    let done = tokio::task::spawn_blocking(move || act(&controls, &verb, &params)).await;
    match done {
        Ok(Ok(value)) => http(200, "application/json", format!("{value}\n")),
        Ok(Err(error)) => {
            http(error.status, "application/json", format!("{}\n", json!({"error": error.message})))
        }
        Err(error) => http(500, "text/plain", error.to_string()),
    }
}

fn act(controls: &Controls, verb: &str, params: &Params) -> Outcome<Value> {
    let need = |name| params.required(name);
    let number = |name: &str, default: u32| Ok(params.number(name)?.unwrap_or(default));
    match verb {
        "calls" => return Ok(calls(controls)),
        "count" => return Ok(json!(controls.count(need("action")?))),
        "reset-calls" => controls.reset_calls(),
        "volumes" => return Ok(volumes(controls)),
        "snapshots" => return Ok(snapshots(controls)),
        "delays" => controls.set_delays(delays(params)?),
        "hide" => controls.hide_new_volumes(milliseconds(params, "ms")?),
        "advance" => controls.advance(Duration::from_secs(number("seconds", 0)?.into())),
        "stick" => controls.stick(need("volume")?, transition(need("transition")?)?),
        "unstick" => controls.unstick(need("volume")?),
        "throttle" => controls.throttle(need("action")?, throttle(params)?),
        "fail-next" => {
            let message = params.get("message").unwrap_or("made to fail");
            controls.fail_next(need("action")?, need("code")?, message, number("n", 1)?);
        }
        "lose-response" => controls.lose_response(need("action")?, number("n", 1)?),
        "away" => controls.away(params.flag("on")?),
        "clear-wire-faults" => controls.clear_wire_faults(),
        "expire-tokens" => controls.expire_tokens(),
        "burned-tokens" => controls.burned_tokens(burned(need("how")?)?),
        "wrong-serial" => controls.wrong_serial(need("volume")?),
        "kms-fails" => controls.kms_fails(need("key")?, kms(need("how")?)?),
        "instance-state" => {
            let (id, state) = (need("instance")?, state(need("state")?)?);
            controls.shared.world().instance(id)?;
            controls.instance_state(id, state);
        }
        "add-instance" => return add_instance(controls, params),
        "add-volume" => return add_volume(controls, params),
        other => return Err(ApiError { status: 404, ..unknown("verb", other) }),
    }
    Ok(json!({}))
}

fn unknown(what: &str, value: &str) -> ApiError {
    ApiError::invalid_value(format!("unknown {what}: {value}"))
}

fn milliseconds(params: &Params, name: &str) -> Outcome<Duration> {
    Ok(Duration::from_millis(params.number(name)?.unwrap_or(0)))
}

fn delays(params: &Params) -> Outcome<Delays> {
    Ok(Delays {
        create: milliseconds(params, "create")?,
        attach: milliseconds(params, "attach")?,
        detach: milliseconds(params, "detach")?,
        modify: milliseconds(params, "modify")?,
        delete: milliseconds(params, "delete")?,
        snapshot: milliseconds(params, "snapshot")?,
    })
}

fn throttle(params: &Params) -> Outcome<Throttle> {
    Ok(match (params.number("percent")?, params.number("next")?) {
        (Some(percent), _) => Throttle::Percent(percent),
        (None, Some(next)) => Throttle::Next(next),
        (None, None) => Throttle::Off,
    })
}

fn transition(text: &str) -> Outcome<Transition> {
    match text {
        "attach" => Ok(Transition::Attach),
        "detach" => Ok(Transition::Detach),
        "detach-even-forced" => Ok(Transition::DetachEvenForced),
        other => Err(unknown("transition", other)),
    }
}

fn burned(text: &str) -> Outcome<BurnedTokens> {
    match text {
        "answer" => Ok(BurnedTokens::AnswerDeletedId),
        "refuse" => Ok(BurnedTokens::Refuse),
        other => Err(unknown("how", other)),
    }
}

fn kms(text: &str) -> Outcome<KmsFailure> {
    match text {
        "error" => Ok(KmsFailure::Error),
        "vanish" => Ok(KmsFailure::Vanish),
        other => Err(unknown("how", other)),
    }
}

fn state(text: &str) -> Outcome<InstanceState> {
    match text {
        "running" => Ok(InstanceState::Running),
        "stopped" => Ok(InstanceState::Stopped),
        "terminated" => Ok(InstanceState::Terminated),
        other => Err(unknown("state", other)),
    }
}

fn add_instance(controls: &Controls, params: &Params) -> Outcome<Value> {
    let zone = params.required("zone")?;
    let mut spec = match params.get("kind").unwrap_or("nitro") {
        "nitro" => InstanceSpec::new(zone),
        "xen" => InstanceSpec::xen(zone),
        other => return Err(unknown("kind", other)),
    };
    if let Some(id) = params.get("id") {
        id.clone_into(&mut spec.id);
    }
    if let Some(name) = params.get("type") {
        name.clone_into(&mut spec.instance_type);
    }
    spec.max_attachments = params.number("max")?.unwrap_or(spec.max_attachments);
    spec.network_interfaces = params.number("enis")?.unwrap_or(spec.network_interfaces);
    let id = spec.id.clone();
    controls.add_instance(spec).map_err(|error| ApiError::invalid_value(error.to_string()))?;
    Ok(json!({"instance": id, "imds": controls.imds_endpoint(&id), "play": controls.play_dir(&id)}))
}

fn add_volume(controls: &Controls, params: &Params) -> Outcome<Value> {
    let tags = params.tags("Tag")?;
    let tags: Vec<(&str, &str)> =
        tags.iter().map(|(key, value)| (&**key, value.as_deref().unwrap_or_default())).collect();
    let id = controls
        .add_volume(&tags, params.number("gib")?.unwrap_or(1), b"")
        .map_err(|error| ApiError::invalid_value(error.to_string()))?;
    Ok(json!({"volume": id}))
}

fn calls(controls: &Controls) -> Value {
    let call = |call: crate::Call| {
        let outcome = match call.outcome {
            CallOutcome::UnderWay => "under way".to_owned(),
            CallOutcome::Done => "done".to_owned(),
            CallOutcome::Refused(code) => code,
            CallOutcome::Lost => "lost".to_owned(),
        };
        json!({"action": call.action, "params": call.params, "outcome": outcome})
    };
    controls.calls().into_iter().map(call).collect()
}

fn volumes(controls: &Controls) -> Value {
    let volume = |volume: crate::VolumeInfo| {
        let attachment = volume.attachment.map(|attachment| {
            json!({
                "instance": attachment.instance, "device": attachment.device,
                "state": attachment.state, "path": attachment.path,
            })
        });
        json!({
            "id": volume.id, "state": volume.state, "size": volume.size,
            "type": volume.volume_type, "zone": volume.zone, "encrypted": volume.encrypted,
            "tags": volume.tags, "attachment": attachment,
        })
    };
    controls.volumes().into_iter().map(volume).collect()
}

fn snapshots(controls: &Controls) -> Value {
    let snapshot = |snapshot: crate::SnapshotInfo| {
        json!({
            "id": snapshot.id, "volume": snapshot.volume, "size": snapshot.size,
            "state": snapshot.state, "tags": snapshot.tags,
        })
    };
    controls.snapshots().into_iter().map(snapshot).collect()
}
