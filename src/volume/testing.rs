//! Records and callers for tests.

use jiff::{SignedDuration, Timestamp};

use super::{
    CallerEpoch, Contents, MountId, Owner, Phase, Purge, Record,
    lease::Session,
    plan::{Ext4OnlineGrow, Here, Lending, WriteBack},
    serving::Serving,
    transition::Event,
};
use crate::spec::{
    AttachPolicy, BackendSpec, Bytes, EbsSpec, EbsType, FsType, LocalSpec, NfsLayout, NfsSpec,
    Ownership, Preempt, Provision, Sharing, Spec, Squash, Sticky,
};

/// When the tests begin: 2026-01-02T03:04:05Z.
pub(crate) const START: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// That many seconds after [`START`].
pub(crate) fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// 10 GiB of ext4.
pub(crate) fn spec() -> Spec {
    Spec {
        size: Bytes::gib(10),
        fs: FsType::Ext4,
        sharing: Sharing::Exclusive,
        squash: Squash::default(),
        mount_options: Vec::new(),
        mkfs_options: Vec::new(),
        owner: Ownership::default(),
        on_remove: None,
        scale: None,
        sticky: Sticky::No,
        preempt: Preempt::default(),
        labels: [].into(),
        backend: BackendSpec::Local(LocalSpec { provision: Provision::Thick }),
    }
}

/// The record of a volume that was just asked for; always the same one.
pub(crate) fn new_record() -> Record {
    let id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse().unwrap();
    Record::new(id, "pgdata".parse().unwrap(), spec(), START)
}

/// The record of a volume that was used before, and is not now.
pub(crate) fn used_record() -> Record {
    Record { phase: Phase::Ready, contents: Contents::Formatted, ..new_record() }
}

/// Such a volume, removed at [`START`].
pub(crate) fn removed_record(purge: Purge) -> Record {
    Record { phase: Phase::Removed { at: START, purge }, ..used_record() }
}

/// Settings of a gp3 volume.
pub(crate) fn ebs(attach: AttachPolicy) -> BackendSpec {
    BackendSpec::Ebs(EbsSpec {
        volume_type: EbsType::Gp3,
        iops: None,
        throughput: None,
        encrypted: None,
        kms_key: None,
        zone: None,
        snapshot: None,
        attach,
    })
}

/// The same record, on EBS, where its storage has a name of its own once it is made.
pub(crate) fn on_ebs(record: Record, attach: AttachPolicy) -> Record {
    let handle = (record.phase != Phase::Creating).then(|| "vol-1".to_owned().into());
    Record { spec: Spec { backend: ebs(attach), ..record.spec }, handle, ..record }
}

/// The same record, of a directory on a filer.
pub(crate) fn on_nfs(record: Record) -> Record {
    let (export, path) = ("fast".to_owned(), record.name.to_string());
    let handle = (record.phase != Phase::Creating).then(|| format!("{export}:{path}").into());
    let backend = BackendSpec::Nfs(NfsSpec { export, path, layout: NfsLayout::Directory });
    Record { spec: Spec { backend, ..record.spec }, handle, ..record }
}

/// The storage was made, as a local backend makes it.
pub(crate) fn made() -> Event {
    Event::Provisioned { handle: None, backend: spec().backend }
}

/// A grow is asked for.
pub(crate) fn grow(gib: u64) -> Event {
    Event::Grow { to: Bytes::gib(gib), backend: None }
}

/// The storage was grown.
pub(crate) fn grown(gib: u64) -> Event {
    Event::StorageGrown { to: Bytes::gib(gib), backend: spec().backend }
}

/// The n-th dockerd since the boot.
pub(crate) fn dockerd(n: i32) -> CallerEpoch {
    CallerEpoch { boot_id: "boot-1".into(), pid: n, start_time: 7 }
}

/// A mount id.
pub(crate) fn id(text: &str) -> MountId {
    MountId::from(text.to_owned())
}

/// A node with no trouble, at the start: the volume's owner is not heard of.
pub(crate) fn here(me: Option<&Owner>) -> Here<'_> {
    Here {
        me,
        ext4: Ext4OnlineGrow::Possible,
        now: START,
        turn: SignedDuration::ZERO,
        owner: Session::Over,
        serving: Serving::Able,
        departed: None,
        lending: Lending::NONE,
        write_back: WriteBack::Works,
    }
}
