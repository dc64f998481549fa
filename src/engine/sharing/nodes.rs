//! What sharing follows as long as the daemon lives: the tunnel, the servers' logs, and where other nodes are.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    cluster::{NodeInfo, Nodes},
    engine::{Engine, message::Message},
    spec::BackendKind,
    volume::{NodeName, Owner, Record, VolumeId},
};

impl Engine {
    /// Keeps the tunnel running until the daemon ends, which does not end it.
    pub(in crate::engine) async fn carry_for_ever(self) {
        if let Ok(sharing) = &self.shared.sharing {
            tokio::select! {
                () = sharing.in_force.keep(self.shared.stopping.clone()) => {}
                never = sharing.bound_logs() => match never {},
            }
        }
    }

    /// Wakes the volumes of a node whose session ends or begins, for those that reach them, and tells the
    /// tunnel where nodes are.
    pub(in crate::engine) async fn follow_nodes_for_ever(self) {
        let mut nodes = self.shared.store.watch_nodes();
        // Nodes may have moved while this daemon was away.
        let mut before = Nodes::default();
        nodes.mark_changed();
        while nodes.changed().await.is_ok() {
            let now = Arc::clone(&nodes.borrow_and_update());
            let names: BTreeSet<_> = now.keys().chain(before.keys()).collect();
            for name in names {
                let session = |nodes: &Nodes| nodes.get(name).map(|state| state.session);
                if session(&now) != session(&before) {
                    self.wake_those_of(name);
                }
            }
            // After that: a tunnel that does not answer must not hold up the news of a dead owner.
            for (name, state) in now.iter() {
                let was = before.get(name).and_then(|was| was.info.tunnel.as_ref());
                if let (Ok(sharing), Some(address)) = (&self.shared.sharing, &state.info.tunnel)
                    && was != Some(address)
                {
                    let theirs = self.volumes_of(&state.info);
                    sharing.moved(name, address, theirs).await;
                }
            }
            before = now;
        }
    }

    /// The volumes that are reached at that node's tunnel.
    fn volumes_of(&self, info: &NodeInfo) -> HashSet<VolumeId> {
        let views = self.shared.registry.all().into_iter().map(|handle| handle.view());
        let theirs = views.filter(|view| is_reached_at(&view.record, info));
        theirs.map(|view| view.record.id).collect()
    }

    fn wake_those_of(&self, node: &NodeName) {
        for handle in self.shared.registry.all() {
            let record = &handle.view().record;
            if record.is_served() && record.lease.is_of(node) && !record.users.is_empty() {
                handle.tell(Message::Wake);
            }
        }
    }
}

/// Whether a volume's owner is who says that. A machine that has the owner's name by now is another one: the
/// owner may still serve its users where it is. Who has the disk of a local volume has the name.
pub(super) fn is_reached_at(record: &Record, info: &NodeInfo) -> bool {
    let there = Owner { node: info.name.clone(), machine: info.machine.clone() };
    let local = record.spec.backend.kind() == BackendKind::Local;
    let is_there = |owner: &Owner| owner.is(&there) || local && owner.node == there.node;
    record.lease.owner.as_ref().is_some_and(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        spec::AttachPolicy,
        volume::{
            Lease,
            testing::{on_ebs, used_record},
        },
    };

    #[test]
    fn a_machine_that_has_the_owners_name_by_now_is_not_where_its_volumes_are() {
        let info = |machine: Option<&str>| {
            let text = r#"{"name":"a","machine_id":"m","version":"0.1.0","started_at":"2026-01-02T03:04:05Z"}"#;
            let info: NodeInfo = serde_json::from_str(text).unwrap();
            NodeInfo { machine: machine.map(str::to_owned), ..info }
        };
        let owned_by = |node: &str, machine: Option<&str>| {
            let machine = machine.map(str::to_owned);
            let lease = Lease::first(Owner { node: node.parse().unwrap(), machine });
            Record { lease, ..on_ebs(used_record(), AttachPolicy::Stay) }
        };
        let record = owned_by("a", Some("i-1"));
        assert!(is_reached_at(&record, &info(Some("i-1"))));
        assert!(!is_reached_at(&record, &info(Some("i-2"))));
        assert!(is_reached_at(&record, &info(None)), "an older hawser does not say");
        assert!(is_reached_at(&owned_by("a", None), &info(Some("i-1"))));
        assert!(!is_reached_at(&owned_by("b", Some("i-1")), &info(Some("i-1"))));
        assert!(!is_reached_at(&used_record(), &info(None)), "nobody's");
        let local = Record { lease: record.lease, ..used_record() };
        assert!(is_reached_at(&local, &info(Some("i-2"))), "the disk is in another machine");
    }
}
