//! Fencing: another instance's attachment is taken away, by force only where it does not let go.

use ec2_fake::{InstanceState, Throttle, Transition};

use super::*;
use crate::backend::MachineState;

/// A volume that another instance has, with its device held there as by a mount.
struct Taken {
    world: World,
    backend: Ebs,
    neighbour: Ebs,
    machine: String,
    volume: VolumeRef,
    device: Device,
}

impl Taken {
    async fn new() -> Self {
        let world = World::new();
        let (neighbour, machine) = world.neighbour("us-east-1a");
        let backend = world.open();
        let volume = made(&neighbour, volume("pgdata")).await;
        let device = attach(&neighbour, &volume).await.unwrap();
        Self { world, backend, neighbour, machine, volume, device }
    }

    async fn fence(&self) -> Result<(), BackendError> {
        self.backend.fencing().unwrap().fence(&self.volume, &self.machine).await
    }

    async fn state(&self) -> Result<MachineState, BackendError> {
        self.backend.fencing().unwrap().state(&self.machine).await
    }

    /// Whose EC2 says that it is.
    fn whose(&self) -> Option<String> {
        let seen = self.world.fake.volume(id(&self.volume)).unwrap();
        seen.attachment.map(|attachment| attachment.instance)
    }

    /// Whether each of the detaches was forced, and that all name the instance.
    fn detaches(&self) -> Vec<bool> {
        let calls = self.world.fake.calls();
        let detaches = calls.iter().filter(|call| call.action == "DetachVolume");
        let forced = |call: &ec2_fake::Call| {
            assert_eq!(call.params.get("InstanceId"), Some(&self.machine));
            call.params.get("Force").is_some_and(|force| force == "true")
        };
        detaches.map(forced).collect()
    }
}

#[tokio::test]
async fn a_machine_is_gone_only_where_ec2_says_so() {
    let taken = Taken::new().await;
    let fencing = taken.backend.fencing().unwrap();
    assert_eq!(fencing.machine().await.unwrap(), taken.world.fake.first_instance().id);
    assert_eq!(taken.state().await.unwrap(), MachineState::Runs);
    for gone in [InstanceState::Stopped, InstanceState::Terminated] {
        taken.world.fake.instance_state(&taken.machine, gone);
        assert_eq!(taken.state().await.unwrap(), MachineState::Gone);
    }
    assert_eq!(fencing.state("i-0123456789abcdef0").await.unwrap(), MachineState::Gone);
}

#[tokio::test]
async fn what_ec2_does_not_say_is_not_gone() {
    let taken = Taken::new().await;
    taken.world.fake.instance_state(&taken.machine, InstanceState::Stopped);
    let denied = "You are not authorized to perform this operation.";
    taken.world.fake.fail_next("DescribeInstances", "UnauthorizedOperation", denied, 1);
    let error = taken.state().await.unwrap_err();
    assert!(error.to_string().contains("UnauthorizedOperation"), "{error}");

    taken.world.fake.throttle("DescribeInstances", Throttle::Percent(100));
    let error = taken.state().await.unwrap_err();
    assert!(error.to_string().contains(&taken.machine), "{error}");
    taken.world.fake.clear_wire_faults();
    taken.world.fake.away(true);
    taken.state().await.unwrap_err();
    taken.world.fake.clear_wire_faults();
    let fencing = taken.backend.fencing().unwrap();
    fencing.state("not an id").await.unwrap_err();
    assert_eq!(taken.state().await.unwrap(), MachineState::Gone);
}

#[tokio::test]
async fn a_stopped_machine_loses_the_volume_without_force() {
    let taken = Taken::new().await;
    taken.world.fake.instance_state(&taken.machine, InstanceState::Stopped);

    taken.fence().await.unwrap();

    assert_eq!(taken.detaches(), [false]);
    attach(&taken.backend, &taken.volume).await.unwrap();
    assert_eq!(taken.whose(), Some(taken.world.fake.first_instance().id));
    // As after a crash that lost what was done: this node has it by now.
    taken.fence().await.unwrap();
    assert_eq!(taken.detaches(), [false]);
}

#[tokio::test]
async fn a_terminated_machine_has_lost_the_volume_already() {
    let taken = Taken::new().await;
    taken.world.fake.instance_state(&taken.machine, InstanceState::Terminated);

    taken.fence().await.unwrap();

    assert_eq!(taken.whose(), None);
    assert!(!taken.detaches().contains(&true));
    // EC2 forgets such an instance after a while.
    let text = "The instance ID does not exist";
    taken.world.fake.fail_next("DetachVolume", "InvalidInstanceID.NotFound", text, 1);
    taken.fence().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_lets_go_is_not_forced() {
    let taken = Taken::new().await;
    taken.fence().await.unwrap();
    assert_eq!((taken.whose(), taken.detaches()), (None, vec![false]));
}

#[tokio::test]
async fn a_running_machine_that_does_not_let_go_loses_the_volume_by_force() {
    let taken = Taken::new().await;
    let held = hold(&taken.device);
    let begun = std::time::Instant::now();

    taken.fence().await.unwrap();

    assert!(begun.elapsed() >= taken.backend.inner.describer.pace.silent_detach);
    assert_eq!((taken.whose(), taken.detaches()), (None, vec![false, true]));
    drop(held);
    attach(&taken.backend, &taken.volume).await.unwrap();
}

/// Whether it runs is not what a fence stands on.
#[tokio::test]
async fn a_machine_of_which_nothing_is_known_is_fenced_as_one_that_runs() {
    let taken = Taken::new().await;
    taken.world.fake.stick(id(&taken.volume), Transition::Detach);
    let denied = "You are not authorized to perform this operation.";
    taken.world.fake.fail_next("DescribeInstances", "UnauthorizedOperation", denied, 1);
    taken.fence().await.unwrap();
    assert_eq!((taken.whose(), taken.detaches()), (None, vec![false, true]));
}

#[tokio::test]
async fn a_volume_of_a_third_machine_is_in_use_and_nothing_is_changed() {
    let taken = Taken::new().await;
    let fencing = taken.backend.fencing().unwrap();
    let error = fencing.fence(&taken.volume, "i-0123456789abcdef0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InUse, "{error}");
    assert!(error.to_string().contains(&taken.machine), "{error}");
    assert_eq!((taken.whose(), taken.detaches()), (Some(taken.machine.clone()), vec![]));
}

#[tokio::test]
async fn this_nodes_own_attachment_is_not_a_fences_business() {
    let taken = Taken::new().await;
    let fencing = taken.neighbour.fencing().unwrap();
    fencing.fence(&taken.volume, &taken.machine).await.unwrap();
    fencing.fence(&taken.volume, "i-0123456789abcdef0").await.unwrap();
    assert_eq!((taken.whose(), taken.detaches()), (Some(taken.machine.clone()), vec![]));
}

#[tokio::test]
async fn a_fence_that_was_cut_off_goes_on_where_it_was() {
    let taken = Taken::new().await;
    taken.world.fake.stick(id(&taken.volume), Transition::Detach);
    let cut = tokio::time::timeout(Duration::from_millis(250), taken.fence());
    cut.await.unwrap_err();
    assert_eq!(taken.detaches(), [false]);

    let restarted = taken.world.open();
    let fencing = restarted.fencing().unwrap();
    fencing.fence(&taken.volume, &taken.machine).await.unwrap();

    assert_eq!((taken.whose(), taken.detaches()), (None, vec![false, true]));
    fencing.fence(&taken.volume, &taken.machine).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_to_a_fences_detach_is_no_error() {
    let taken = Taken::new().await;
    taken.world.fake.lose_response("DetachVolume", 1);
    taken.fence().await.unwrap();
    assert_eq!(taken.whose(), None);
}

#[tokio::test]
async fn without_ec2_nothing_is_fenced_and_the_error_comes_in_time() {
    let taken = Taken::new().await;
    taken.backend.identity().await.unwrap();
    taken.world.fake.away(true);
    let begun = std::time::Instant::now();
    taken.fence().await.unwrap_err();
    taken.world.fake.clear_wire_faults();
    taken.world.fake.throttle("*", Throttle::Percent(100));
    let error = taken.fence().await.unwrap_err();
    assert!(error.to_string().contains("pgdata"), "{error}");
    assert!(begun.elapsed() < taken.backend.inner.describer.pace.fence * 3);
    taken.world.fake.clear_wire_faults();
    assert_eq!((taken.whose(), taken.detaches()), (Some(taken.machine.clone()), vec![]));
    // Not the same clients: they hold back for a while after so many refusals.
    let restarted = taken.world.open();
    restarted.fencing().unwrap().fence(&taken.volume, &taken.machine).await.unwrap();
}

#[tokio::test]
async fn a_fence_that_even_force_does_not_end_is_an_error_that_says_what_ends_it() {
    let taken = Taken::new().await;
    taken.world.fake.stick(id(&taken.volume), Transition::DetachEvenForced);
    let error = taken.fence().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains("stopping that instance ends it"), "{error}");
    taken.world.fake.unstick(id(&taken.volume));
    taken.fence().await.unwrap();
    assert_eq!(taken.whose(), None);
}

/// ebs-csi #2005: EC2 shows for a moment what was before.
#[tokio::test]
async fn what_the_machine_attached_last_is_fenced_though_ec2_shows_it_as_free() {
    let world = World::new();
    let (neighbour, machine) = world.neighbour("us-east-1a");
    let backend = world.open();
    let volume = made(&neighbour, volume("pgdata")).await;
    world.fake.hide_new_volumes(Duration::from_millis(300));
    let attaching = tokio::spawn({
        let (neighbour, volume) = (neighbour.clone(), volume.clone());
        async move { attach(&neighbour, &volume).await }
    });
    while world.fake.count("AttachVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    attaching.abort();

    backend.fencing().unwrap().fence(&volume, &machine).await.unwrap();

    assert_eq!(world.fake.count("DetachVolume"), 1);
    assert_eq!(world.fake.volume(id(&volume)).unwrap().attachment, None);
    attach(&backend, &volume).await.unwrap();
}

#[tokio::test]
async fn an_attach_waits_for_another_instance_that_is_letting_go() {
    let taken = Taken::new().await;
    taken
        .world
        .fake
        .set_delays(Delays { detach: Duration::from_millis(300), ..Delays::all(Duration::ZERO) });
    let leaving = tokio::spawn({
        let (neighbour, volume) = (taken.neighbour.clone(), taken.volume.clone());
        async move { neighbour.detach(&volume).await }
    });
    while taken.world.fake.count("DetachVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    attach(&taken.backend, &taken.volume).await.unwrap();

    leaving.await.unwrap().unwrap();
    assert_eq!(taken.whose(), Some(taken.world.fake.first_instance().id));
}

#[tokio::test]
async fn an_attach_to_what_another_instance_never_lets_go_of_is_in_use_in_the_end() {
    let taken = Taken::new().await;
    taken.world.fake.stick(id(&taken.volume), Transition::DetachEvenForced);
    taken.fence().await.unwrap_err();
    let config = EbsConfig { attach_timeout: Duration::from_millis(300), ..taken.world.config() };
    let error = attach(&Ebs::open_at(config, fast()), &taken.volume).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InUse, "{error}");
    assert!(error.to_string().contains(&taken.machine), "{error}");
}

#[tokio::test]
async fn an_attachment_that_a_fence_ended_may_be_shown_once_more() {
    let taken = Taken::new().await;
    taken.backend.inner.fenced.note(id(&taken.volume), &taken.machine);
    let leaving = tokio::spawn({
        let (neighbour, volume) = (taken.neighbour.clone(), taken.volume.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            neighbour.detach(&volume).await
        }
    });
    attach(&taken.backend, &taken.volume).await.unwrap();
    leaving.await.unwrap().unwrap();
}
