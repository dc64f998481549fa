//! One shared volume in three ways, to be compared: its owner's file system on `a`, hawser's remote mount
//! on `b`, and on `c` a mount that hawser does not know, by plain NFS from the same NFS-Ganesha.
//!
//! The server is in a network namespace that has loopback only. For `c` it gets a wire to the owner's own
//! network, over which the machines' kernels forward: no tunnel, and the same network.

use serde_json::{Value, json};

use super::{A, B, C, World};

/// Where `c` has it.
const PLAIN: &str = "/run/plain";
/// Of a mount, all that is not about where the server is.
const OPTIONS: [&str; 8] =
    ["vers=", "rsize=", "wsize=", "namlen=", "hard", "proto=", "timeo=", "local_lock="];

pub(super) struct Compared {
    pub(super) world: World,
    /// A directory of the volume, as each machine has it.
    pub(super) paths: [String; 3],
}

/// What the ways are called, by the number of their machine.
pub(super) const WAYS: [&str; 3] =
    ["the owner's file system", "hawser's remote mount", "plain NFS to the same server"];

impl Compared {
    #[track_caller]
    pub(super) fn start(test: &str) -> Self {
        let world = World::start(test);
        world.lab.step("a shared volume is mounted on its owner, and remotely, and by plain NFS");
        world.create(A, "shared", json!({"shared": "true"}));
        let [owner, remote] = [A, B].map(|node| world.mount_shared(node, "task"));
        assert_eq!(world.kind(A, &owner), "xfs");
        assert_eq!(world.kind(B, &remote), "nfs4");
        world.nodes[A].sh_with("chmod 1777 $1", &[&owner]).ok();
        world.keep(A, &owner);
        world.keep(B, &remote);
        world.mount_plain(&remote);
        let options = |node, path| world.mount_options(node, path);
        assert_eq!(options(B, &remote), options(C, PLAIN), "only the way differs");
        eprintln!("           {}", options(B, &remote).join(","));
        Self { world, paths: [owner, remote, PLAIN.to_owned()] }
    }
}

impl World {
    #[track_caller]
    fn mount_plain(&self, remote: &str) {
        let [a, _, c] = &self.nodes;
        let table = a.sh("cat /run/hawser/tunnel.json").ok();
        let table: Value = serde_json::from_str(&table).unwrap();
        let export = &table["exports"][0];
        let (volume, port) = (export["volume"].as_str().unwrap(), export["port"].to_string());
        let wire = "ip link add plain type veth peer name inside
            ip link set inside netns $1
            ip address add 10.79.0.1/30 dev plain; ip link set plain up
            echo 1 >/proc/sys/net/ipv4/ip_forward
            exec nsenter --net=$1 sh -ec 'ip address add 10.79.0.2/30 dev inside; ip link set inside up
                ip route add default via 10.79.0.1'";
        a.sh_with(&format!("set -e; {wire}"), &[table["namespace"].as_str().unwrap()]).ok();
        let mount = "set -e; ip route add 10.79.0.0/30 via $1; mkdir -p $4
            mount -t nfs4 -o vers=4.2,hard,noresvport,port=$3,$5 10.79.0.2:/$2 $4";
        let timeo = self.mount_options(B, remote);
        let timeo = timeo.iter().find(|option| option.starts_with("timeo=")).unwrap();
        c.sh_with(mount, &[&a.address.to_string(), volume, &port, PLAIN, timeo]).ok();
    }

    #[track_caller]
    fn mount_options(&self, node: usize, path: &str) -> Vec<String> {
        let options = self.nodes[node].sh_with("findmnt -no FS-OPTIONS $1", &[path]).ok();
        let of_the_way = |option: &&str| OPTIONS.iter().any(|kept| option.starts_with(kept));
        options.split(',').filter(of_the_way).map(str::to_owned).collect()
    }
}
