//! Other plugins' specs, as their documents show them, and exactly what hawser does with each.
//!
//! Sources: portworx/px-docs (scheduler/mesosphere-dcos/inline.md and volume-scaling.md,
//! scheduler/docker/volume-plugin.md, manage/{volumes,shared-volumes,encrypted-volumes}.md, and
//! the vendor's later pages), rexray/rexray (.docs/user-guide/schedulers/{docker,mesos}.md),
//! docker/docs (docker-for-aws/persistent-data-volumes.md), rancher/convoy (docs/{docker,ebs}.md),
//! Rancher's EBS driver, the loopback plugin, HPE's, vSphere's and LINSTOR's; for NFS
//! ContainX/docker-volume-netshare, trajano/docker-volume-plugins, yzlin/docker-volume-nfs,
//! zouy414/docker-volume-plugin and Docker's own local driver.

#[path = "marathon/defaults.rs"]
mod defaults;

use hawser::spec::{Asked, BackendKind, Request, SpecError, parse};

/// What hawser does with an example.
enum Outcome {
    /// Makes the volume, understood as this canonical form.
    Makes(&'static str),
    /// Understands it as this canonical form; refused without the EBS backend, made with it.
    Ebs(&'static str),
    /// Understands it as this canonical form; refused without the NFS backend, made with it.
    Nfs(&'static str),
    /// Understands it as this canonical form; EBS has no such volume, for this reason.
    NotOfEbs(&'static str, &'static str),
    /// Refuses it with a message that holds this text.
    Refuses(&'static str),
}

use Outcome::{Ebs, Makes, Nfs, NotOfEbs, Refuses};

/// A name and its options.
type Example = (&'static str, &'static [(&'static str, &'static str)], Outcome);

const NO_EBS: &str = "needs the ebs backend, which is not configured on this node";
const NO_NFS: &str = "needs the nfs backend, which is not configured on this node";
const NOT_THE_APPS: &str = "apps do not choose servers, operators do";
const ONE_COPY: &str = "a volume has one copy";
const NO_CLASSES: &str = "there are no device classes to choose from";

fn asked(name: &str, options: &[(&str, &str)]) -> Result<Request, SpecError> {
    match parse(name, options.iter().copied())? {
        Asked::Volume(request) => Ok(request),
        Asked::Help => panic!("{name} {options:?} does not ask for help"),
    }
}

#[track_caller]
fn check(examples: &[Example]) {
    let (local, with_ebs) = (defaults::local(), defaults::with_ebs());
    let with_nfs = defaults::with_nfs(&["fast", "slow"]);
    let mut wrong = Vec::new();
    for (name, options, outcome) in examples {
        let request = asked(name, options);
        let resolved = request.clone().and_then(|r| r.stated.resolve(&r.name, &local));
        let on_ebs = request.clone().and_then(|r| r.stated.resolve(&r.name, &with_ebs));
        let on_ebs = on_ebs.map(|spec| spec.backend.kind()).map_err(|error| error.to_string());
        let on_nfs = request.clone().and_then(|r| r.stated.resolve(&r.name, &with_nfs));
        let on_nfs = on_nfs.map(|spec| spec.backend.kind()).map_err(|error| error.to_string());
        let canonical = request.as_ref().map(Request::canonical).map_err(ToString::to_string);
        let why = resolved.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let right = match outcome {
            Makes(wanted) => canonical.as_deref() == Ok(*wanted) && resolved.is_ok(),
            Ebs(wanted) => {
                canonical.as_deref() == Ok(*wanted)
                    && why.contains(NO_EBS)
                    && on_ebs == Ok(BackendKind::Ebs)
            }
            Nfs(wanted) => {
                canonical.as_deref() == Ok(*wanted)
                    && why.contains(NO_NFS)
                    && on_nfs == Ok(BackendKind::Nfs)
            }
            NotOfEbs(wanted, reason) => {
                canonical.as_deref() == Ok(*wanted)
                    && why.contains(NO_EBS)
                    && on_ebs.as_ref().is_err_and(|error| error.contains(reason))
            }
            Refuses(reason) => canonical.is_err() && why.contains(reason),
        };
        if !right {
            wrong.push(format!(
                "{name} {options:?}\n    read as {canonical:?}\n    refused: {why:?}\n    with EBS: {on_ebs:?}\n    with NFS: {on_nfs:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn portworx_inline_specs() {
    check(&[
        // scheduler/mesosphere-dcos/inline.md, three ages of it
        ("size=100G,repl=3,cos=3,name=mysql_vol", &[], Refuses(ONE_COPY)),
        ("size=100G,repl=3,io_priority=high,name=mysql_vol", &[], Refuses(ONE_COPY)),
        ("io_priority=high,size=10G,repl=3,name=demovolume", &[], Refuses(NO_CLASSES)),
        ("cos=1,name=v", &[], Makes("name=v")),
        ("cos=2,name=v", &[], Refuses(NO_CLASSES)),
        ("io_priority=1,name=v", &[], Makes("name=v")),
        ("io_priority=low,name=v", &[], Makes("name=v")),
        ("io_priority=medium,name=v", &[], Refuses(NO_CLASSES)),
        ("io_priority=3,name=v", &[], Refuses(NO_CLASSES)),
        ("size=9G,name=v", &[], Makes("name=v,size=9GiB")),
        ("size=512M,name=v", &[], Makes("name=v,size=512MiB")),
        ("size=1T,name=v", &[], Makes("name=v,size=1TiB")),
        ("repl=1,name=v", &[], Makes("name=v")),
        ("repl=2,name=v", &[], Refuses(ONE_COPY)),
        ("bs=4096,name=v", &[], Refuses("`bs` is refused: the block device has no block size")),
        ("shared=true,name=v", &[], Makes("name=v,shared=true")),
        ("fs=xfs,name=v", &[], Makes("name=v,fs=xfs")),
        ("fs=ext4,name=v", &[], Makes("name=v,fs=ext4")),
        (
            "passphrase=secret,name=v",
            &[],
            Refuses("`passphrase` is refused: hawser does not encrypt"),
        ),
        (
            "snap_schedule=periodic=60#4;daily=12:00#3,name=v",
            &[],
            Refuses("not made on a schedule yet"),
        ),
        ("nodes=a1;b2,name=v", &[], Refuses("it places replicas")),
        // scheduler/mesosphere-dcos/volume-scaling.md
        ("scale=10,size=1G,repl=1,name=elk_vol", &[], Makes("name=elk_vol,size=1GiB,scale=10")),
        ("elk_vol", &[("scale", "10")], Makes("name=elk_vol,scale=10")),
        ("name=minio_exp,size=10,repl=3,scale=3", &[], Refuses(ONE_COPY)),
        ("name=minio_cfg,size=2,repl=3,scale=3", &[], Refuses(ONE_COPY)),
        ("name=minio_exp,size=10,repl=1,scale=3", &[], Makes("name=minio_exp,size=10GiB,scale=3")),
        // Marathon's own test
        (
            "name=v,secret_key=mykey,size=5,repl=1,shared=true",
            &[],
            Refuses("`secret_key` is refused"),
        ),
        ("name=teamvolcity,secure=true,size=5", &[], Refuses("does not encrypt by itself yet")),
        // the parser of the product, where a wrong value made the volume with the defaults
        ("size=bad,name=foo2", &[], Refuses("`size=bad`: not a size")),
        (
            "mount_options=noatime;commit:30,name=v",
            &[],
            Makes("name=v,mount_options=noatime;commit=30"),
        ),
        ("sticky=on,name=v", &[], Makes("name=v,sticky=true")),
        ("sharedv4=true,name=v", &[], Makes("name=v,shared=true")),
        ("journal=true,name=v", &[], Refuses("there is no separate journal device")),
        ("nodiscard=true,name=v", &[], Refuses("write mount_options=nodiscard")),
    ]);
}

#[test]
fn portworx_docker_options() {
    check(&[
        // scheduler/docker/volume-plugin.md
        ("my_portworx_vol", &[("size", "10G"), ("repl", "3")], Refuses(ONE_COPY)),
        (
            "my_portworx_vol",
            &[("size", "10G"), ("repl", "1")],
            Makes("name=my_portworx_vol,size=10GiB"),
        ),
        ("v", &[("fs", "ext4"), ("size", "10G")], Makes("name=v,size=10GiB,fs=ext4")),
        ("v", &[("fs", "none")], Refuses("use ext4 or xfs")),
        ("v", &[("shared", "")], Refuses("`shared` has no value: write shared=true|false")),
        ("v", &[("secure", "")], Refuses("does not encrypt by itself yet")),
        ("v", &[("sticky", "")], Refuses("`sticky` has no value: write sticky=true|false")),
        ("v", &[("sticky", "off")], Makes("name=v,sticky=false")),
        ("v", &[("secret_key", "value")], Refuses("`secret_key` is refused")),
        ("v", &[("block_size", "32")], Refuses("the block device has no block size")),
        ("v", &[("io_priority", "high")], Refuses(NO_CLASSES)),
        ("v", &[("priority_io", "high")], Refuses(NO_CLASSES)),
        ("v", &[("snap_interval", "0")], Makes("name=v")),
        ("v", &[("snap_interval", "60")], Refuses("not made on a schedule yet")),
        ("v", &[("snap_schedule", "periodic=60,10")], Refuses("not made on a schedule yet")),
        ("v", &[("snap_schedule", "daily=12:00,4")], Refuses("not made on a schedule yet")),
        ("v", &[("snap_schedule", "weekly=sunday@12:00,2")], Refuses("not made on a schedule yet")),
        ("v", &[("snap_schedule", "monthly=15@12:00")], Refuses("not made on a schedule yet")),
        ("v", &[("aggregation_level", "1")], Makes("name=v")),
        ("v", &[("aggregation_level", "3")], Refuses("not striped over several nodes")),
        ("v", &[("nodes", "4c4b3f62-3d23-43fb-9fa0-3b95b3236efc")], Refuses("it places replicas")),
        (
            "snap_of_my_portworx_vol",
            &[("parent", "my_portworx_vol")],
            Refuses("volumes are not cloned yet"),
        ),
        // manage/shared-volumes.md, with its slip of the pen
        ("demovol", &[("shared", "true"), ("size-10G", "")], Refuses("unknown key `size-10G`")),
        (
            "demovol",
            &[("shared", "true"), ("size", "10G")],
            Makes("name=demovol,size=10GiB,shared=true"),
        ),
        // the later pages
        ("v", &[("sharedv4", "true")], Makes("name=v,shared=true")),
        ("v", &[("sharedv4_svc_type", "ClusterIP")], Refuses("hawser decides itself")),
        ("v", &[("sharedv4_failover_strategy", "normal")], Refuses("hawser decides itself")),
        ("v", &[("io_profile", "db")], Refuses("there are no I/O profiles")),
        ("v", &[("io_profile", "auto")], Makes("name=v")),
        ("v", &[("group", "g"), ("fg", "true")], Refuses("it places replicas")),
        ("v", &[("label", "name=mypxvol")], Makes("name=v,label.name=mypxvol")),
        ("v", &[("labels", "a=b,c=d")], Makes("name=v,label.a=b,label.c=d")),
        ("v", &[("queue_depth", "128")], Refuses("the kernel chooses")),
        ("v", &[("early_ack", "true")], Refuses("nothing of the kind")),
        ("v", &[("early_ack", "false"), ("direct_io", "true")], Makes("name=v")),
        ("v", &[("ephemeral", "true")], Refuses("lives until it is removed")),
        ("v", &[("token", "abc")], Refuses("a credential does not belong")),
        ("v", &[("io_throttle_rd_iops", "1000")], Refuses("does not throttle")),
        // dvdi/* options of Marathon arrive without their prefix
        ("px_vol", &[("size", "500"), ("repl", "3"), ("shared", "true")], Refuses(ONE_COPY)),
        (
            "px_vol",
            &[("size", "500"), ("shared", "true")],
            Makes("name=px_vol,size=500GiB,shared=true"),
        ),
    ]);
}

#[test]
fn rexray_options() {
    check(&[
        ("test-vol-1", &[], Makes("name=test-vol-1")),
        ("vbox2", &[("size", "2")], Makes("name=vbox2,size=2GiB")),
        (
            "v",
            &[
                ("size", "5"),
                ("volumetype", "io1"),
                ("iops", "150"),
                ("newfstype", "xfs"),
                ("overwritefs", "false"),
            ],
            Ebs("name=v,size=5GiB,fs=xfs,type=io1,iops=150"),
        ),
        // schedulers/mesos.md
        (
            "test12345",
            &[
                ("size", "5"),
                ("iops", "150"),
                ("volumetype", "io1"),
                ("newfstype", "xfs"),
                ("overwritefs", "true"),
            ],
            Refuses("`overwritefs` is refused: hawser formats only a device that is proven blank"),
        ),
        // one -o with commas, which docker passes as one value
        ("test6", &[("size", "10000,type=io1,iops=10")], Refuses("not a size")),
        // every option of schedulers/docker.md
        ("v", &[("IOPS", "100")], NotOfEbs("name=v,iops=100", "gp3 takes 3000 to 80000")),
        ("v", &[("IOPS", "0")], Refuses("write a whole number above zero")),
        (
            "v",
            &[("volumetype", "gp2"), ("iops", "100")],
            NotOfEbs("name=v,type=gp2,iops=100", "iops needs type=gp3, io1 or io2"),
        ),
        (
            "v",
            &[("size", "1"), ("volumetype", "io1"), ("iops", "100")],
            NotOfEbs("name=v,size=1GiB,type=io1,iops=100", "io1 takes 4GiB to 16TiB"),
        ),
        ("v", &[("volumetype", "io1")], NotOfEbs("name=v,type=io1", "it needs iops")),
        ("v", &[("encryptionKey", "alias/k")], Ebs("name=v,kms_key=alias/k")),
        ("v", &[("volumeType", "gp2")], Ebs("name=v,type=gp2")),
        ("v", &[("type", "standard")], Ebs("name=v,type=standard")),
        ("v", &[("volumeType", "maxIO")], Refuses("not an EBS volume type")),
        ("v", &[("volumeName", "old")], Refuses("an operator does that once")),
        ("v", &[("volumeID", "vol-0abc")], Refuses("an operator does that once")),
        ("v", &[("snapshotName", "s")], Refuses("names of snapshots are not unique")),
        ("v", &[("snapshotID", "snap-0abc")], Ebs("name=v,snapshot=snap-0abc")),
        ("v", &[("availabilityZone", "us-east-1a")], Ebs("name=v,zone=us-east-1a")),
        (
            "v",
            &[("encrypted", "true"), ("encryptionKey", "alias/k")],
            Ebs("name=v,encrypted=true,kms_key=alias/k"),
        ),
        ("v", &[("encrypted", "maybe")], Refuses("use true or false")),
        ("v", &[("fsType", "ext4")], Makes("name=v,fs=ext4")),
        ("v", &[("fsType", "btrfs")], Refuses("use ext4 or xfs")),
        ("v", &[("newFsType", "xfs")], Makes("name=v,fs=xfs")),
        ("v", &[("overwriteFS", "no")], Makes("name=v")),
    ]);
}

#[test]
fn cloudstor_options() {
    check(&[
        ("mysharedvol1", &[("backing", "shared")], Makes("name=mysharedvol1,shared=true")),
        (
            "mylocalvol1",
            &[("ebstype", "io1"), ("size", "25"), ("iops", "1000"), ("backing", "relocatable")],
            Ebs("name=mylocalvol1,size=25GiB,backend=ebs,type=io1,iops=1000"),
        ),
        (
            "ping3-1-vol",
            &[("backing", "local"), ("size", "25"), ("ebstype", "gp2")],
            Refuses("Cloudstor's local is an EBS volume too"),
        ),
        ("ping3-1-vol5", &[("perfmode", "maxio")], Refuses("a setting of an EFS file system")),
        ("sharedvol1", &[], Makes("name=sharedvol1")),
        ("v", &[("ebs_tag_Team", "web")], Makes("name=v,label.Team=web")),
        (
            "v",
            &[("backing", "relocatable"), ("ebs_tag_Team", "web")],
            Ebs("name=v,backend=ebs,label.Team=web"),
        ),
        (
            "v",
            &[("ebstype", "st1"), ("size", "100")],
            NotOfEbs("name=v,size=100GiB,type=st1", "st1 takes 125GiB to 16TiB"),
        ),
    ]);
}

#[test]
fn convoy_and_rancher_options() {
    check(&[
        (
            "new_volume",
            &[("driver", "ebs"), ("size", "10G"), ("type", "io1"), ("iops", "200")],
            Ebs("name=new_volume,size=10GiB,backend=ebs,type=io1,iops=200"),
        ),
        ("v", &[("driver", "devicemapper")], Refuses("use local or ebs or nfs")),
        ("v", &[("driver", "vfs")], Refuses("use local or ebs or nfs")),
        (
            "restored_volume",
            &[("backup", "s3://convoy-backup@us-west-2/?backup=f98f")],
            Refuses("not restored from backups yet"),
        ),
        ("v", &[("backup", "ebs://us-west-2/snap-0abc")], Refuses("snapshot=snap-")),
        ("v", &[("id", "vol-0abc")], Refuses("an operator does that once")),
        ("v", &[("endpoint", "x")], Refuses("in the daemon's configuration")),
        ("v", &[("vm", "true")], Refuses("an operator does that once")),
        (
            "v",
            &[("size", "1"), ("volumeType", "gp2"), ("ec2_az", "us-west-1a"), ("kmsKeyId", "k")],
            Ebs("name=v,size=1GiB,type=gp2,kms_key=k,zone=us-west-1a"),
        ),
    ]);
}

#[test]
fn loopback_options() {
    check(&[
        ("v", &[("size", "1GiB")], Makes("name=v,size=1GiB")),
        (
            "v",
            &[("size", "512Mi"), ("sparse", "true"), ("fs", "xfs")],
            Makes("name=v,size=512MiB,fs=xfs,provision=thin"),
        ),
        ("v", &[("sparse", "false"), ("fs", "ext4")], Makes("name=v,fs=ext4,provision=thick")),
        (
            "v",
            &[("uid", "1000"), ("gid", "1000"), ("mode", "777")],
            Makes("name=v,uid=1000,gid=1000,mode=0777"),
        ),
        ("v", &[("uid", "-1")], Refuses("write the number of a user or group")),
        // The caveat: a bare size is bytes there, GiB here.
        ("v", &[("size", "1073741824")], Refuses("hardly meant: write the unit, B for bytes")),
        ("v", &[("size", "1073741824B")], Makes("name=v,size=1GiB")),
    ]);
}

#[test]
fn other_plugins_options() {
    check(&[
        // HPE
        (
            "v",
            &[("fsOwner", "1001:1002"), ("fsMode", "0755")],
            Makes("name=v,uid=1001,gid=1002,mode=0755"),
        ),
        ("v", &[("fsOwner", "root")], Refuses("write UID:GID")),
        ("v", &[("provisioning", "thin")], Makes("name=v,provision=thin")),
        ("v", &[("provisioning", "dedup")], Refuses("write provision=thick or provision=thin")),
        ("v", &[("cloneOf", "w")], Refuses("volumes are not cloned yet")),
        ("v", &[("virtualCopyOf", "w")], Refuses("volumes are not cloned yet")),
        ("v", &[("importVol", "w")], Refuses("an operator does that once")),
        ("v", &[("qos-name", "gold")], Refuses("hawser has no policies")),
        ("v", &[("mountConflictDelay", "30")], Refuses("waited for until the deadline")),
        // REX-Ray
        ("v", &[("preempt", "true")], Refuses("a node that uses it")),
        ("v", &[("retentionHours", "4")], Refuses("not made on a schedule yet")),
        ("v", &[("scheduleFrequency", "0 * * * *")], Refuses("not made on a schedule yet")),
        // vSphere
        (
            "v",
            &[("size", "10gb"), ("diskformat", "eagerzeroedthick"), ("fstype", "xfs")],
            Makes("name=v,size=10GiB,fs=xfs,provision=thick"),
        ),
        ("v", &[("vsan-policy-name", "p")], Refuses("hawser has no policies")),
        ("v", &[("clone-from", "w")], Refuses("volumes are not cloned yet")),
        // LINSTOR
        (
            "v",
            &[
                ("fs", "ext4"),
                ("fsopts", "-E discard"),
                ("replicas", "1"),
                ("MountOpts", "noatime"),
            ],
            Makes("name=v,fs=ext4,mount_options=noatime,mkfs_options=-E;discard"),
        ),
        ("v", &[("replicas", "2")], Refuses(ONE_COPY)),
        // Netshare, local-persist, sshfs, docker's own local driver
        ("server/share", &[], Refuses("is not a volume name")),
        (
            "v",
            &[("share", "server/share"), ("create", "true")],
            Refuses("Write export=NAME, and path= for the directory there"),
        ),
        ("v", &[("mountpoint", "/data")], Refuses("a bind mount")),
        (
            "v",
            &[("sshcmd", "u@h:/d"), ("password", "x")],
            Refuses("volumes over ssh are not served"),
        ),
        (
            "v1,size=10,type=nfs4",
            &[],
            Refuses("`type=nfs4`: a volume on an NFS server is backend=nfs"),
        ),
        (
            "v",
            &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=100m")],
            Refuses("not an EBS volume type"),
        ),
        (
            "v",
            &[("o", "addr=1.2.3.4,rw"), ("device", ":/x")],
            Refuses("a volume there is export=NAME with path="),
        ),
    ]);
}

#[test]
fn reading_only_is_said_where_the_volume_is_used() {
    check(&[
        ("name=v,shared=true,ro=true", &[], Refuses("Docker's `:ro`")),
        ("v", &[("readonly", "true")], Refuses("each task says for itself")),
        ("v", &[("access", "read-only")], Refuses("Docker's `:ro`")),
        ("name=v,ro=false", &[], Makes("name=v")),
        ("v", &[("access", "read-write")], Makes("name=v")),
    ]);
}

#[test]
fn nfs_plugins_options() {
    check(&[
        // Netshare
        ("myvol", &[("share", "nfshost:/share")], Refuses(NOT_THE_APPS)),
        ("myvol", &[("create", "true")], Makes("name=myvol")),
        ("nfshost/path", &[], Refuses("is not a volume name")),
        ("myvol", &[("nfsopts", "vers=4")], Refuses("write mount_options=")),
        // trajano
        (
            "volume_nfs",
            &[
                ("device", "filer.example:/home/storage"),
                ("nfsopts", "hard,proto=tcp,nfsvers=3,intr,nolock"),
            ],
            Refuses("a volume there is export=NAME with path="),
        ),
        // Docker's local driver
        (
            "v",
            &[("type", "nfs"), ("o", "addr=192.168.1.1,rw"), ("device", ":/path")],
            Refuses("backend=nfs, or export=NAME"),
        ),
        ("v", &[("o", "addr=192.168.1.1,rw")], Refuses("[backends.nfs.NAME] server = ")),
        // yzlin, zouy414
        ("nfsvol", &[("src", "user@host:/path/to/nfs")], Refuses(NOT_THE_APPS)),
        ("v", &[("purgeAfterDelete", "false")], Makes("name=v,on_remove=retain")),
        ("v", &[("purgeAfterDelete", "true")], Makes("name=v,on_remove=delete")),
        ("v", &[("allowMultipleMount", "true")], Makes("name=v,shared=true")),
        // Portworx
        ("v", &[("proxy_endpoint", "nfs://10.0.0.1")], Refuses(NOT_THE_APPS)),
        ("v", &[("proxy_nfs_exportpath", "/x")], Refuses(NOT_THE_APPS)),
        // What they write here instead
        ("name=v,export=fast,path=/team/v", &[], Nfs("name=v,export=fast,path=team/v")),
        ("v,server=filer,export=fast", &[], Refuses(NOT_THE_APPS)),
        ("v,mode=image,export=slow", &[], Nfs("name=v,export=slow,layout=image")),
    ]);
}
