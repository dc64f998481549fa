//! NFS: whether this kernel can mount what is configured.

use super::{Finding, good, note, problem};
use crate::{
    backend::nfs::{ExportSettings, NfsSettings},
    sys::nfs::{Client, look},
};

/// One finding for each export. Nothing where there is none.
pub(super) async fn findings(nfs: Option<&NfsSettings>) -> Vec<Finding> {
    let Some(nfs) = nfs else { return Vec::new() };
    let client = look().await;
    let finding =
        |export: &ExportSettings| of_export(&export.name, &export.server.to_string(), client);
    nfs.exports.iter().map(finding).collect()
}

fn of_export(name: &str, place: &str, client: Client) -> Finding {
    const SUBJECT: &str = "NFS client";
    match client {
        Client::Present => good(SUBJECT, format!("the kernel can mount {name} ({place})")),
        Client::Loadable => note(
            SUBJECT,
            format!("its module is loaded when {name} ({place}) is first mounted: `modprobe nfs`"),
        ),
        Client::Absent => problem(
            SUBJECT,
            format!(
                "this kernel has none (CONFIG_NFS_FS), or its module is not seen from here: volumes on {name} ({place}) cannot be mounted; `modprobe nfs`, or install the package with the kernel's modules"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn what_the_kernel_lacks_is_a_problem_of_each_export() {
        let verdict = |client| of_export("fast", "filer:/apps", client).verdict;

        assert_eq!(verdict(Client::Present), Verdict::Good);
        assert_eq!(verdict(Client::Loadable), Verdict::Note);
        assert_eq!(verdict(Client::Absent), Verdict::Problem);
        let detail = of_export("fast", "filer:/apps", Client::Absent).detail;
        assert!(detail.contains("fast (filer:/apps)") && detail.contains("modprobe nfs"));
    }

    #[tokio::test]
    async fn this_kernel_is_looked_at() {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap();
        let present = known.lines().any(|line| line.ends_with("\tnfs"));

        assert_eq!(look().await == Client::Present, present);
        assert!(findings(None).await.is_empty());
    }
}
