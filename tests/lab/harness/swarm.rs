//! Docker engines on machines as one swarm, and what its manager is told.

use super::{Job, Machine};

impl Machine {
    /// Starts the engine as [`Machine::start_docker`] does, for Swarm, without waiting for it. What containers
    /// print is on the machine's console.
    #[track_caller]
    pub(crate) fn begin_swarm_docker(&self) -> Job {
        self.spawn(&["/lab/start-docker.sh", "swarm"])
    }

    /// Makes a swarm of this machine, which manages it, and of these.
    #[track_caller]
    pub(crate) fn manage_swarm(&self, workers: &[&Self]) {
        let address = self.address.to_string();
        self.docker(&["swarm", "init", "--advertise-addr", &address]);
        let token = self.docker(&["swarm", "join-token", "-q", "worker"]);
        for worker in workers {
            worker.docker(&["swarm", "join", "--token", &token, &format!("{address}:2377")]);
        }
    }

    /// Deploys a stack of this name. What the file says is what a user deploys.
    #[track_caller]
    pub(crate) fn deploy_stack(&self, name: &str, file: &str) {
        self.sh_with("printf %s \"$1\" >/run/stack.yml", &[file]).ok();
        self.docker(&["stack", "deploy", "-c", "/run/stack.yml", name]);
    }

    /// Which nodes get tasks: `active` or `drain`; what is drained loses those that it has.
    #[track_caller]
    pub(crate) fn set_availability(&self, availability: &str, nodes: &[&str]) {
        for node in nodes {
            self.docker(&["node", "update", "--availability", availability, node]);
        }
    }

    /// What the manager says of a service's tasks, those that ended as well: a line for each.
    #[track_caller]
    pub(crate) fn service_tasks(&self, service: &str) -> String {
        let format = "{{.Name}} on {{.Node}}: {{.DesiredState}}, {{.CurrentState}} {{.Error}}";
        self.docker(&["service", "ps", "--no-trunc", "--format", format, service])
    }
}
