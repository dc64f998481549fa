//! Calls about an image, one after the other, and each with an end for its caller.
//!
//! The export's mount is hard: a server that goes away during a call holds the call's thread until it is
//! back, and hawser goes on without it. That call is not forgotten: the next one about the same image
//! begins when it has ended, and what it made for a caller who has left is undone first. Otherwise a loop
//! device that is bound so late would hold the image's lock, unknown to anybody, and keep other nodes
//! away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, oneshot},
    time::{Instant, timeout_at},
};

use super::{error::NfsError, failed};
use crate::{
    backend::{BackendError, ErrorKind},
    spec::BackendKind,
    volume::VolumeId,
};

/// How long a call to images may take, the wait for the one before it included.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Whose turn it is, for each image.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// A turn is held by the call's own task until the call has ended.
    of: Mutex<HashMap<VolumeId, Arc<Turn<()>>>>,
}

impl Turns {
    /// Makes a call to the local backend about an image, and gives its answer as this backend's. `undo`
    /// runs where it succeeds and nobody waits for it any more.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        op: &'static str,
        id: VolumeId,
        call: impl Future<Output = Result<T, BackendError>> + Send + 'static,
        undo: impl Future<Output = ()> + Send + 'static,
    ) -> Result<T, BackendError> {
        let late = || failed(op)(NfsError::ImageLate { after: LIMIT });
        let deadline = Instant::now() + LIMIT;
        let turn = timeout_at(deadline, self.turn(id).lock_owned()).await;
        let turn = turn.map_err(|_| late())?;
        let (answer, asked) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _turn = turn;
            if let Err(Ok(_)) = answer.send(call.await) {
                tracing::warn!(%id, op, "it ended after its caller had given up: it is undone");
                undo.await;
            }
        });
        match timeout_at(deadline, asked).await {
            Ok(Ok(done)) => {
                done.map_err(|error| BackendError { backend: BackendKind::Nfs, ..error })
            }
            Ok(Err(gone)) => {
                let source = task.await.map_or_else(Into::into, |()| gone.into());
                let (kind, backend) = (ErrorKind::Failed, BackendKind::Nfs);
                Err(BackendError { kind, op, backend, source })
            }
            Err(_) => Err(late()),
        }
    }

    fn turn(&self, id: VolumeId) -> Arc<Turn<()>> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(of.entry(id).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    /// What was done, in its order.
    #[derive(Debug, Clone, Default)]
    struct Done(Arc<Mutex<Vec<&'static str>>>);

    impl Done {
        async fn add(self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_late_call_did_is_undone_before_the_next_one_looks() {
        let (turns, id, done) = (Turns::default(), VolumeId::random(), Done::default());
        let (server, away) = oneshot::channel::<()>();
        let bound = done.clone();
        let bind = async move {
            away.await.unwrap();
            bound.add("bound").await;
            Ok(())
        };
        let error = turns.within("attach", id, bind, done.clone().add("taken back")).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("did not answer within 60 s"), "{error}");

        let other = async { Ok(()) };
        turns.within("attach", VolumeId::random(), other, ready(())).await.unwrap();
        let looked = done.clone();
        let look = async move {
            looked.add("looked").await;
            Ok(())
        };
        let back = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            server.send(()).unwrap();
        };
        let (looked, ()) = tokio::join!(turns.within("inspect", id, look, ready(())), back);
        looked.unwrap();
        assert_eq!(*done.0.lock().unwrap(), ["bound", "taken back", "looked"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_late_call_has_an_end_and_what_somebody_waits_for_is_kept() {
        let (turns, id, done) = (Turns::default(), VolumeId::random(), Done::default());
        let (server, away) = oneshot::channel::<()>();
        let bind = async move {
            away.await.unwrap();
            Ok(())
        };
        turns.within("attach", id, bind, ready(())).await.unwrap_err();
        let begun = Instant::now();
        let look = done.clone();
        let look = async move {
            look.add("looked").await;
            Ok(())
        };
        turns.within("inspect", id, look, ready(())).await.unwrap_err();
        assert_eq!(begun.elapsed(), LIMIT);
        server.send(()).unwrap();
        let bound = async { Ok("bound") };
        let kept = turns.within("attach", id, bound, done.clone().add("taken back")).await;
        assert_eq!(kept.unwrap(), "bound");
        let none: [&str; 0] = [];
        assert_eq!(*done.0.lock().unwrap(), none);
    }
}
