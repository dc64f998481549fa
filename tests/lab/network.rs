//! The lab's own promises of the network: each cut cuts what it says and nothing else.

use crate::harness::{Cloud, Lab, Machine, Service};

#[test]
#[ignore = "a part of `make lab`"]
fn each_cut_of_the_network_cuts_what_it_says_and_nothing_else() {
    let (lab, [a, b, c]) = Lab::start("network", ["a", "b", "c"]);
    let machines = [&a, &b, &c];
    let _cloud = Cloud::start(&lab, machines);
    let _zookeeper = lab.zookeeper(machines);

    lab.step("all reach all");
    for machine in machines {
        for service in SERVICES {
            assert!(reaches(machine, service), "{} reaches {service:?}", machine.name);
        }
    }
    assert_eq!(pings(machines), [true; 3]);

    lab.step("one service of one machine is silent, and then closed");
    for service in SERVICES {
        lab.cut(&a, service);
        assert_eq!(
            SERVICES.map(|other| reaches(&a, other)),
            SERVICES.map(|other| other != service)
        );
        assert!(reaches(&b, service));
        lab.heal(&a, service);
        lab.hang_up(&a, service);
        assert!(!reaches(&a, service));
        lab.heal(&a, service);
        assert!(reaches(&a, service));
    }
    assert_eq!(pings(machines), [true; 3], "the machines' own network is another one");

    lab.step("an open connection stands still while it is cut, and goes on");
    let talk = a.spawn(&["/usr/bin/python3", "-c", TALK, &a.address_of(Service::ZooKeeper)]);
    a.sh("while ! test -e /run/talking; do sleep 0.05; done").ok();
    lab.cut(&a, Service::ZooKeeper);
    a.sh("touch /run/ask; sleep 2; ! test -e /run/answered").ok();
    assert!(a.poll(&talk).is_none(), "the connection is open");
    lab.heal(&a, Service::ZooKeeper);
    assert_eq!(a.wait(&talk, crate::harness::PATIENCE).ok(), "imok");

    lab.step("two machines do not see each other, and the third sees both");
    lab.cut_between(&a, &b);
    assert_eq!(pings(machines), [false, true, true]);
    assert!(reaches(&a, Service::ZooKeeper) && reaches(&b, Service::ZooKeeper));
    lab.heal_between(&a, &b);
    assert_eq!(pings(machines), [true; 3]);
}

const SERVICES: [Service; 3] = [Service::Ec2, Service::Metadata, Service::ZooKeeper];

/// Connects, and asks when it is told to.
const TALK: &str = "
import os, socket, sys, time
host, port = sys.argv[1].split(':')
stream = socket.create_connection((host, int(port)))
open('/run/talking', 'w').close()
while not os.path.exists('/run/ask'): time.sleep(0.05)
stream.sendall(b'ruok')
answer = stream.recv(4)
open('/run/answered', 'w').close()
print(answer.decode())
";

#[track_caller]
fn reaches(machine: &Machine, service: Service) -> bool {
    let ask = match service {
        // Whatever the answer is: the metadata service wants a token.
        Service::Ec2 | Service::Metadata => "curl -s -o /dev/null --max-time 2 http://$1/latest/",
        Service::ZooKeeper => {
            "test imok = \"$(printf ruok | timeout 2 busybox nc ${1%:*} ${1#*:})\""
        }
    };
    machine.sh_with(ask, &[&machine.address_of(service)]).code == 0
}

/// From the first to the second, from the second to the third, and from the third to the first.
#[track_caller]
fn pings(machines: [&Machine; 3]) -> [bool; 3] {
    let [a, b, c] = machines;
    [(a, b), (b, c), (c, a)].map(|(from, to)| {
        let address = to.address.to_string();
        from.run(&["/bin/busybox", "ping", "-c", "1", "-W", "2", &address]).code == 0
    })
}
