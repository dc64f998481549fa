//! The rows of a cluster: its store, and the port between nodes.

use super::{Setting, setting};

pub(super) const TABLE: &[Setting] = &[
    setting(
        "cluster.zookeeper",
        "HAWSER_CLUSTER_ZOOKEEPER",
        "",
        "The servers of the cluster's ZooKeeper: HOST:2181,HOST:2181,HOST:2181, or the same with /CHROOT; zk:// before it, as Mesos writes it, means nothing more. The chroot is /hawser/ and daemon.cluster where none is written. Needs daemon.cluster, and a name of its own for every node (daemon.node). Empty: this node is alone, and keeps its records itself.",
    ),
    setting(
        "cluster.zookeeper_auth",
        "HAWSER_CLUSTER_ZOOKEEPER_AUTH",
        "",
        "Who this node is to ZooKeeper: USER:PASSWORD, of the scheme `digest`; what hawser writes there is then that user's alone. The same on every node. Empty: anybody who reaches ZooKeeper can read and write the records. Never shown.",
    )
    .secret(),
    setting(
        "cluster.session",
        "HAWSER_CLUSTER_SESSION",
        "20s",
        "How long ZooKeeper waits for a node before it counts as away, 4s to 5m. Longer: a node gets over longer pauses, and the volumes of a dead one wait longer for another. ZooKeeper grants 40s at most by itself (20 of its ticks): more needs its maxSessionTimeout.",
    ),
    setting(
        "peer.listen",
        "HAWSER_PEER_LISTEN",
        "0.0.0.0:7420",
        "Where this node takes the requests of other nodes, over TLS and with certificates on both sides. Not used by a node that is alone.",
    ),
    setting(
        "peer.address",
        "HAWSER_PEER_ADDRESS",
        "",
        "What other nodes call that: HOST:PORT. Empty: the address of peer.listen or, where that is all of them, the host's name, and the port of peer.listen.",
    ),
    setting(
        "peer.tunnel_listen",
        "HAWSER_PEER_TUNNEL_LISTEN",
        "",
        "Where this node lets other nodes reach its shared volumes, over TLS and with the same certificates: a port of its own, which a restart of hawser does not close. Empty: the address of peer.listen and the port after it (7421). Other nodes call it by the host of peer.address.",
    ),
    setting(
        "peer.ca",
        "HAWSER_PEER_CA",
        "pki/ca.pem",
        "The authority that signed the nodes' certificates (PEM; during a change of it, both). A relative path is below daemon.state_dir.",
    ),
    setting(
        "peer.certificate",
        "HAWSER_PEER_CERTIFICATE",
        "pki/node.pem",
        "This node's certificate (PEM), which names it. A relative path is below daemon.state_dir.",
    ),
    setting(
        "peer.key",
        "HAWSER_PEER_KEY",
        "pki/node.key",
        "The private key of that certificate (PEM). A relative path is below daemon.state_dir.",
    ),
    setting(
        "sharing.lease",
        "HAWSER_SHARING_LEASE",
        "10s",
        "A node that reaches a shared volume and is not heard of for so long loses its locks there: 4s to 2m, whole seconds. Half of it is the least that tasks elsewhere wait when a volume gets another owner; docs/sharing-measured.md, The pause, has what was measured, and the price of a short one. Of the volumes that this node owns, so the same on every node. A server that runs goes on with what it was started with.",
    ),
    setting(
        "sharing.grace",
        "HAWSER_SHARING_GRACE",
        "",
        "For so long a volume's new server waits for the nodes that had it, before it gives a lock to anybody else; less where all of them are back. From sharing.lease to 3m, whole seconds. Empty: sharing.lease, and 10s at least.",
    ),
    setting(
        "sharing.move_after",
        "HAWSER_SHARING_MOVE_AFTER",
        "0s",
        "After how long a shared volume of this node, which has no task of it, goes to the one other node that has; 0s is never. The tasks there pause for it, and go on by NFS; the next ones use the file system itself.",
    ),
];
