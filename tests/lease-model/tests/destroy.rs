//! In which order a removed volume's storage may be deleted.

use lease_model::destroy::{Before, Deletion, KEPT};
use stateright::{Checker, Model};

#[test]
fn what_was_condemned_before_it_was_deleted_is_missed_by_nobody() {
    for nodes in [2, 3] {
        let revisions = if nodes == 2 { 8 } else { 5 };
        let deletion = Deletion { nodes, before: Before::Condemned, revisions };
        let checker = deletion.checker().spawn_bfs().join();
        println!("deletion, {nodes} nodes: {} states", checker.unique_state_count());
        checker.assert_properties();
        assert!(checker.is_done());
    }
}

/// However often it is looked at before: the call may come later.
#[test]
fn to_read_the_record_before_the_call_does_not_keep_a_volume_that_was_undeleted() {
    for before in [Before::Read, Before::ReadTwice] {
        let deletion = Deletion { nodes: 2, before, revisions: 6 };
        let checker = deletion.checker().spawn_bfs().join();
        let path = checker.discovery(KEPT);
        assert!(path.is_some(), "{before:?}: the model did not see that the volume is lost");
    }
}
