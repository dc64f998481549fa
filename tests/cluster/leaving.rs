//! A node whose hawser is taken away for good, by `hawser agent uninstall`.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use crate::{
    harness::{HAWSER, until},
    nodes::{A, B, Cluster, Node},
};

/// Where hawser is installed as far as its units say, and systemd does nothing but say that it did.
const AS_INSTALLED: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system
for dir in /etc /opt; do
    mkdir -p /run/upper$dir /run/work$dir
    mount -t overlay none -o lowerdir=$dir,upperdir=/run/upper$dir,workdir=/run/work$dir $dir
done
mkdir -p /etc/hawser /etc/systemd/system
rm -f /etc/hawser/agent.env
cp "$3" /etc/hawser/hawser.toml
echo '# Written by `hawser agent install`: changes here are lost.' >/etc/systemd/system/hawser.service
mount --bind "$1" "$(command -v systemctl)"
"$2" agent uninstall
test ! -e /etc/systemd/system/hawser.service
"#;

impl Node {
    /// On a host of its own, but for the volumes.
    fn uninstall(&self) -> Output {
        self.write_configuration();
        let systemctl = self.path("systemctl");
        fs::write(&systemctl, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        let mut uninstall = self.command("unshare");
        uninstall.args(["-m", "--propagation", "slave", "sh", "-c", AS_INSTALLED, "sh"]);
        uninstall.arg(&systemctl).arg(HAWSER).arg(self.path("hawser.toml")).output().unwrap()
    }

    #[track_caller]
    fn uninstall_fails(&self) -> String {
        let output = self.uninstall();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_node_that_is_taken_away_leaves_its_idle_volumes_to_the_others() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=idle,size=1GiB", "precious");
    cluster[A].create("name=disk,backend=local,size=64MiB");
    cluster[A].mount("name=held,size=1GiB", "task-1");
    cluster[A].until_unmounted("idle");
    cluster.until_known(B, "held");

    let error = cluster[A].uninstall_fails();
    assert!(error.contains("in use: held"), "{error}");
    assert_eq!(cluster[A].owner_of("idle"), "n1", "it goes on as before");

    cluster[A].unmount("held", "task-1");
    cluster[A].until_unmounted("held");
    cluster[A].store.cut();
    let error = cluster[A].uninstall_fails();
    assert!(error.contains("node n1 owns ") && error.contains("idle"), "{error}");
    assert!(error.contains("reaches ZooKeeper") && !error.contains("disk"), "{error}");
    cluster[A].store.heal();
    cluster.until_all_live();

    let mut said = None;
    until("it goes", || {
        said = Some(cluster[A].uninstall());
        said.as_ref().is_some_and(|said| said.status.success())
    });
    assert!(String::from_utf8(said.unwrap().stdout).unwrap().contains("node drain --undo"));
    cluster[A].stop();
    assert_eq!(cluster[B].data_of("idle"), "precious");
    for name in ["idle", "held"] {
        cluster[B].remove(name);
    }
    cluster[A].start();
    cluster.until_all_live();
    cluster[A].remove("disk");
    cluster.until_nothing_is_left();
}
