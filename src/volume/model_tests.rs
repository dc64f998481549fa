//! Random lives of one volume: callers, crashes and failures at every step, against a model of
//! what the callers were told.
//!
//! [`world`] is what steps act on and asserts that each one is allowed; [`daemon`] drives the pure
//! core as `engine::task` does; [`life`] is Docker's side, and [`promises`] is what it is owed.

mod daemon;
mod life;
mod promises;
mod requests;
mod world;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::plan::Ext4OnlineGrow;
use crate::spec::AttachPolicy;
use daemon::{Fate, StoreFate};
use life::{Kind, Life};
use world::Extent;

/// The empty one is Mesos.
const IDS: [&str; 4] = ["web", "db", "cron", ""];

#[derive(Debug, Clone)]
enum Op {
    Step(Fate),
    NextStore(StoreFate),
    Mount { who: usize, hangs_up: bool },
    Unmount(usize),
    Write,
    KillDockerd { live_restore: bool },
    Reboot,
    Crash,
    Sweep,
    TimePasses(i64),
    Grow(u64),
    Remove { after: Option<i64> },
    Undelete,
    Purge,
    Snapshot,
}

fn extents() -> impl Strategy<Value = Extent> {
    prop_oneof![Just(Extent::Nothing), Just(Extent::Half), Just(Extent::Everything)]
}

fn steps() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => Just(Op::Step(Fate::Works)),
        1 => extents().prop_map(|extent| Op::Step(Fate::Fails(extent))),
        1 => extents().prop_map(|extent| Op::Step(Fate::Crash(extent))),
    ]
}

fn troubles() -> impl Strategy<Value = Op> {
    let store = prop_oneof![
        Just(StoreFate::Fails),
        Just(StoreFate::CrashBefore),
        Just(StoreFate::CrashAfter),
    ];
    prop_oneof![
        3 => store.prop_map(Op::NextStore),
        1 => Just(Op::Crash),
        1 => Just(Op::Reboot),
        2 => any::<bool>().prop_map(|live_restore| Op::KillDockerd { live_restore }),
    ]
}

fn operations() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => steps(),
        5 => (0..IDS.len(), proptest::bool::weighted(0.2))
            .prop_map(|(who, hangs_up)| Op::Mount { who, hangs_up }),
        4 => (0..IDS.len()).prop_map(Op::Unmount),
        2 => Just(Op::Write),
        2 => troubles(),
        1 => Just(Op::Sweep),
        2 => (1..2000_i64).prop_map(Op::TimePasses),
        1 => (5..40_u64).prop_map(Op::Grow),
        1 => proptest::option::of(0..3000_i64).prop_map(|after| Op::Remove { after }),
        1 => Just(Op::Undelete),
        1 => Just(Op::Purge),
        1 => Just(Op::Snapshot),
    ]
}

fn ext4() -> impl Strategy<Value = Ext4OnlineGrow> {
    prop_oneof![Just(Ext4OnlineGrow::Possible), Just(Ext4OnlineGrow::NotPossible)]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Local),
        Just(Kind::Cloud(AttachPolicy::Stay)),
        Just(Kind::Cloud(AttachPolicy::Follow)),
        Just(Kind::Directory),
    ]
}

fn lives() -> impl Strategy<Value = (Ext4OnlineGrow, Kind, Vec<Op>)> {
    (ext4(), kinds(), proptest::collection::vec(operations(), 0..120))
}

fn live(ext4: Ext4OnlineGrow, kind: Kind, ops: &[Op]) -> Life {
    let mut life = Life::new(ext4, kind);
    for op in ops {
        life.run(op);
    }
    life.settle();
    life.end();
    life
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_a_volume_loses_data_or_leaves_anything((ext4, kind, ops) in lives()) {
        live(ext4, kind, &ops);
    }
}

/// Lives in which nothing happens would prove nothing.
#[test]
fn the_lives_are_full() {
    let mut runner = TestRunner::deterministic();
    let (mut grants, mut formats, mut purged_with_data) = (0, 0, 0);
    for _ in 0..300 {
        let (ext4, kind, ops) = lives().new_tree(&mut runner).unwrap().current();
        let life = live(ext4, kind, &ops);
        grants += life.grants;
        formats += life.world.formats;
        purged_with_data += u32::from(life.written > Some(0) && life.forgotten);
    }
    assert!(
        grants > 300 && formats > 150 && purged_with_data > 50,
        "{grants} {formats} {purged_with_data}"
    );
}
