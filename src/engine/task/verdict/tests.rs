//! The table of the verdicts: each row a sentence.

use Trouble::{CalledOff, Failed, NotStored, Overtaken};

use super::*;
use crate::{
    spec::{AttachPolicy, Bytes, Sharing},
    volume::{
        Device, Lease, Observed, Owner, Transit,
        lease::Session,
        plan::{self, Here},
        serving::Serving,
        testing::{self, new_record, on_ebs, used_record},
    },
};

const GROW: Effect = Effect::GrowStorage { to: Bytes::gib(20) };

/// Every step, to say something of all that are not named.
const STEPS: [Effect; 25] = [
    Effect::Observe,
    Effect::Own,
    Effect::Recall,
    Effect::Fence,
    Effect::ShutDown,
    Effect::Provision,
    Effect::Attach,
    Effect::Probe,
    Effect::Format,
    GROW,
    Effect::GrowOffline,
    Effect::Stage,
    Effect::GrowOnline,
    Effect::Thaw,
    Effect::Publish,
    Effect::Unpublish,
    Effect::Unstage,
    Effect::Detach,
    Effect::Export,
    Effect::Unexport,
    Effect::Connect,
    Effect::Reach,
    Effect::Unreach,
    Effect::SetAside,
    Effect::Destroy,
];

/// What is known; by itself, of a volume of this node's own that is shared, used, and wanted.
#[derive(Clone)]
struct Case {
    record: Record,
    standing: Standing,
    want: Want,
    planned: Step,
    waiting: Waiting,
    way: OwnWay,
}

fn shared() -> Case {
    let mut record = on_ebs(used_record(), AttachPolicy::Stay);
    record.spec.sharing = Sharing::Shared;
    Case {
        record,
        standing: Standing::Owner,
        want: Want::Mounted,
        planned: Step::Idle,
        waiting: Waiting::Nobody,
        way: OwnWay::default(),
    }
}

/// One node at a time writes to it.
fn exclusive() -> Case {
    let mut case = shared();
    case.record.spec.sharing = Sharing::Exclusive;
    case
}

/// Still being made.
fn new() -> Case {
    Case { record: on_ebs(new_record(), AttachPolicy::Stay), ..exclusive() }
}

fn owner(node: &str) -> Owner {
    Owner { node: node.parse().unwrap(), machine: None }
}

fn staged() -> Observed {
    let device = Device { path: "/dev/nvme1n1".into(), number: (259, 1) };
    Observed { provisioned: true, device: Some(device), staged: true, ..Observed::default() }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn on(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// Another node's, which this one is a user of.
    fn reached(self) -> Self {
        self.on(Standing::Other).with(|case| {
            case.way = OwnWay { mounted: true, shown: true, user: true };
        })
    }

    fn wanted(self, want: Want) -> Self {
        Self { want, ..self }
    }

    /// What the plan says to what was seen before the step, on node `a`.
    fn seen(self, seen: &Observed, lease: Lease, here: impl FnOnce(&mut Here<'_>)) -> Self {
        let me = owner("a");
        let mut facts = Here { owner: Session::Lives, ..testing::here(Some(&me)) };
        here(&mut facts);
        let record = Record { lease, ..self.record };
        let standing = Standing::of(Some(&me), &record);
        let planned = plan::next(&record, Some(seen), self.want, &facts);
        Self { record, standing, planned, ..self }
    }

    fn awaited(self) -> Self {
        Self { waiting: Waiting::Somebody, ..self }
    }

    fn verdict(&self, step: Effect, trouble: Trouble) -> Verdict {
        let Self { record, standing, want, planned, waiting, way } = self.clone();
        let record = &record;
        on(step, trouble, &Known { record, standing, want, planned, waiting, way })
    }
}

/// A row: in this case, when these steps have this trouble, that is done about it.
struct Row {
    says: &'static str,
    case: Case,
    steps: Vec<Effect>,
    trouble: Trouble,
    verdict: Verdict,
}

fn row(
    says: &'static str,
    case: Case,
    steps: impl Into<Vec<Effect>>,
    trouble: Trouble,
    verdict: Verdict,
) -> Row {
    Row { says, case, steps: steps.into(), trouble, verdict }
}

fn hold(rows: impl IntoIterator<Item = Row>) {
    let wrong: Vec<_> = rows
        .into_iter()
        .flat_map(|Row { says, case, steps, trouble, verdict }| {
            steps.into_iter().filter_map(move |step| {
                let found = case.verdict(step, trouble);
                let told = || format!("{says}: {step:?}, {trouble:?}: {found:?}");
                (found != verdict).then(told)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn all_but(steps: &[Effect]) -> Vec<Effect> {
    STEPS.into_iter().filter(|step| !steps.contains(step)).collect()
}

/// What lets go of a volume, and may be kept instead.
const LETS_GO: [Effect; 3] = [Effect::Unpublish, Effect::Unstage, Effect::Detach];

#[test]
fn what_is_no_failure_is_none_whatever_the_step() {
    hold([
        row(
            "another node's change came first: its result may be void",
            shared(),
            STEPS,
            Overtaken,
            Verdict::DecideAnew,
        ),
        row("also of a volume that is being made", new(), STEPS, Overtaken, Verdict::DecideAnew),
        row(
            "nobody wanted it any more",
            shared().wanted(Want::Released),
            all_but(&[GROW]),
            CalledOff,
            Verdict::CalledOff,
        ),
        row(
            "who called a volume off that is being made, leaves it to be made: it has a name",
            new(),
            all_but(&[GROW]),
            CalledOff,
            Verdict::CalledOff,
        ),
    ]);
}

#[test]
fn a_grow_that_was_not_done_leaves_the_volume_as_it_was() {
    hold([
        row("it serves as before", shared(), [GROW], Failed, Verdict::NotGrown),
        row("whoever ended it", shared(), [GROW], CalledOff, Verdict::NotGrown),
        row(
            "done and not recorded, it is done again: nothing grows back",
            shared(),
            [GROW],
            NotStored,
            Verdict::TryAgain,
        ),
    ]);
}

#[test]
fn a_volume_that_could_not_be_made_never_existed() {
    let steps = || all_but(&[GROW]);
    hold([
        row(
            "on a node of its own",
            new().on(Standing::Alone),
            steps(),
            Failed,
            Verdict::NotCreated,
        ),
        row("in a cluster", new(), steps(), Failed, Verdict::NotCreated),
        row(
            "also where its storage is made, and nobody could be told what it is called",
            new(),
            steps(),
            NotStored,
            Verdict::NotCreated,
        ),
        row(
            "another node may be making it just now",
            new().on(Standing::Other),
            [Effect::Observe, Effect::Own],
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "made once, it exists, whatever fails after that",
            exclusive(),
            [Effect::Provision, Effect::Attach, Effect::Probe, Effect::Format],
            Failed,
            Verdict::TryAgain,
        ),
    ]);
}

#[test]
fn what_was_not_let_go_of_is_kept_where_somebody_came_meanwhile() {
    hold([
        row("it is there still", exclusive(), LETS_GO, Failed, Verdict::Kept),
        row("nobody came", exclusive().wanted(Want::Released), LETS_GO, Failed, Verdict::TryAgain),
        row(
            "another node waits for it",
            exclusive().wanted(Want::Detached),
            LETS_GO,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "it is to be unmounted for a removal or a check",
            exclusive().wanted(Want::Owned),
            LETS_GO,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "half a file system is nobody's to have",
            exclusive().with(|case| case.record.contents = Contents::Formatting),
            LETS_GO,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "a server that did not end may be half an end: it is made whole",
            shared(),
            [Effect::Unexport],
            Failed,
            Verdict::TryAgain,
        ),
    ]);
}

/// Kept, it would be let go of again at once, and again, and nobody would be told why.
#[test]
fn what_has_to_be_let_go_of_whoever_wants_it_is_not_kept() {
    let ours = || Lease::first(owner("a"));
    let shut_down = Observed { shut_down: true, ..staged() };
    let leaving =
        Observed { transit: Some(Transit::Detaching), staged: false, device: None, ..staged() };
    hold([
        row(
            "what is left of a volume that another node took is in the way of having it back",
            exclusive().seen(&shut_down, Lease::first(owner("b")), |_| {}),
            [Effect::Unstage],
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "a detach that was asked for is not taken back: it is waited for",
            exclusive().seen(&leaving, ours(), |_| {}),
            [Effect::Detach],
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "who fails to serve a volume gives it to those who can",
            shared().with(|case| case.record.users = [owner("b").node].into()).seen(
                &staged(),
                ours(),
                |here| here.serving = Serving::Failing,
            ),
            [Effect::Unstage],
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "but an owner whose task came back uses what is mounted",
            exclusive().seen(&staged(), ours(), |_| {}),
            LETS_GO,
            Failed,
            Verdict::Kept,
        ),
    ]);
}

#[test]
fn a_way_that_was_not_left_is_kept_where_it_leads_to_the_volume() {
    let unreach = [Effect::Unreach];
    hold([
        row("through its owner", shared().reached(), unreach, Failed, Verdict::Kept),
        row(
            "not by who is no user any more: the owner lets nobody else in",
            shared().reached().with(|case| case.way.user = false),
            unreach,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "not by the owner: it has the file system itself",
            shared().reached().on(Standing::Owner),
            unreach,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "nobody came",
            shared().reached().wanted(Want::Released),
            unreach,
            Failed,
            Verdict::TryAgain,
        ),
    ]);
}

#[test]
fn what_cannot_be_reached_and_is_not_shared_comes_here_instead() {
    let ways = [Effect::Connect, Effect::Reach];
    let lent = || {
        exclusive().on(Standing::Other).with(|case| {
            case.way = OwnWay { user: true, ..OwnWay::default() };
        })
    };
    hold([
        row("no task has it yet", lent(), ways, Failed, Verdict::ComesHere),
        row(
            "a task has it by that way, and waits for it",
            exclusive().reached(),
            ways,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "what is shared stays where it is: other nodes use it",
            shared().on(Standing::Other),
            ways,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "who only leaves does not want it here",
            lent().wanted(Want::Released),
            ways,
            Failed,
            Verdict::TryAgain,
        ),
    ]);
}

#[test]
fn what_another_node_s_task_has_is_not_to_be_had_and_no_failure_of_this_one() {
    hold([
        row(
            "its node goes on with it",
            exclusive().awaited(),
            [Effect::Recall],
            Failed,
            Verdict::NotToBeHad,
        ),
        row(
            "its node is what has to know: what was not stored was not given back",
            exclusive().awaited(),
            [Effect::Recall],
            NotStored,
            Verdict::NotToBeHad,
        ),
    ]);
}

#[test]
fn a_server_that_does_not_start_keeps_nobody_waiting_who_does_not_need_it() {
    let export = [Effect::Export];
    hold([
        row(
            "who came meanwhile has the file system itself",
            shared().awaited(),
            export,
            Failed,
            Verdict::AfterOwnTasks,
        ),
        row("nobody waits", shared(), export, Failed, Verdict::TryAgain),
        row(
            "who came by the former owner's server needs the next one",
            shared().awaited().with(|case| case.way.mounted = true),
            export,
            Failed,
            Verdict::TryAgain,
        ),
        row(
            "who waits for what another node writes to has it back from there",
            exclusive().awaited(),
            export,
            Failed,
            Verdict::TryAgain,
        ),
    ]);
}

#[test]
fn all_else_is_told_and_tried_again() {
    let named = [
        &LETS_GO[..],
        &[GROW, Effect::Unreach, Effect::Connect, Effect::Reach, Effect::Recall, Effect::Export],
    ];
    let others = || all_but(&named.concat());
    for case in [shared(), exclusive(), shared().reached(), exclusive().reached()] {
        for trouble in [Failed, NotStored] {
            hold([row("it failed", case.clone().awaited(), others(), trouble, Verdict::TryAgain)]);
        }
    }
}
