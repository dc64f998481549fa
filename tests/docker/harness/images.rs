//! The two images of the tests, made from the machine's static busybox: nothing is pulled.
//!
//! - `busybox`: the applets and nothing else.
//! - `seeded`: with files in `/data`, which is a `VOLUME` and belongs to uid 1000.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::{Path, PathBuf},
};

use super::run;

/// Writes both archives below `dir`, once for all tests of this process's directory.
pub(crate) fn build(dir: &Path) -> (PathBuf, PathBuf) {
    let tree = dir.join("tree");
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "no /bin/busybox: install Debian's busybox-static");
    for directory in ["bin", "etc", "tmp"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::copy(busybox, tree.join("bin/busybox")).unwrap();
    for applet in run(busybox, &["--list"], &[]).ok().lines().filter(|a| *a != "busybox") {
        symlink("busybox", tree.join("bin").join(applet)).unwrap();
    }
    fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
        .unwrap();
    let plain = archive(&tree, dir.join("busybox.tar"));

    fs::create_dir_all(tree.join("data/sub")).unwrap();
    fs::write(tree.join("data/hello"), "from the image\n").unwrap();
    for path in ["data", "data/sub", "data/hello"] {
        chown(tree.join(path), Some(1000), Some(1000)).unwrap();
    }
    let seeded = archive(&tree, dir.join("seeded.tar"));
    fs::remove_dir_all(&tree).unwrap();
    (plain, seeded)
}

fn archive(tree: &Path, to: PathBuf) -> PathBuf {
    let args = ["-C", tree.to_str().unwrap(), "-cf", to.to_str().unwrap(), "."];
    run(Path::new("tar"), &args, &[]).ok();
    to
}
