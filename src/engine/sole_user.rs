//! A shared volume goes to the one node that uses it, where `sharing.move_after` says so.
//!
//! It is what a drain does, to one volume: the owner lets go in order, the node's tasks pause, and the
//! node takes what nobody has. They stay on NFS, through that node's own tunnel, until the last of them
//! has ended; what is saved is the network, and the need of a machine that has no task of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Engine, message::Users, neighbours::Released, serving::could_own, view::View};
use crate::{
    cluster::NodeState,
    spec::{BackendKind, Sharing},
    volume::{NodeName, Phase, Record, VolumeId},
};

/// How often it is looked at, at the rarest.
const LOOK: Duration = Duration::from_secs(10);

/// Since when that node alone has used it.
type Since = HashMap<VolumeId, (NodeName, Instant)>;

impl Engine {
    /// Looks until the daemon ends.
    pub(super) async fn follow_sole_users_for_ever(self, after: Duration) {
        let mut since = Since::new();
        let mut ticks = tokio::time::interval(after.min(LOOK));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for view in self.due(&mut since, after) {
                self.give_to_its_user(&view).await;
                // Where that failed, it is not tried at once again.
                since.remove(&view.record.id);
            }
        }
    }

    /// The volumes of which it has been so for long enough.
    fn due(&self, since: &mut Since, after: Duration) -> Vec<Arc<View>> {
        let Some(me) = self.shared.store.me() else { return Vec::new() };
        let nodes = self.shared.store.nodes();
        let mut due = Vec::new();
        let mut now = Since::new();
        for view in self.list() {
            let Some(user) = sole_user(&view.record, &me.node, &nodes) else { continue };
            let id = view.record.id;
            let begun = since.remove(&id).filter(|(before, _)| before == user);
            let begun = begun.map_or_else(Instant::now, |(_, begun)| begun);
            now.insert(id, (user.clone(), begun));
            if begun.elapsed() >= after {
                due.push(view);
            }
        }
        *since = now;
        due
    }

    async fn give_to_its_user(&self, view: &View) {
        let record = &view.record;
        let Some(handle) = self.shared.registry.by_id(record.id) else { return };
        let users: Vec<_> = record.users.iter().map(NodeName::as_str).collect();
        let to = users.join(", ");
        match self.release_task(&handle, None, Users::Pause, None).await {
            Ok(Released::Released | Released::Joined) => {
                tracing::info!(volume = %record.name, to, "given to the node that alone uses it");
            }
            Ok(Released::Held(why) | Released::Busy(why)) => {
                tracing::info!(volume = %record.name, to, why, "not given to the node that alone uses it");
            }
            Err(error) => {
                tracing::warn!(volume = %record.name, to, %error, "not given to the node that alone uses it");
            }
        }
    }
}

/// The one node that uses what `me` owns and does not use itself, if it could be its owner.
fn sole_user<'a>(
    record: &'a Record,
    me: &NodeName,
    nodes: &BTreeMap<NodeName, NodeState>,
) -> Option<&'a NodeName> {
    let mine = record.lease.is_of(me) && record.lease.from.is_none() && !record.is_held();
    let shared = record.is_served() && record.spec.sharing == Sharing::Shared;
    let goes = shared && record.spec.backend.kind() != BackendKind::Local;
    let [user] = record.users.iter().collect::<Vec<_>>().try_into().ok()?;
    if !mine || !goes || record.phase != Phase::Ready || user == me {
        return None;
    }
    could_own(record, nodes.get(user)?).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::NodeInfo,
        spec::{AttachPolicy, BackendSpec, EbsSpec, Spec},
        volume::{
            Lease, Owner,
            lease::Session,
            testing::{ebs, new_record, used_record},
        },
    };

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn node(name: &str) -> NodeState {
        let json = format!(
            r#"{{"name": "{name}", "machine_id": "m", "version": "0", "zone": "z",
            "free_slots": 1, "started_at": "2026-01-02T03:04:05Z"}}"#
        );
        let info: NodeInfo = serde_json::from_str(&json).unwrap();
        NodeState { info, session: Session::Lives }
    }

    fn nodes() -> BTreeMap<NodeName, NodeState> {
        ["a", "b", "c"].map(|text| (name(text), node(text))).into()
    }

    /// Of node `a`, on EBS, shared, and used by `b` alone.
    fn record() -> Record {
        let record = used_record();
        let BackendSpec::Ebs(ebs) = ebs(AttachPolicy::Stay) else { unreachable!() };
        let backend = BackendSpec::Ebs(EbsSpec { zone: Some("z".into()), ..ebs });
        let spec = Spec { sharing: Sharing::Shared, backend, ..record.spec };
        let lease = Lease::first(Owner { node: name("a"), machine: None });
        Record { spec, lease, users: [name("b")].into(), ..record }
    }

    fn found(record: &Record, nodes: &BTreeMap<NodeName, NodeState>) -> Option<NodeName> {
        sole_user(record, &name("a"), nodes).cloned()
    }

    #[test]
    fn a_volume_that_one_other_node_alone_uses_is_found() {
        assert_eq!(found(&record(), &nodes()), Some(name("b")));
    }

    #[test]
    fn it_stays_where_anybody_else_uses_it_or_it_cannot_go() {
        let with = |change: fn(&mut Record)| {
            let mut record = record();
            change(&mut record);
            found(&record, &nodes())
        };
        assert_eq!(with(|record| record.users.extend([name("c")])), None, "two nodes");
        assert_eq!(with(|record| record.users.clear()), None, "nobody");
        assert_eq!(with(|record| record.users = [name("a")].into()), None, "its own tasks, by NFS");
        assert_eq!(with(|record| record.lease = new_record().lease), None, "not its own");
        assert_eq!(with(|record| record.spec.sharing = Sharing::Exclusive), None, "not shared");
        assert_eq!(with(|record| record.spec.backend = used_record().spec.backend), None, "local");
        assert_eq!(
            with(|record| record.users = [name("d")].into()),
            None,
            "no node of the cluster"
        );
    }

    #[test]
    fn it_does_not_go_to_a_node_that_could_not_take_it() {
        let with = |change: fn(&mut NodeState)| {
            let mut nodes = nodes();
            nodes.get_mut(&name("b")).into_iter().for_each(change);
            found(&record(), &nodes)
        };
        assert_eq!(with(|node| node.session = Session::Over), None);
        assert_eq!(with(|node| node.info.drained = true), None);
        assert_eq!(with(|node| node.info.free_slots = Some(0)), None);
        assert_eq!(with(|node| node.info.zone = Some("y".into())), None);
        assert_eq!(with(|node| node.info.serves = Some(["nfs".to_owned()].into())), None);
        let able = with(|node| node.info.serves = Some(["ebs".to_owned()].into()));
        assert_eq!(able, Some(name("b")));
    }
}
