//! Volumes that no record knows: of a hawser whose store was lost, of REX-Ray, Cloudstor, Convoy.
//!
//! They are known by their tags. REX-Ray sets nothing but Name, so that a volume with a name and no
//! other plugin's mark may be REX-Ray's or anybody's: it is offered, and a person decides.

use async_trait::async_trait;

use super::{
    Ebs, Inner,
    api::{Ec2Volume, Filter, Tags, VolumeState},
    attach::refuse_shared,
    error::EbsError,
    marks, size,
    verify::filled_in,
    wait::{Wait, shown},
};
use crate::{
    backend::{BackendError, Candidate, Created, Imports, Maker, VolumeRef},
    spec::{AttachPolicy, BackendSpec, EbsSpec, EbsType},
    volume::Handle,
};

/// The directory that hawser and REX-Ray both show to tasks.
const DATA: &str = "data";
const CLOUDSTOR: &str = "CloudstorVolumeName";
const CONVOY: [&str; 2] = ["ConvoyVolumeName", "ConvoyVolumeUUID"];
/// Marks of those who still look after their volumes.
const LOOKED_AFTER: [&str; 3] = ["ebs.csi.aws.com/", "kubernetes.io/", "aws:"];

#[async_trait]
impl Imports for Ebs {
    fn recognises(&self, handle: &Handle) -> bool {
        handle.as_str().starts_with("vol-")
    }

    async fn candidates(&self) -> Result<Vec<Candidate>, BackendError> {
        self.inner.candidates().await.map_err(Self::failed("look for volumes to import"))
    }

    async fn candidate(&self, handle: &Handle) -> Result<Candidate, BackendError> {
        let found = self.inner.candidate(handle.as_str()).await;
        found.map_err(Self::failed("look at a volume to import"))
    }

    async fn adopt(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        self.inner.adopt(volume).await.map_err(Self::failed("import"))
    }
}

impl Inner {
    async fn candidates(&self) -> Result<Vec<Candidate>, EbsError> {
        let keys = [marks::CLUSTER, "Name", CLOUDSTOR, CONVOY[0], CONVOY[1]];
        let by = [Filter("tag-key".into(), keys.map(str::to_owned).into())];
        let found = self.api.find_volumes(&by).await.map_err(EbsError::api("volumes"))?;
        let me = self.node.instance(&self.api).await.ok();
        let mut all: Vec<_> = found
            .iter()
            .filter(|seen| seen.is_there())
            .filter_map(|seen| {
                let candidate = candidate(&self.config.cluster, seen).ok()?;
                // Whether this node uses what it has is found out of the one that is chosen: a claim
                // of every device would get in the way of those that are in use, or about to be.
                let may_be_free = is_free(seen) || me.is_some_and(|me| only_here(seen, me));
                let in_use_by = (!may_be_free).then(|| attached_to(seen));
                Some(Candidate { in_use_by, ..candidate })
            })
            .collect();
        all.sort_by(|a, b| (&a.name, &a.handle).cmp(&(&b.name, &b.handle)));
        Ok(all)
    }

    async fn candidate(&self, id: &str) -> Result<Candidate, EbsError> {
        let seen = self.exists(id).await?.filter(Ec2Volume::is_there);
        let seen = seen.ok_or_else(|| EbsError::NoStorage(id.to_owned()))?;
        let in_use_by = self.in_use_by(&seen).await?;
        Ok(Candidate { in_use_by, ..candidate(&self.config.cluster, &seen)? })
    }

    /// Who uses it. What is attached to this node and open here by nobody is free: it stayed so,
    /// perhaps, after its record was lost.
    pub(super) async fn in_use_by(&self, seen: &Ec2Volume) -> Result<Option<String>, EbsError> {
        if is_free(seen) {
            return Ok(None);
        }
        let me = self.node.instance(&self.api).await.ok();
        if me.is_none_or(|me| !only_here(seen, me)) {
            return Ok(Some(attached_to(seen)));
        }
        let Some(found) = self.device_by_serial(&seen.id).await? else {
            return Ok(Some(attached_to(seen)));
        };
        let path = found.device.path.display().to_string();
        let claimed = self.claim(found.device.path).await?;
        Ok(claimed.is_err().then(|| format!("this node, which has {path} mounted or open")))
    }

    async fn adopt(&self, volume: &VolumeRef) -> Result<Created, EbsError> {
        let spec = super::spec_of(&volume.spec.backend)?;
        let none = || super::attach::no_storage(volume);
        let id = volume.handle.as_ref().ok_or_else(none)?.as_str();
        let seen = self.exists(id).await?.filter(Ec2Volume::is_there).ok_or_else(none)?;
        candidate(&self.config.cluster, &seen)?;
        if let Some(other) = marks::id(&seen.tags).filter(|other| *other != volume.id) {
            let why = format!("its tag {} says that it is volume {other}", marks::ID);
            return Err(EbsError::InUse { on: id.to_owned(), why });
        }
        if let Some(user) = self.in_use_by(&seen).await? {
            return Err(EbsError::InUse {
                on: id.to_owned(),
                why: format!("it is in use by {user}"),
            });
        }
        let mut tags = marks::identity(&self.config.cluster, volume.id);
        tags.extend(marks::description(volume));
        self.api.create_tags(id, &tags).await.map_err(EbsError::api(id))?;
        crate::fault::point("ebs.import.tagged");
        self.describer.forget(id);
        // The first mount refuses what does not show them.
        let limit = self.describer.pace.invisible;
        let wait = Wait { volume: id, wanted: "tagged", limit, cancel: None };
        let tagged = |seen: Option<&Ec2Volume>| {
            let ours = |seen| marks::foreign(&self.config.cluster, volume.id, seen).is_none();
            Ok(seen.is_some_and(ours).then_some(()))
        };
        self.describer.wait_until(wait, tagged).await?;
        Ok(Created {
            handle: volume.handle.clone(),
            backend: BackendSpec::Ebs(filled_in(spec, &seen)),
        })
    }
}

/// What a volume is by its tags.
///
/// # Errors
///
/// `Foreign` where somebody else looks after it; and where several instances can have it.
pub(super) fn candidate(cluster: &str, seen: &Ec2Volume) -> Result<Candidate, EbsError> {
    refuse_shared(seen)?;
    let foreign = |why: String| EbsError::Foreign { on: seen.id.clone(), why };
    let looked_after = |key: &&String| LOOKED_AFTER.iter().any(|mark| key.starts_with(mark));
    if let Some(other) = seen.tags.get(marks::CLUSTER).filter(|other| *other != cluster) {
        return Err(foreign(format!("it is of the hawser cluster {other}")));
    }
    if let Some(key) = seen.tags.keys().find(looked_after) {
        return Err(foreign(format!("its tag {key} says that somebody looks after it")));
    }
    let Ok(volume_type) = seen.volume_type.parse::<EbsType>() else {
        return Err(foreign(format!("its type {} is not known", seen.volume_type)));
    };
    let (made_by, name, data_dir) = maker(&seen.tags);
    let known = match made_by {
        Maker::Hawser => marks::id(&seen.tags).zip(marks::spec(&seen.tags)),
        Maker::RexRay | Maker::Cloudstor | Maker::Convoy | Maker::Unknown => None,
    };
    // What EC2 does not know of it.
    let own = known.as_ref().and_then(|(_, spec)| super::spec_of(&spec.backend).ok());
    let open = EbsSpec {
        volume_type,
        iops: None,
        throughput: None,
        encrypted: None,
        kms_key: None,
        zone: None,
        snapshot: own.and_then(|own| own.snapshot.clone()),
        attach: own.map_or_else(AttachPolicy::default, |own| own.attach),
    };
    Ok(Candidate {
        handle: Handle::from(seen.id.clone()),
        made_by,
        name,
        size: size::bytes(seen.gib),
        backend: BackendSpec::Ebs(filled_in(&open, seen)),
        data_dir,
        known,
        shared_id: None,
        in_use_by: None,
    })
}

/// Whether it is attached nowhere.
fn is_free(seen: &Ec2Volume) -> bool {
    seen.state == VolumeState::Available
}

/// Whether it is attached to this node, and to no other.
fn only_here(seen: &Ec2Volume, me: &str) -> bool {
    seen.attached_to(me).is_some() && seen.attached_elsewhere(me).is_none()
}

fn attached_to(seen: &Ec2Volume) -> String {
    let owners: Vec<_> = seen
        .attachments
        .iter()
        .map(|attachment| {
            format!("{} ({} as {})", attachment.instance, attachment.state, attachment.device)
        })
        .collect();
    if owners.is_empty() { shown(Some(seen)) } else { owners.join(", ") }
}

/// Who made it, the name that it has there, and the directory that tasks saw.
fn maker(tags: &Tags) -> (Maker, String, String) {
    let tag = |key: &str| tags.get(key).cloned();
    if tags.contains_key(marks::CLUSTER) {
        let name = tag(marks::NAME).or_else(|| tag("Name")).unwrap_or_default();
        // Of a volume that was imported before, what its maker's tags said then.
        return (Maker::Hawser, name, tag(marks::DATA_DIR).unwrap_or_else(|| DATA.to_owned()));
    }
    if let Some(name) = tag(CLOUDSTOR) {
        return (Maker::Cloudstor, name, String::new());
    }
    if let Some(name) = CONVOY.iter().find_map(|key| tag(key)) {
        return (Maker::Convoy, name, String::new());
    }
    let name = tag("Name").unwrap_or_default();
    if tags.len() == 1 {
        // With `ebs.tag` set, REX-Ray writes "tag/name".
        let own = name.rsplit('/').next().unwrap_or(&name).to_owned();
        return (Maker::RexRay, own, DATA.to_owned());
    }
    (Maker::Unknown, name, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_are_known_by_their_tags() {
        let tags = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Tags>()
        };
        for (pairs, expected) in [
            (&[("Name", "pgdata")][..], (Maker::RexRay, "pgdata", "data")),
            (&[("Name", "prod/pgdata")], (Maker::RexRay, "pgdata", "data")),
            (&[("CloudstorVolumeName", "pg"), ("StackID", "x")], (Maker::Cloudstor, "pg", "")),
            (&[("ConvoyVolumeName", "pg"), ("ConvoyVolumeUUID", "u")], (Maker::Convoy, "pg", "")),
            (&[("Name", "web root"), ("team", "a")], (Maker::Unknown, "web root", "")),
            (&[("hawser:cluster", "c"), ("hawser:name", "pg")], (Maker::Hawser, "pg", "data")),
            (
                &[("hawser:cluster", "c"), ("hawser:name", "pg"), ("hawser:data-dir", "")],
                (Maker::Hawser, "pg", ""),
            ),
        ] {
            let (maker, name, dir) = maker(&tags(pairs));
            assert_eq!((maker, name.as_str(), dir.as_str()), expected);
        }
    }
}
