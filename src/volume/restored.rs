//! What a node does with a record of the cluster's store that is older than what it knows: the store
//! was restored from a backup. Pure: the volume's task carries it out.
//!
//! A store that only goes on never has less than what it once said: its revisions and epochs grow. One
//! that was wiped and filled again counts its revisions anew, but has what its nodes last knew.
//!
//! The invariant: nobody acts on the older record. It may call a volume blank that has data, or name an
//! owner that is none any more.

use super::{Contents, Record, lease::Session, plan::Standing};

/// What is to be done with a record that was just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is what is true now.
    Believe,
    /// The store is told again what this node knows.
    Tell,
    /// Its owner lives, knows better than this node, and tells it.
    LeaveToOwner,
}

/// Compares what a node knows with what the store says. `owner` is the session of the owner that the
/// node knows; nobody's is over.
#[must_use]
pub fn remedy(known: &Record, stored: &Record, standing: Standing, owner: Session) -> Remedy {
    let is_back = stored.revision < known.revision && stored.lease.epoch <= known.lease.epoch;
    if !is_back || stored.shared() == known.shared() {
        return Remedy::Believe;
    }
    match (standing, owner) {
        // Never in a cluster: there is nothing that it could have been told before.
        (Standing::Alone, _) => Remedy::Believe,
        (Standing::Owner | Standing::Fencing, _) => Remedy::Tell,
        (Standing::Other, Session::Over) => Remedy::Tell,
        (Standing::Other, Session::Lives) => {
            let unformatted =
                known.contents == Contents::Formatted && stored.contents != Contents::Formatted;
            if stored.lease.epoch < known.lease.epoch || unformatted {
                Remedy::LeaveToOwner
            } else {
                // The owner has told it already, or has seen nothing wrong with it.
                Remedy::Believe
            }
        }
    }
}

/// What is told: the record as it is known, as the store's next state. Where the store names another
/// owner at the same epoch, the next one tells the two apart.
#[must_use]
pub fn told_again(known: &Record, stored: &Record) -> Record {
    let mut told = Record { revision: stored.revision, ..known.clone() };
    if stored.lease.epoch == known.lease.epoch && stored.lease.owner != known.lease.owner {
        told.lease.epoch = known.lease.epoch.next();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Epoch, Lease, Owner, Revision, testing::used_record},
        *,
    };

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

    /// Half-made file systems are deleted with their storage: a volume with data must never look so.
    #[test]
    fn nobody_believes_that_a_formatted_volume_is_not() {
        let known = record(7, 3, "a");
        for contents in [Contents::Blank, Contents::Formatting, Contents::Inherited] {
            for epoch in [2, 3] {
                let stored = Record { contents, ..record(2, epoch, "a") };
                for (standing, session) in EVERYBODY {
                    let remedy = remedy(&known, &stored, standing, session);
                    assert_ne!(remedy, Remedy::Believe, "{standing:?} {session:?} {contents:?}");
                }
            }
        }
    }

    #[test]
    fn who_is_not_the_owner_tells_only_what_nobody_else_would() {
        let (known, stored) = (record(7, 3, "a"), record(6, 2, "b"));
        let of = |session| remedy(&known, &stored, Standing::Other, session);
        assert_eq!(of(Session::Lives), Remedy::LeaveToOwner);
        assert_eq!(of(Session::Over), Remedy::Tell);
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
