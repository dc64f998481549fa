//! What a node does with a record of the cluster's store that is older than what it knows: the store
//! was restored from a backup. Pure: the volume's task carries it out.
//!
//! A store that only goes on never has less than what it once said: its revisions and epochs grow. One
//! that was wiped and filled again counts its revisions anew, but has what its nodes last knew.
//!
//! The invariant: nobody acts on the older record. It may call a volume blank that has data, or name an
//! owner that is none any more. And whatever its number, a record that says that there is no data where
//! there was some is not believed in that.

use super::{Contents, Phase, Record, lease::Session, plan::Standing};

/// What is to be done with a record that was just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is what is true now.
    Believe,
    /// It is what is true now, but for what it says of the data: the store is told that again.
    Mend,
    /// The store is told again what this node knows.
    Tell,
    /// Its owner lives, knows better than this node, and tells it.
    LeaveToOwner,
}

/// Compares what a node knows with what the store says. `owner` is the session of the owner that the
/// node knows; nobody's is over.
#[must_use]
pub fn remedy(known: &Record, stored: &Record, standing: Standing, owner: Session) -> Remedy {
    let forgets = forgets_contents(known, stored);
    if is_behind(known, stored) {
        match (standing, owner) {
            // Never in a cluster: there is nothing that it could have been told before.
            (Standing::Alone, _) => {}
            (Standing::Owner | Standing::Fencing, _) => return Remedy::Tell,
            // The store lost it, and another node told it: anew, so that its number says nothing.
            (Standing::Other, _) if known.untold && stored.lease.epoch == known.lease.epoch => {}
            (Standing::Other, Session::Over) => return Remedy::Tell,
            (Standing::Other, Session::Lives) => {
                if stored.lease.epoch < known.lease.epoch || forgets {
                    return Remedy::LeaveToOwner;
                }
                // The owner has told it already, or has seen nothing wrong with it.
            }
        }
    }
    if forgets { Remedy::Mend } else { Remedy::Believe }
}

/// Whether the store has an older state of the record than is known.
fn is_behind(known: &Record, stored: &Record) -> bool {
    is_older(known, stored)
        && stored.lease.epoch <= known.lease.epoch
        && stored.shared() != known.shared()
}

/// Whether a record of the store has a lower number than the same volume's that is known.
#[must_use]
pub fn is_older(known: &Record, stored: &Record) -> bool {
    is_same_volume(known, stored) && stored.revision < known.revision
}

/// Whether what the store was heard to say is worth a look at what it has now: it may be older than what is
/// known, or of another volume. What is told may just have been overtaken.
#[must_use]
pub fn may_be_behind(known: &Record, told: &Record) -> bool {
    is_older(known, told) || !is_same_volume(known, told)
}

/// Whether two records are of one volume. The id of a directory that is imported is made of its path: one
/// that was deleted, made anew and imported again is another volume.
fn is_same_volume(one: &Record, other: &Record) -> bool {
    one.id == other.id && one.created_at == other.created_at
}

/// Whether a record knows of less data than another did. That never happens by itself to the same
/// storage, whatever the revision and the epoch: half-made file systems are deleted with their storage.
#[must_use]
pub fn forgets_contents(known: &Record, stored: &Record) -> bool {
    is_same_volume(known, stored)
        && stored.generation <= known.generation
        && rank(stored.contents) < rank(known.contents)
}

/// How much there is to lose.
const fn rank(contents: Contents) -> u8 {
    match contents {
        Contents::Blank | Contents::Formatting => 0,
        Contents::Inherited => 1,
        Contents::Formatted => 2,
    }
}

/// A record, with what is known of its data where it has forgotten that: the contents, and what is needed
/// to find and to mount them.
#[must_use]
pub fn keeping_contents(known: &Record, mut stored: Record) -> Record {
    if !forgets_contents(known, &stored) {
        return stored;
    }
    if stored.phase == Phase::Creating {
        // From before its storage was made: what was asked is what was made by now.
        stored.phase = known.phase.clone();
        stored.spec = known.spec.clone();
    }
    stored.contents = known.contents;
    stored.spec.fs = known.spec.fs;
    stored.handle.clone_from(&known.handle);
    stored.generation = known.generation;
    stored.file_system_uuid = known.file_system_uuid;
    stored.data_dir.clone_from(&known.data_dir);
    stored
}

/// What is told, as the store's next state: the record as it is known, or, where the store's is not behind,
/// that one with what is known of the data. Where the store names another owner at the same epoch, the
/// next one tells the two apart.
#[must_use]
pub fn told_again(known: &Record, stored: &Record) -> Record {
    if !is_behind(known, stored) {
        return known.with_shared(keeping_contents(known, stored.clone()));
    }
    let mut told = keeping_contents(stored, Record { revision: stored.revision, ..known.clone() });
    if told.is_removed() && stored.phase == Phase::Ready {
        // Removed once more it can be; what was deleted for it cannot be had back.
        told.phase = Phase::Ready;
    }
    if stored.lease.epoch == known.lease.epoch && stored.lease.owner != known.lease.owner {
        told.lease.epoch = known.lease.epoch.next();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Epoch, Lease, Owner, Purge, Revision,
            testing::{START, used_record},
        },
        *,
    };
    use jiff::SignedDuration;

    fn owner(node: &str) -> Owner {
        Owner { node: node.parse().unwrap(), machine: None }
    }

    fn record(revision: u64, epoch: u64, node: &str) -> Record {
        let lease = Lease { epoch: Epoch::from(epoch), owner: Some(owner(node)), from: None };
        Record { revision: Revision::from(revision), lease, ..used_record() }
    }

    const EVERYBODY: [(Standing, Session); 4] = [
        (Standing::Owner, Session::Lives),
        (Standing::Fencing, Session::Lives),
        (Standing::Other, Session::Lives),
        (Standing::Other, Session::Over),
    ];

    #[test]
    fn what_is_newer_or_the_same_is_believed_by_everybody() {
        let known = record(7, 3, "a");
        let renumbered = record(2, 3, "a");
        for stored in [record(8, 3, "b"), record(8, 2, "a"), record(2, 4, "b"), renumbered] {
            for (standing, session) in EVERYBODY {
                assert_eq!(remedy(&known, &stored, standing, session), Remedy::Believe);
            }
        }
    }

    #[test]
    fn an_owner_does_not_believe_an_older_state_of_its_volume_at_any_epoch() {
        let known = record(7, 3, "a");
        let blank = Record { contents: Contents::Formatting, ..record(2, 3, "a") };
        for stored in [record(6, 2, "b"), record(6, 3, "b"), blank] {
            assert_eq!(remedy(&known, &stored, Standing::Owner, Session::Lives), Remedy::Tell);
        }
    }

    /// Half-made file systems are deleted with their storage: a volume with data must never look so. Not
    /// at higher numbers either: somebody may have gone on from the older record.
    #[test]
    fn nobody_believes_that_a_formatted_volume_is_not() {
        let known = record(7, 3, "a");
        for contents in [Contents::Blank, Contents::Formatting, Contents::Inherited] {
            for (revision, epoch) in
                [(2, 2), (2, 3), (2, 4), (7, 3), (7, 4), (8, 2), (8, 3), (9, 9)]
            {
                let stored = Record { contents, ..record(revision, epoch, "b") };
                for (standing, session) in EVERYBODY {
                    let remedy = remedy(&known, &stored, standing, session);
                    assert_ne!(remedy, Remedy::Believe, "{standing:?} {session:?} {stored:?}");
                }
                assert_eq!(told_again(&known, &stored).contents, Contents::Formatted);
                assert_eq!(keeping_contents(&known, stored).contents, Contents::Formatted);
            }
        }
    }

    #[test]
    fn what_is_inherited_is_never_formatted_and_may_be_recognised() {
        let inherited = Record { contents: Contents::Inherited, ..record(7, 3, "a") };
        for contents in [Contents::Blank, Contents::Formatting] {
            let stored = Record { contents, ..record(9, 4, "b") };
            assert!(forgets_contents(&inherited, &stored));
        }
        assert!(!forgets_contents(&inherited, &record(9, 4, "b")));
    }

    #[test]
    fn a_newer_record_keeps_all_but_what_it_has_forgotten_of_the_data() {
        let uuid = Some("6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse().unwrap());
        let known = Record { file_system_uuid: uuid, ..record(7, 3, "a") };
        let stored = Record {
            phase: Phase::Creating,
            contents: Contents::Blank,
            handle: None,
            ..record(9, 4, "b")
        };
        let kept = keeping_contents(&known, stored.clone());
        assert_eq!((kept.revision, &kept.lease), (stored.revision, &stored.lease));
        assert_eq!((&kept.phase, kept.contents), (&known.phase, known.contents));
        assert_eq!((&kept.handle, kept.file_system_uuid), (&known.handle, uuid));
    }

    #[test]
    fn storage_that_was_made_anew_since_is_another_one() {
        let known = record(7, 3, "a");
        let stored = Record { contents: Contents::Formatting, generation: 1, ..record(8, 3, "a") };
        assert!(!forgets_contents(&known, &stored));
    }

    /// A directory that is imported anew has the id that it had before.
    #[test]
    fn an_old_record_is_not_told_over_another_volume_of_its_id() {
        let known = record(7, 3, "a");
        let created_at = known.created_at + SignedDuration::from_secs(1);
        let contents = Contents::Blank;
        for revision in [2, 7, 8] {
            let stored = Record { created_at, contents, ..record(revision, 1, "b") };
            for (standing, session) in EVERYBODY {
                assert_eq!(remedy(&known, &stored, standing, session), Remedy::Believe);
            }
            assert_eq!(keeping_contents(&known, stored.clone()), stored);
        }
    }

    #[test]
    fn what_is_told_has_the_better_contents_and_removes_nothing() {
        let removed = Phase::Removed { at: START, purge: Purge::Never };
        let known = Record { phase: removed, contents: Contents::Formatting, ..record(7, 3, "a") };
        let told = told_again(&known, &record(5, 3, "a"));
        assert_eq!((told.phase, told.contents), (Phase::Ready, Contents::Formatted));
    }

    #[test]
    fn who_is_not_the_owner_tells_only_what_nobody_else_would() {
        let (known, stored) = (record(7, 3, "a"), record(6, 2, "b"));
        let of = |session| remedy(&known, &stored, Standing::Other, session);
        assert_eq!(of(Session::Lives), Remedy::LeaveToOwner);
        assert_eq!(of(Session::Over), Remedy::Tell);
    }

    /// Another name may have been what let it be told.
    #[test]
    fn what_another_node_told_after_it_was_lost_is_believed_but_for_the_data() {
        let known = Record { untold: true, ..record(7, 3, "a") };
        let of = |stored: &Record| remedy(&known, stored, Standing::Other, Session::Over);
        let renamed = Record { name: "other".parse().unwrap(), ..record(1, 3, "a") };
        assert_eq!(of(&renamed), Remedy::Believe);
        assert_eq!(of(&Record { contents: Contents::Formatting, ..renamed }), Remedy::Mend);
        assert_eq!(of(&record(1, 2, "a")), Remedy::Tell);
    }

    #[test]
    fn what_is_told_has_the_stores_number_and_an_epoch_of_its_own() {
        let known = record(7, 3, "a");
        let told = told_again(&known, &record(5, 2, "b"));
        assert_eq!((told.revision, told.lease), (Revision::from(5), known.lease.clone()));
        let told = told_again(&known, &record(5, 3, "b"));
        assert_eq!(told.lease.epoch, Epoch::from(4));
        assert_eq!(told.lease.owner, known.lease.owner);
    }
}
