use super::{
    super::{Config, tests::values},
    *,
};

const NODE: &str = "[daemon]\ncluster = \"prod\"\nnode = \"n1\"\n";

fn read(file: &str) -> Result<Option<ClusterConfig>, String> {
    let read = Config::read(values(file, &[], &[]));
    read.map(|config| config.cluster).map_err(|mistakes| mistakes.to_string())
}

fn clustered(more: &str) -> Result<ClusterConfig, String> {
    read(&format!("{NODE}{more}")).map(Option::unwrap)
}

fn of_ensemble(text: &str) -> Result<(String, String), String> {
    let config = clustered(&format!("[cluster]\nzookeeper = \"{text}\""))?;
    Ok((config.ensemble, config.chroot))
}

#[test]
fn a_node_is_alone_unless_it_is_told_where_zookeeper_is() {
    assert_eq!(read(""), Ok(None));
    assert_eq!(read(&format!("{NODE}[peer]\nlisten = \"127.0.0.1:1\"")), Ok(None));
    let told = read("[peer]\nlisten = \"7420\"").unwrap_err();
    assert!(told.contains("peer.listen: 7420: must be an address with a port"), "{told}");
}

#[test]
fn everything_but_zookeeper_has_a_default() {
    let config = clustered("[cluster]\nzookeeper = \"zk1:2181\"\n[peer]\naddress = \"n1:7420\"");
    let below = |name: &str| PathBuf::from("/var/lib/hawser/pki").join(name);
    assert_eq!(
        config.unwrap(),
        ClusterConfig {
            cluster: "prod".into(),
            node: "n1".parse().unwrap(),
            ensemble: "zk1:2181".into(),
            chroot: "/hawser/prod".into(),
            auth: None,
            session: Duration::from_secs(20),
            listen: "0.0.0.0:7420".parse().unwrap(),
            address: "n1:7420".into(),
            tunnel_listen: "0.0.0.0:7421".parse().unwrap(),
            tunnel_address: "n1:7421".into(),
            ca: below("ca.pem"),
            certificate: below("node.pem"),
            key: below("node.key"),
            times: Times::default(),
        }
    );
}

#[test]
fn everything_can_be_set() {
    let config = clustered(
        "state_dir = \"/srv/h\"\n[cluster]\nzookeeper = \"a,b:2182/team/h\"\nsession = \"1m\"\n\
         zookeeper_auth = \"hawser:s3cret:x\"\n[peer]\nlisten = \"10.0.0.5:7000\"\n\
         ca = \"/etc/ca.pem\"\ncertificate = \"n.pem\"\nkey = \"n.key\"",
    )
    .unwrap();
    assert_eq!((&*config.ensemble, &*config.chroot), ("a:2181,b:2182", "/team/h"));
    assert_eq!(config.auth.as_ref().map(DigestAuth::expose), Some("hawser:s3cret:x"));
    assert_eq!((config.session, &*config.address), (Duration::from_secs(60), "10.0.0.5:7000"));
    let paths = [config.ca.clone(), config.certificate.clone(), config.key.clone()];
    assert_eq!(paths, ["/etc/ca.pem", "/srv/h/n.pem", "/srv/h/n.key"].map(PathBuf::from));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn an_ensemble_is_read_as_zookeeper_and_as_mesos_write_it() {
    let own = "/hawser/prod";
    for (text, servers, chroot) in [
        ("zk", "zk:2181", own),
        ("zk/", "zk:2181", own),
        ("zk://a:2181,b:2181/mesos/hawser", "a:2181,b:2181", "/mesos/hawser"),
        ("10.0.0.1:2181, 10.0.0.2", "10.0.0.1:2181,10.0.0.2:2181", own),
        ("[2001:db8::1]:2182,[::1]", "[2001:db8::1]:2182,[::1]:2181", own),
    ] {
        assert_eq!(of_ensemble(text), Ok((servers.into(), chroot.into())), "{text}");
    }
    for (text, why) in [
        ("a:0", "`a:0` is no server"),
        ("a:+1", "is no server"),
        ("a:2181,", "`` is no server"),
        ("2001:db8::1", "is no server"),
        ("tcp://a:2181", "is no server"),
        ("a b", "is no server"),
        ("a,a:2181", "a:2181 is there twice"),
        ("a/x/", "no path in ZooKeeper"),
        ("a//x", "no path in ZooKeeper"),
        ("a/x/../y", "no path in ZooKeeper"),
        ("a/x,b/x", "no path in ZooKeeper"),
        ("a/zookeeper/x", "ZooKeeper's own"),
    ] {
        let told = of_ensemble(text).unwrap_err();
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn a_grace_period_follows_the_lease_and_is_never_shorter() {
    let of = |times: &str| {
        let more =
            format!("[cluster]\nzookeeper = \"a\"\n[peer]\naddress = \"n1:1\"\n[sharing]\n{times}");
        let seconds = |times: Times| (times.lease.as_secs(), times.grace.as_secs());
        clustered(&more).map(|config| seconds(config.times))
    };
    assert_eq!(of("lease = \"4s\""), Ok((4, 10)));
    assert_eq!(of("lease = \"20s\""), Ok((20, 20)));
    assert_eq!(of("lease = \"6s\"\ngrace = \"3m\""), Ok((6, 180)));
    for (wrong, why) in [
        ("lease = \"3s\"", "sharing.lease: 3s: must be 4s or longer"),
        ("lease = \"121s\"", "must be 2m or shorter"),
        ("lease = \"4500ms\"", "must be whole seconds"),
        ("grace = \"181s\"", "sharing.grace: 181s: must be 3m or shorter"),
        ("grace = \"9s\"", "sharing.grace: 9s: must be sharing.lease or longer"),
    ] {
        let told = of(wrong).unwrap_err();
        assert!(told.contains(why), "{wrong}: {told}");
    }
    // What is in no cluster is read, too.
    assert!(read("[sharing]\nlease = \"1s\"").unwrap_err().contains("sharing.lease"));
}

#[test]
fn a_password_is_never_repeated() {
    for (key, value) in [
        ("cluster.zookeeper", "zk://hawser:s3cret@a:2181"),
        ("cluster.zookeeper_auth", "s3cret"),
        ("cluster.zookeeper_auht", "hawser:s3cret"),
    ] {
        let told = Config::read(values(NODE, &[], &[(key, value)])).unwrap_err().to_string();
        assert!(!told.contains("s3cret") && told.contains("(not shown)"), "{told}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let told = read(
        "[daemon]\nnode = \"-\"\n[cluster]\nzookeeper = \"a\"\nzookeeper_auth = \"me\"\n\
         session = \"3s\"\n[peer]\naddress = \"n1\"\nkey = \"\"",
    )
    .unwrap_err();
    for line in [
        "cluster.zookeeper: a: it needs daemon.cluster",
        "daemon.node: -: `-` is no name for a node",
        "cluster.zookeeper_auth: (not shown): write USER:PASSWORD",
        "cluster.session: 3s: must be 4s or longer",
        "peer.address: n1: must be HOST:PORT",
        "peer.key: : must be a path",
    ] {
        assert!(told.contains(line), "{line}\nis missing in\n{told}");
    }
    assert_eq!(told.lines().count(), 6, "{told}");
    let told = clustered("[cluster]\nzookeeper = \"a\"\nsession = \"301s\"").unwrap_err();
    assert!(told.contains("must be 5m or shorter"), "{told}");
}

#[test]
fn an_address_is_one_that_other_nodes_can_use() {
    let of = |address: &str| {
        let more = format!("[cluster]\nzookeeper = \"a\"\n[peer]\naddress = \"{address}\"");
        clustered(&more).map(|config| config.address)
    };
    for right in ["n1.example.com:7420", "10.0.0.5:1", "[2001:db8::1]:7420"] {
        assert_eq!(of(right).unwrap(), right);
    }
    for wrong in ["n1", "n1:", "n1:0", "n1:70000", ":7420", "::1:7420", "0.0.0.0:7420", "[::]:1"] {
        let told = of(wrong).unwrap_err();
        assert!(told.contains("peer.address"), "{wrong}: {told}");
    }
}

#[test]
fn a_host_that_has_no_name_of_its_own_is_no_node() {
    for name in ["localhost", "localhost.localdomain"] {
        assert!(is_everybodys(name), "{name}");
    }
    assert!(!is_everybodys("localhost1"));
    let host = machine::host_name();
    let of_host = read("[daemon]\ncluster = \"prod\"\n[cluster]\nzookeeper = \"a\"");
    match host.parse::<NodeName>() {
        Ok(node) if !is_everybodys(&host) => {
            let config = of_host.unwrap().unwrap();
            assert_eq!((config.node, config.address), (node, format!("{host}:7420")));
        }
        _ => assert!(of_host.unwrap_err().contains("set daemon.node")),
    }
}

#[test]
fn the_tunnels_port_is_the_next_one_or_what_is_written_and_never_the_peer_port() {
    let with = |more: &str| clustered(&format!("[cluster]\nzookeeper = \"zk1\"\n[peer]\n{more}"));
    let next = with("listen = \"[::1]:7000\"").unwrap();
    assert_eq!(
        (&*next.tunnel_listen.to_string(), &*next.tunnel_address),
        ("[::1]:7001", "[::1]:7001")
    );
    let other = with("address = \"n1:7420\"\ntunnel_listen = \"10.0.0.5:9000\"").unwrap();
    let (listen, address) = (other.tunnel_listen.to_string(), other.tunnel_address);
    assert_eq!((&*listen, &*address), ("10.0.0.5:9000", "n1:9000"));
    let told = with("address = \"n1:1\"\ntunnel_listen = \"0.0.0.0:7420\"").unwrap_err();
    assert!(told.contains("it has the port of peer.listen"), "{told}");
    let told = with("address = \"n1:1\"\nlisten = \"0.0.0.0:65535\"").unwrap_err();
    assert!(told.contains("there is no port after that of peer.listen"), "{told}");
    let told = with("address = \"n1:1\"\ntunnel_listen = \"7421\"").unwrap_err();
    assert!(told.contains("must be an address with a port"), "{told}");
}
