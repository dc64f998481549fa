//! The volumes: what the daemon says of them, or what it would do with them; images beside them.

use std::{collections::HashSet, io, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::{Finding, ebs::Reach, good, note, problem};
use crate::{
    cli::{cluster, serve::open_host},
    cluster::Embedded,
    config::Config,
    engine::{Host, State, StepError, Subject, ext4_online_grow},
    http::admin::wire::VolumeInfo,
    spec::BackendKind,
    volume::{
        Owner, Record, VolumeId,
        effect::{Effect, Outcome},
        lease::Session,
        plan::{self, Here, Lending, Standing, WriteBack},
        serving::Serving,
    },
};

/// What the daemon says of its volumes.
pub(super) fn of_daemon(volumes: Vec<VolumeInfo>) -> Vec<Finding> {
    let present = volumes.iter().filter(|volume| volume.state != State::Removed).count();
    let removed = match volumes.len() - present {
        0 => String::new(),
        count => format!(", and {count} removed ones"),
    };
    let mut findings = vec![good("daemon", format!("answers, with {present} volumes{removed}"))];
    for volume in volumes {
        let name = &volume.name;
        if let (State::Removed, Some(failure)) = (volume.state, &volume.failure) {
            let detail = format!("{name}: it was removed, and is not deleted yet: {failure}");
            findings.push(problem("volume", detail));
        } else if volume.state == State::Failed {
            let failure = volume.failure.unwrap_or_default();
            findings.push(problem("volume", format!("{name}: {failure}")));
        } else if let Some(doing) = volume.doing {
            findings.push(note("volume", format!("{name}: {doing} is under way")));
        }
        for holder in volume.holders.iter().filter(|holder| holder.orphaned_since.is_some()) {
            findings.push(note("volume", format!("{name}: {holder}")));
        }
    }
    findings
}

/// What the daemon would do when it starts: the same plan, looked at and not carried out.
pub(super) async fn of_records(config: &Config, images: &Images, reach: Reach) -> Vec<Finding> {
    match Embedded::exists(&config.state_dir) {
        Ok(true) => {}
        Ok(false) => {
            let known = HashSet::new();
            let none = good("recovery", "there are no records yet");
            return std::iter::once(none).chain(unrecorded(config, images, &known)).collect();
        }
        Err(error) => return vec![problem("recovery", error.to_string())],
    }
    // Locked until the end: what is seen under a daemon that starts meanwhile would be half-true.
    let (_store, records) = match Embedded::open(&config.state_dir) {
        Ok(opened) => opened,
        Err(error) => return vec![problem("recovery", error.to_string())],
    };
    let known = records.iter().map(|record| record.id).collect();
    let mut findings = recovery(config, records, reach).await;
    findings.extend(unrecorded(config, images, &known));
    findings
}

/// As the daemon: on a node that left its cluster, the cluster's volumes are not touched.
fn within_reach(records: Vec<Record>, me: Option<&Owner>) -> (Vec<Record>, Option<Finding>) {
    if me.is_some() {
        return (records, None);
    }
    let (own, theirs): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.lease.is_unused());
    let detail = format!(
        "{} volumes are of a cluster that this node is not configured for (cluster.zookeeper): they were not looked at",
        theirs.len()
    );
    (own, (!theirs.is_empty()).then(|| problem("recovery", detail)))
}

async fn recovery(config: &Config, records: Vec<Record>, reach: Reach) -> Vec<Finding> {
    // Opening the backend makes its directory: not for a look.
    if !config.local.dir.is_dir() {
        let local = |record: &&Record| record.spec.backend.kind() == BackendKind::Local;
        let dir = config.local.dir.display();
        return vec![match (records.iter().filter(local).count(), records.len()) {
            (0, 0) => good("recovery", "there are no volumes"),
            (0, count) => note(
                "recovery",
                format!("{dir} is missing: {count} volumes elsewhere were not looked at"),
            ),
            (count, _) => {
                problem("recovery", format!("{dir} is missing, with the images of {count} volumes"))
            }
        }];
    }
    let host = match open_host(config) {
        Ok(host) => host,
        Err(error) => return vec![problem("recovery", format!("{error:#}"))],
    };
    let me = cluster::owner(config, &host, reach).await;
    let (records, theirs) = within_reach(records, me.as_ref());
    let (host, count) = (Arc::new(host), records.len());
    let mut looks = JoinSet::new();
    let mut findings: Vec<_> = theirs.into_iter().collect();
    for record in records {
        if reach == Reach::WithoutEbs && record.spec.backend.kind() == BackendKind::Ebs {
            let detail = format!("{}: not looked at, since EC2 does not answer", record.name);
            findings.push(note("recovery", detail));
            continue;
        }
        let host = Arc::clone(&host);
        // All at once: what they ask of a cloud is asked in a few calls.
        let me = me.clone();
        looks.spawn(async move {
            let name = record.name.clone();
            (name, foreseen(&host, me.as_ref(), record).await)
        });
    }
    let mut looked = looks.join_all().await;
    looked.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, steps) in looked {
        match steps {
            Ok(steps) if steps.is_empty() => {}
            Ok(steps) => {
                findings.push(note("recovery", format!("{name}: would {}", steps.join(", "))));
            }
            Err(error) => findings.push(problem("recovery", format!("{name}: {error}"))),
        }
    }
    if findings.is_empty() {
        findings.push(good("recovery", format!("nothing to do for {count} volumes")));
    }
    findings
}

/// The images found, listed before the volumes were: a new volume has its record first.
pub(super) type Images = io::Result<HashSet<VolumeId>>;

/// Images that belong to no volume.
pub(super) fn unrecorded(
    config: &Config,
    images: &Images,
    known: &HashSet<VolumeId>,
) -> Vec<Finding> {
    let dir = config.local.dir.display();
    let images = match images {
        Ok(images) => images,
        Err(error) => return vec![problem("images", format!("cannot read {dir}: {error}"))],
    };
    let mut orphans: Vec<_> = images.difference(known).collect();
    orphans.sort();
    if known.is_empty() && !orphans.is_empty() {
        let detail = format!(
            "{dir} has {} images and there are no records: hawser does not start so (see docs/operations.md)",
            orphans.len()
        );
        return vec![problem("images", detail)];
    }
    let detail = |id| format!("{dir}/{id}.img has no record: hawser neither uses nor deletes it");
    orphans.into_iter().map(|id| note("images", detail(id))).collect()
}

async fn foreseen(
    host: &Host,
    me: Option<&Owner>,
    record: Record,
) -> Result<Vec<String>, StepError> {
    if record.is_group() {
        return Ok(Vec::new());
    }
    let standing = Standing::of(me, &record);
    let subject = Subject { standing, ..Subject::new(record.clone()) };
    let Outcome::Observed(seen) = host.execute(Effect::Observe, &subject).await? else {
        return Ok(Vec::new());
    };
    let here = Here {
        me,
        ext4: ext4_online_grow(),
        now: Timestamp::now(),
        turn: SignedDuration::ZERO,
        // Nobody is asked here: an owner is taken to be well.
        owner: Session::Lives,
        serving: Serving::Able,
        departed: None,
        // And so is who writes by way of one.
        lending: Lending { writer: Session::Lives, ..Lending::NONE },
        write_back: WriteBack::Works,
    };
    Ok(plan::foresee(record, seen, &here))
}
