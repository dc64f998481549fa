//! What machines start from: the image that scripts/lab-image.sh makes once, and a small disk of
//! tools, made for each run: hawser, and the programs in tests/lab/guest.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Paths of what QEMU is given, the same for all machines.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) root: PathBuf,
    pub(super) tools: PathBuf,
}

impl Image {
    /// Finds or makes the image, and makes the disk of tools in this directory.
    #[track_caller]
    pub(super) fn prepare(dir: &Path) -> Self {
        for program in ["qemu-system-x86_64", "nbdkit", "mke2fs", "strip", "setpriv"] {
            let version = Command::new(program).arg("-V").stdin(Stdio::null()).output();
            assert!(
                version.is_ok(),
                "the lab's virtual machines cannot be started: there is no {program}. \
                 scripts/install-deps.sh installs it"
            );
        }
        // Its notes go to the test's output: it may be busy for some minutes.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab-image.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output();
        let output = output.expect("scripts/lab-image.sh runs");
        assert!(
            output.status.success(),
            "the lab has no machine image, and scripts/lab-image.sh, which makes it, failed (above)"
        );
        let image = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let image = Self {
            kernel: image.join("vmlinuz"),
            root: image.join("root.ext4"),
            tools: dir.join("tools.ext4"),
        };
        make_tools(&dir.join("tools"), &image.tools);
        image
    }
}

/// Programs that test file systems. Only the tests that use them need them, and say so.
const SUITES: [&str; 2] = ["fsx", "pjdfstest"];

/// Where scripts/lab-suites.sh puts them.
fn suites_dir() -> PathBuf {
    let kept = env::var_os("HAWSER_TOOLS").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default());
    kept.unwrap_or_else(|| home().join(".cache/hawser/tools")).join("suites/bin")
}

#[track_caller]
fn make_tools(tree: &Path, disk: &Path) {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/guest");
    fs::create_dir(tree).unwrap();
    for file in fs::read_dir(&guest).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), tree.join(file.file_name())).unwrap();
    }
    // Without what a debugger reads it is a third of the size.
    let strip = |program: &Path| {
        let stripped = tree.join(program.file_name().unwrap());
        succeed(Command::new("strip").arg("-o").arg(&stripped).arg(program));
        stripped.metadata().unwrap().len()
    };
    let suites = SUITES.iter().map(|suite| suites_dir().join(suite)).filter(|suite| suite.exists());
    // Figures are of a release build, which these tests do not make.
    let other = env::var_os("HAWSER_LAB_PROGRAM").map(PathBuf::from);
    let bytes = strip(&other.unwrap_or_else(|| env!("CARGO_BIN_EXE_hawser").into()))
        + suites.map(|suite| strip(&suite)).sum::<u64>()
        + (16 << 20);
    File::create_new(disk).unwrap().set_len(bytes).unwrap();
    let ext4 = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"];
    succeed(Command::new("mke2fs").args(ext4).arg(tree).arg(disk));
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it was there a moment ago");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
