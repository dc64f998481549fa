//! Storage that exists is imported by two nodes in the same moment.

use std::thread;

use crate::{
    harness::until,
    nodes::{A, B, Cluster, text},
};

#[test]
fn storage_that_two_nodes_import_at_once_is_one_volume_with_its_data() {
    let cluster = Cluster::started(2);
    let content = cluster.home.foreign_disk("data", "precious");
    for round in 0..6 {
        let vol = cluster.ec2().add_volume(&[("Name", "old")], 1, &content).unwrap();
        // Under one name, and under two.
        let names =
            [A, B].map(|node| format!("v{round}-{}", if round % 2 == 0 { 0 } else { node }));
        let import = |node: usize| {
            let import = ["volume", "import", &vol, "--yes", "--name", &names[node]];
            cluster[node].cli(import)
        };
        let outputs = thread::scope(|scope| {
            let a = scope.spawn(|| import(A));
            let b = import(B);
            [a.join().unwrap(), b]
        });
        assert!(outputs.iter().any(|output| output.status.success()), "{outputs:?}");
        let of = |node: usize| -> Vec<_> {
            let volumes = cluster[node].volumes();
            let found = volumes.iter().filter(|volume| volume["storage"] == vol);
            found.map(|volume| (text(&volume["name"]), text(&volume["id"]))).collect()
        };
        until("both know the same volume", || of(A).len() == 1 && of(A) == of(B));
        let (name, id) = of(A).remove(0);
        assert!(names.contains(&name), "{name}");
        let tags = cluster.ec2().volume(&vol).unwrap().tags;
        assert!(tags.values().any(|value| *value == id), "{id} is not among {tags:?}");
        for node in [A, B] {
            assert_eq!(cluster[node].data_of(&name), "precious", "{name}");
        }
        assert_eq!(cluster.ec2().count("DeleteVolume"), round);
        cluster[B].remove(&name);
        until("its storage is deleted", || cluster.ec2().volume(&vol).is_none());
    }
    cluster.until_nothing_is_left();
}
