//! The steps of a volume's task that share it: carried out here, decided by `volume::plan`.

use tokio_util::sync::CancellationToken;

use super::{NotReached, nodes::is_reached_at, reach::reached};
use crate::{
    cluster::NodeState,
    engine::{
        Shared,
        error::{Cause, unwanted},
        host::{Subject, data_dir},
    },
    fault,
    share::mount::Leaving,
    sys::machine,
    volume::{
        Epoch, Observed, Record,
        effect::{Effect, Outcome},
        lease::Session,
    },
};

impl Shared {
    /// Carries one of the steps of sharing out: one of [`Effect::shares`].
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the steps that are not shared do not come here"
    )]
    pub(in crate::engine) async fn share(
        &self,
        effect: Effect,
        record: &Record,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Cause> {
        let sharing = self.sharing.as_ref().map_err(|why| NotReached::NotHere(why.to_string()))?;
        fault::point(&format!("{}.before", effect.name()));
        let (stage, reach) = (self.host.stage_path(record.id), self.host.reach_path(record.id));
        let done: Result<Outcome, Cause> = match effect {
            Effect::Export => {
                // What is known of clients counts only before the server starts.
                let gone = match sharing.serves(record.id) {
                    true => Vec::new(),
                    false => self.departed_hosts(record).await,
                };
                sharing.export(record, &stage, &data_dir(record), gone).await
            }
            Effect::Unexport => sharing.unexport(record, &stage).await,
            Effect::Connect => {
                let nodes = self.store.nodes();
                let owner = record.lease.owner.as_ref().and_then(|owner| nodes.get(&owner.node));
                let info = owner.map(|state| &state.info);
                sharing.connect(record, info.filter(|info| is_reached_at(record, info))).await
            }
            Effect::Reach => {
                self.refuse_a_clients_name()?;
                self.host.make_reach(record.id).await?;
                tokio::select! {
                    reached = sharing.reach(record, &reach) => reached,
                    () = cancel.cancelled() => Err(unwanted("reach", record)),
                }
            }
            // Unreach: no other step comes here.
            _ => {
                let done = match self.is_no_writer(record) {
                    true => sharing.cut_off(record.id, &reach).await?,
                    false => sharing.unreach(record, &reach, self.leaving(record)).await?,
                };
                self.host.remove_reach(record.id).await?;
                Ok(done)
            }
        };
        fault::point(&format!("{}.after", effect.name()));
        done
    }

    /// A node that is no user of the volume any more, or whose volume is gone, is not let to its server.
    fn leaving(&self, record: &Record) -> Leaving {
        let user = self.store.me().is_some_and(|me| record.users.contains(&me.node));
        if user && !record.is_removed() { Leaving::Written } else { Leaving::AsItIs }
    }

    /// Two clients of one name would be one client to a volume's server.
    fn refuse_a_clients_name(&self) -> Result<(), NotReached> {
        let Some(me) = self.store.me() else { return Ok(()) };
        let host = machine::host_name();
        let same = |state: &&NodeState| {
            state.info.name != me.node
                && state.session == Session::Lives
                && state.info.host.as_ref() == Some(&host)
        };
        match self.store.nodes().values().find(same) {
            Some(state) => Err(NotReached::SameHost { other: state.info.name.clone(), host }),
            None => Ok(()),
        }
    }

    /// Adds what there is of sharing to what was found of a volume.
    pub(in crate::engine) async fn observe_sharing(
        &self,
        subject: &Subject,
        seen: &mut Observed,
    ) -> Result<(), Cause> {
        let record = &subject.record;
        // Also of what nobody reaches by the record: somebody may have until now.
        if record.spec.backend.is_directory() || self.store.me().is_none() {
            return Ok(());
        }
        let mounts = subject.mounts().await?;
        let (reach, path) =
            (self.host.reach_path(record.id), self.host.published_path(&record.name));
        match &self.sharing {
            Ok(sharing) => {
                (seen.exported, seen.remote) = sharing.observe(record, &reach, &path, &mounts)
            }
            // What is mounted or served is there, whatever this node can do about it.
            Err(not_shared) => {
                seen.exported = not_shared.may_serve(record.id).then_some(Epoch::FIRST);
                seen.remote = reached(&reach, &path, &mounts);
            }
        }
        Ok(())
    }
}
