use crate::spec::{
    Asked, BackendKind, BackendSpec, Defaults, NfsDefaults, NfsLayout, NfsSpec, Request, Sharing,
    Spec, SpecError, parse,
};

fn request(text: &str) -> Result<Request, SpecError> {
    parse(text, []).map(|asked| match asked {
        Asked::Volume(request) => request,
        Asked::Help => panic!("{text} asks for help"),
    })
}

fn defaults(exports: &[&str], export: Option<&str>) -> Defaults {
    let exports = exports.iter().map(ToString::to_string).collect();
    let nfs = Some(NfsDefaults { exports, export: export.map(str::to_owned) });
    Defaults { nfs, ..Defaults::of_tests() }
}

fn resolved(text: &str, defaults: &Defaults) -> Result<Spec, SpecError> {
    let request = request(text)?;
    request.stated.resolve(&request.name, defaults)
}

fn nfs(text: &str, defaults: &Defaults) -> NfsSpec {
    match resolved(text, defaults).unwrap_or_else(|error| panic!("{text}: {error}")).backend {
        BackendSpec::Nfs(nfs) => nfs,
        other @ (BackendSpec::Local(_) | BackendSpec::Ebs(_)) => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, defaults: &Defaults, why: &str) {
    let found = resolved(text, defaults).unwrap_err().to_string();
    assert!(found.contains(why), "{text}: {found}");
}

#[test]
fn an_export_is_the_stated_one_or_the_default_or_the_only_one() {
    let (one, two) = (defaults(&["fast"], None), defaults(&["fast", "slow"], None));
    let chosen = defaults(&["fast", "slow"], Some("slow"));
    assert_eq!(nfs("a,export=fast", &two).export, "fast");
    assert_eq!(nfs("a,backend=nfs", &one).export, "fast");
    assert_eq!(nfs("a,backend=nfs", &chosen).export, "slow");
    assert_eq!(nfs("a,backend=nfs,export=fast", &chosen).export, "fast");
    refused("a,backend=nfs", &two, "none is the default: write export= with one of fast, slow");
    refused("a,export=fsat", &two, "`export=fsat`: no export of this node: the nearest is `fast`");
    refused("a,export=other", &one, "there is only `fast`");
    refused("a,export=fast", &Defaults::of_tests(), "[backends.nfs.NAME] server = \"HOST:/PATH\"");
    refused("a,export=/srv/nfs", &one, "not the name of an export: an operator gives names");
    refused("a,export=filer:/srv", &one, "not the name of an export");
}

#[test]
fn a_path_is_the_name_of_the_volume_or_what_is_stated_below_the_export() {
    let one = defaults(&["fast"], None);
    assert_eq!(nfs("pgdata,backend=nfs", &one).path, "pgdata");
    assert_eq!(nfs("a,path=team/pgdata", &one).path, "team/pgdata");
    assert_eq!(nfs("a,path=/team/pgdata", &one).path, "team/pgdata");
    assert_eq!(nfs("a,path=équipe/β@v1.0+x", &one).path, "équipe/β@v1.0+x");
    assert_eq!(request("a,path=/x").unwrap().canonical(), "name=a,path=x");
    for (path, why) in [
        ("/", "empty"),
        ("//a", "empty"),
        ("a/", "empty"),
        ("a//b", "empty"),
        (".", "no names of directories"),
        ("a/../b", "no names of directories"),
        (".hawser", "hawser's own"),
        ("a/.hawser-trash", "hawser's own"),
        ("a b", "use letters, digits"),
        ("a\u{7}", "use letters, digits"),
        ("a\\b", "use letters, digits"),
        ("a:b", "use letters, digits"),
        (&"x".repeat(256), "at most 255 bytes"),
        (&"x/".repeat(300), "at most 512 bytes"),
    ] {
        refused(&format!("a,path={path}"), &one, why);
    }
}

#[test]
fn a_layout_has_two_spellings_and_the_permissions_keep_theirs() {
    let one = defaults(&["fast"], None);
    assert_eq!(nfs("a,backend=nfs", &one).layout, NfsLayout::Directory);
    assert_eq!(nfs("a,layout=image", &one).layout, NfsLayout::Image);
    assert_eq!(nfs("a,mode=Image", &one).layout, NfsLayout::Image);
    let both = resolved("a,mode=directory,mode=0750", &one).unwrap();
    assert_eq!(both.owner.mode.map(|mode| mode.bits()), Some(0o750));
    assert_eq!(request("a,mode=image").unwrap().canonical(), "name=a,layout=image");
    refused("a,mode=image,layout=image", &one, "given twice, as `mode` and as `layout`");
    refused("a,mode=imgae", &one, "`mode=imgae`");
    refused("a,backend=local,mode=image", &one, "`backend=local` and `mode` contradict");
}

#[test]
fn a_directory_has_no_file_system_and_no_least_size() {
    let one = Defaults { backend: BackendKind::Nfs, ..defaults(&["fast"], None) };
    let spec = resolved("a,size=1M", &one).unwrap();
    assert_eq!((spec.file_system(), spec.sharing), ("nfs", Sharing::Shared));
    assert_eq!(resolved("a,shared=false", &one).unwrap().sharing, Sharing::Exclusive);
    for text in ["a,fs=xfs", "a,mkfs_options=-m;1", "a,fsType=ext4"] {
        refused(text, &one, "no file system of its own: remove it, or write layout=image");
    }
    refused("a,backend=nfs,provision=thin", &one, "`backend=nfs` and `provision` contradict");
    // A key that only local volumes have chooses that backend, as everywhere.
    assert_eq!(resolved("a,provision=thin", &one).unwrap().backend.kind(), BackendKind::Local);
}

#[test]
fn an_image_is_a_volume_with_a_file_system() {
    let one = Defaults { backend: BackendKind::Nfs, ..defaults(&["fast"], None) };
    let spec = resolved("a,layout=image,fs=xfs,size=1G,mkfs_options=-m;reflink=1", &one).unwrap();
    assert_eq!((spec.file_system(), spec.sharing), ("xfs", Sharing::Exclusive));
    refused("a,layout=image,path=team/a", &one, "`path` is refused: an image lies among");
    refused("a,layout=image,size=15M", &one, "15MiB is too small for ext4");
    refused("a,layout=image,mount_options=actimeo=5", &one, "not an option of ext4");
}

#[test]
fn mount_options_are_those_of_nfs_that_are_an_apps() {
    let one = Defaults { backend: BackendKind::Nfs, ..defaults(&["fast"], None) };
    let spec = resolved("a,backend=nfs,mount_options=ro;noatime;actimeo.30", &one).unwrap();
    assert_eq!(spec.mount_options, ["ro", "noatime", "actimeo=30"]);
    refused("a,mount_options=discard", &one, "`discard` is not an option of NFS");
    refused("a,mount_options=vers=3", &one, "the operator chooses it");
    assert!(spec.check_mount_options(&["commit=5".to_owned()]).is_err());
    assert!(spec.check_mount_options(&["noac".to_owned()]).is_ok());
    let local = resolved("a", &defaults(&[], None)).unwrap();
    let told = local.check_mount_options(&["ro".to_owned()]).unwrap_err().to_string();
    assert!(told.contains("say it where the volume is used"), "{told}");
}

#[test]
fn servers_and_other_plugins_ways_to_name_them_are_the_operators() {
    let one = defaults(&["fast"], None);
    for text in ["a,server=filer", "a,share=filer/x", "a,addr=10.0.0.1"] {
        refused(text, &one, "apps do not choose servers, operators do");
    }
    refused("a,type=nfs", &one, "backend=nfs, or export=NAME");
    refused("a,fs=nfs4", &one, "backend=nfs, or export=NAME");
    refused("a,device=/export/x", &one, "a volume there is export=NAME with path=");
    refused("a,nfsopts=hard", &one, "write mount_options=");
    refused("a,nfsvers=4.1", &one, "the operator chooses it");
    assert_eq!(request("a,create=true,export=fast").unwrap().canonical(), "name=a,export=fast");
}

#[test]
fn nothing_but_the_size_of_a_volume_on_nfs_changes() {
    let one = defaults(&["fast"], None);
    let spec = resolved("a,export=fast", &one).unwrap();
    let stated = request("a,path=b").unwrap().stated;
    let told = spec.backend.changed(&stated, spec.size).unwrap_err().to_string();
    assert!(told.contains("a volume on nfs, only its size can"), "{told}");
}
