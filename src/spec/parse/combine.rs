//! What cannot hold together, whatever the defaults are.

use crate::spec::{
    BackendKind, Key, NfsLayout, Sharing, SpecError, Stated, Value, ebs::WITH_SNAPSHOT,
    error::Shown, mount,
};

/// Fields that cannot both hold, whatever the defaults are.
pub(super) fn check_combinations(stated: &Stated) -> Result<(), SpecError> {
    if let (Some(scale), Some(Value::Sharing(Sharing::Shared))) =
        (stated.get(Key::Scale), stated.get(Key::Shared))
    {
        return Err(SpecError::Contradiction {
            one: format!("scale={scale}"),
            other: "shared=true".to_owned(),
            why: "either every task has a volume of its own or all share one: remove one of them",
        });
    }
    if let (Some(Value::Flag(false)), Some(_)) =
        (stated.get(Key::Encrypted), stated.get(Key::KmsKey))
    {
        return Err(SpecError::Contradiction {
            one: "encrypted=false".to_owned(),
            other: stated.written(Key::KmsKey).to_owned(),
            why: "the key would encrypt nothing: remove one of them",
        });
    }
    if stated.get(Key::Snapshot).is_some() {
        let (keys, why) = WITH_SNAPSHOT;
        if let Some(key) = keys.into_iter().find(|key| stated.get(*key).is_some()) {
            let (one, other) = (stated.written(Key::Snapshot), stated.written(key));
            return Err(SpecError::Contradiction {
                one: one.to_owned(),
                other: other.to_owned(),
                why,
            });
        }
    }
    // `backend` comes before the keys of a backend, so it is the first that chooses.
    let mut chosen: Option<(BackendKind, String)> = None;
    for (key, value) in stated.iter() {
        let (kind, one) = match (value, key.backend()) {
            (Value::Backend(kind), _) => (*kind, format!("backend={kind}")),
            (_, Some(kind)) => (kind, stated.written(key).to_owned()),
            (_, None) => continue,
        };
        match &chosen {
            Some((first, other)) if *first != kind => {
                return Err(SpecError::Contradiction {
                    one: other.clone(),
                    other: one,
                    why: "no backend has both: remove one of them",
                });
            }
            Some(_) => {}
            None => chosen = Some((kind, one)),
        }
    }
    Ok(())
}

/// A new volume that is mounted read-only. It has to state what allows that: what is configured is
/// not known everywhere that a spec is read, and all of these places are to say the same.
pub(super) fn check_read_only(stated: &Stated) -> Result<(), SpecError> {
    let Some(options) = stated.mount_options() else { return Ok(()) };
    let on_nfs = stated.iter().any(|(key, value)| {
        key.backend() == Some(BackendKind::Nfs) || *value == Value::Backend(BackendKind::Nfs)
    });
    let directory = on_nfs && stated.layout() == NfsLayout::Directory;
    if directory || !options.iter().any(|option| option == mount::READ_ONLY) {
        return Ok(());
    }
    Err(SpecError::Value {
        key: Shown::new(stated.written(Key::MountOptions)),
        value: Shown::new(&options.join(";")),
        why: mount::not_read_only(),
    })
}
