//! What happens to nodes: crashes, power, and the cloud's own time.

use crate::{
    Late, Protocol, Step,
    world::{Doing, World},
};

impl Protocol {
    pub(crate) fn steps_of_environment(&self, world: &World, steps: &mut Vec<Step>) {
        if world.detaching {
            steps.push(Step::Detached);
        }
        for (index, node) in world.nodes.iter().enumerate() {
            if node.late {
                steps.push(Step::AttachArrives(index));
            }
            if node.doing == Doing::Off {
                steps.push(Step::Start(index));
            }
            if world.crashes < self.crashes {
                if node.doing != Doing::Off {
                    steps.push(Step::Kill(index));
                }
                if node.runs {
                    steps.push(Step::PowerOff(index));
                }
            }
        }
    }
}

impl World {
    /// It does not know how its call ended, and the call may arrive yet.
    pub(crate) fn give_up(&mut self, node: usize, late: Late) {
        let node = &mut self.nodes[node];
        node.late |= node.doing == Doing::Attach && late == Late::Arrives;
        node.doing = Doing::Rest;
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.crashes += 1;
        self.give_up(node, Late::Arrives);
        self.nodes[node].doing = Doing::Off;
    }

    /// EC2 leaves attached what was attached to a machine that stops.
    pub(crate) fn power_off(&mut self, node: usize) {
        self.kill(node);
        let node = &mut self.nodes[node];
        node.runs = false;
        node.mounted = None;
        // Another boot id.
        node.fresh = false;
        node.sure = false;
    }

    /// With its old copy of the record.
    pub(crate) fn start(&mut self, node: usize) {
        self.nodes[node].runs = true;
        self.nodes[node].doing = Doing::Rest;
    }

    pub(crate) fn attach_arrives(&mut self, node: usize) {
        self.nodes[node].late = false;
        if self.attached.is_none() {
            self.attached = u8::try_from(node).ok();
        }
    }

    /// The device is gone: a mount of it that is left writes nowhere.
    pub(crate) fn detached(&mut self) {
        if let Some(machine) = self.attached.take() {
            let node = &mut self.nodes[usize::from(machine)];
            node.mounted = None;
            node.sure = false;
        }
        self.detaching = false;
    }
}
