//! A node that had volumes alone is killed while it brings them into a cluster.

use std::{fs::File, io::Write};

use crate::{
    harness::{Start, until},
    nodes::{A, B, Cluster},
};

const NAMES: [&str; 4] = ["v", "mine", "held", "more"];

/// Killed at each of the writes by which the volumes come in, before it and after it.
#[test]
fn a_node_that_is_killed_while_it_brings_its_volumes_in_forgets_none() {
    for (point, store_is_there) in [
        ("cluster.write.before:1", true),
        ("cluster.write.after:1", false),
        ("cluster.write.after:2", true),
        ("cluster.write.before:4", false),
    ] {
        let mut cluster = Cluster::of(2);
        cluster[A].leave();
        cluster[A].start();
        cluster[A].with_data("name=v,size=1GiB", "precious");
        cluster[A].with_data("name=mine,backend=local,size=64MiB", "precious");
        cluster[A].with_data("name=more,size=1GiB", "precious");
        let path = cluster[A].mount("name=held,size=1GiB", "task-1");
        let mut open = File::create(path.join("file")).unwrap();
        cluster[A].stop();
        cluster[A].join();
        cluster[B].start();
        cluster[A].environment.insert("HAWSER_FAULT".into(), point.into());
        if matches!(cluster[A].try_start(), Start::Ready) {
            until("it is killed", || cluster[A].has_died());
        }
        cluster[A].environment.clear();
        if !store_is_there {
            cluster[A].store.cut();
        }
        cluster[A].start();
        for name in NAMES {
            assert!(cluster[A].knows(name), "{point}: {name} was forgotten");
        }
        assert_eq!(cluster[A].holders("held"), [("task-1".to_owned(), 1)], "{point}");
        open.write_all(b"goes on").unwrap();
        open.sync_all().unwrap();
        cluster[A].store.heal();
        cluster.until_all_live();
        for name in NAMES {
            cluster.until_known(B, name);
            assert!(cluster[A].knows(name), "{point}: {name} was forgotten");
        }
        let error = cluster[B].mount_fails("held", "x");
        assert!(error.contains("in use on node n1 by mount task-1"), "{point}: {error}");
        drop(open);
        cluster[A].unmount("held", "task-1");
        assert_eq!(cluster[B].data_of("held"), "goes on", "{point}");
        assert_eq!(cluster[A].data_of("mine"), "precious", "{point}");
        for name in ["v", "more"] {
            assert_eq!(cluster[B].data_of(name), "precious", "{point}");
        }
        NAMES.iter().for_each(|name| cluster[A].remove(name));
        cluster.until_nothing_is_left();
    }
}
