//! The thread that owns the database: takes changes, commits what came in together, answers.
//! Changes that nobody waits for wait for others to share the commit.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use redb::Database;
use tokio::sync::oneshot;

use super::{
    super::{StoreError, Urgency},
    file::{open_present, read_all, write_changes},
    index::Index,
};
use crate::{
    fault,
    spec::{Bytes, VolumeName},
    sys::usage,
    volume::{Record, Revision, VolumeId},
};

/// Below this much free space only releasing changes are stored.
pub(in crate::cluster) const RESERVED: Bytes = Bytes::mib(16);

/// So long changes are kept back at most that nobody waits for.
const KEPT_BACK: Duration = Duration::from_secs(1);

/// One change of one record.
pub(super) enum Change {
    Put(Box<Record>),
    Delete(VolumeId),
}

impl Change {
    /// Of which record.
    pub(super) fn id(&self) -> VolumeId {
        match self {
            Self::Put(record) => record.id,
            Self::Delete(id) => *id,
        }
    }
}

/// What is asked to be changed.
pub(super) enum Request {
    /// Whatever is there.
    Put(Box<Record>),
    /// Whatever is there.
    Delete(VolumeId),
    /// Where nothing is there, and nobody has the name.
    Create(Box<Record>),
    /// Where the state of that revision is there, and nobody else has the name.
    Replace(Box<Record>),
    /// Where the state of that revision is there, or nothing.
    DeleteAs(Box<Record>),
}

impl Request {
    fn id(&self) -> VolumeId {
        match self {
            Self::Put(record)
            | Self::Create(record)
            | Self::Replace(record)
            | Self::DeleteAs(record) => record.id,
            Self::Delete(id) => *id,
        }
    }
}

/// What the thread is asked, and who waits for it.
pub(super) enum Job {
    /// The revision of what is stored then is the answer; of what is deleted, 0.
    Write {
        request: Request,
        urgency: Urgency,
        caller: Caller,
    },
    Read {
        id: VolumeId,
        done: oneshot::Sender<Option<Record>>,
    },
    Named {
        name: VolumeName,
        done: oneshot::Sender<Option<VolumeId>>,
    },
    /// Nothing, once all that came before is stored.
    Flush {
        done: oneshot::Sender<()>,
    },
}

/// Who asked for a change.
pub(super) enum Caller {
    /// Waits until it is stored.
    Waits(oneshot::Sender<Result<Revision, StoreError>>),
    /// Does not: it may be kept back for a while.
    Nobody,
}

/// The thread that owns the database.
pub(super) struct Writer {
    /// `None` after an I/O error, until it can be opened again.
    database: Option<Database>,
    index: Index,
    path: PathBuf,
}

/// The changes of one transaction, and what to answer when it is stored.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    before: Vec<(VolumeId, Option<Record>)>,
    answers: Vec<(Caller, Result<Revision, StoreError>)>,
}

impl Writer {
    /// It ends when the last handle's sender is gone.
    pub(super) fn start(
        database: Database,
        records: &[Record],
        path: &Path,
        inbox: mpsc::Receiver<Job>,
    ) -> Result<(), StoreError> {
        let index = Index::new(records);
        let writer = Self { database: Some(database), index, path: path.into() };
        let thread = thread::Builder::new().name("store".into());
        thread
            .spawn(move || writer.run(&inbox))
            .map_err(|error| StoreError::Open { path: path.into(), reason: error.to_string() })?;
        Ok(())
    }

    fn run(mut self, inbox: &mpsc::Receiver<Job>) {
        while let Ok(first) = inbox.recv() {
            let mut jobs = vec![first];
            jobs.extend(inbox.try_iter());
            if jobs.iter().all(Job::may_wait) {
                keep_back(&mut jobs, inbox);
            }
            let (writes, questions): (Vec<_>, Vec<_>) =
                jobs.into_iter().partition(|job| matches!(job, Job::Write { .. }));
            self.commit(writes);
            for question in questions {
                self.answer(question);
            }
        }
    }

    /// A question that came in with changes is answered after them: not older than it was asked.
    fn answer(&self, question: Job) {
        // The receiver is gone when the caller gave up waiting.
        match question {
            Job::Read { id, done } => drop(done.send(self.index.read(id))),
            Job::Named { name, done } => drop(done.send(self.index.named(&name))),
            Job::Flush { done } => drop(done.send(())),
            Job::Write { .. } => {}
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut batch = Batch::default();
        let room = self.room();
        for job in jobs {
            let Job::Write { request, urgency, caller } = job else { continue };
            match &room {
                Err(full) if urgency == Urgency::NewWork => answer(caller, Err(full.clone())),
                Ok(()) | Err(_) => self.decide(request, caller, &mut batch),
            }
        }
        if batch.changes.is_empty() {
            batch.answers.into_iter().for_each(|(caller, result)| answer(caller, result));
            return;
        }
        fault::point("store.commit.before");
        let stored = self.write(&batch.changes);
        fault::point("store.commit.after");
        if stored.is_err() {
            // In reverse: a record may have been changed twice.
            for (id, before) in batch.before.into_iter().rev() {
                self.index.restore(id, before);
            }
        }
        // What was refused because of a change that is not stored has no other answer either.
        for (caller, result) in batch.answers {
            answer(caller, stored.clone().and(result));
        }
    }

    /// Decides on what those before it will have stored.
    fn decide(&mut self, request: Request, caller: Caller, batch: &mut Batch) {
        let id = request.id();
        let before = self.index.read(id);
        let result = self.index.change(request).map(|change| {
            batch.before.push((id, before));
            let revision = match &change {
                Some(Change::Put(record)) => record.revision,
                Some(Change::Delete(_)) | None => Revision::default(),
            };
            batch.changes.extend(change);
            revision
        });
        batch.answers.push((caller, result));
    }

    fn room(&self) -> Result<(), StoreError> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        match usage::of(dir) {
            Ok(usage) if usage.available < RESERVED => {
                Err(StoreError::Full { path: dir.into(), free: usage.available })
            }
            // Not knowing is no reason to refuse: the commit itself will tell.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut repairs = Vec::new();
        let database = match self.database.take() {
            Some(database) => database,
            // Never made anew: it would lack every record but those of this batch.
            None => {
                let database = open_present(&self.path)?;
                // What failed may be there all the same. What these changes are about, they repair.
                repairs = self.index.repair(&read_all(&database, &self.path)?);
                repairs.retain(|repair| changes.iter().all(|change| change.id() != repair.id()));
                database
            }
        };
        match write_changes(&database, repairs.iter().chain(changes)) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            // After an I/O error redb answers nothing but that error until it is opened again.
            Err(error) => {
                Err(StoreError::Write { path: self.path.clone(), reason: error.to_string() })
            }
        }
    }
}

impl Job {
    fn may_wait(&self) -> bool {
        matches!(self, Self::Write { caller: Caller::Nobody, .. })
    }
}

/// Takes what else comes, until something does not wait or the time is over.
fn keep_back(jobs: &mut Vec<Job>, inbox: &mpsc::Receiver<Job>) {
    let until = Instant::now() + KEPT_BACK;
    // Without a handle left, what was kept back is stored now.
    while let Ok(job) = inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
        let may_wait = job.may_wait();
        jobs.push(job);
        if !may_wait {
            return;
        }
    }
}

/// The receiver is gone when the caller gave up waiting: the change stands all the same.
fn answer(caller: Caller, result: Result<Revision, StoreError>) {
    match (caller, result) {
        (Caller::Waits(done), result) => drop(done.send(result)),
        (Caller::Nobody, Err(error)) => {
            tracing::warn!(%error, "this node's copy of what other nodes changed is older");
        }
        (Caller::Nobody, Ok(_)) => {}
    }
}
