//! What sharing follows as long as the daemon lives: the tunnel, the servers' logs, and where other nodes are.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    cluster::Nodes,
    engine::{Engine, message::Message},
    volume::NodeName,
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
                    sharing.moved(name, address).await;
                }
            }
            before = now;
        }
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
