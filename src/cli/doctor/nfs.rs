//! NFS: whether this kernel can mount what is configured, and whether the servers serve it.

use super::{Finding, good, note, problem};
use crate::{
    cli::backends,
    config::Config,
    spec::Bytes,
    sys::nfs::{Client, look},
};

/// What the kernel has, and what each server says. Nothing where no export is configured.
pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let (Some(settings), Some(nfs)) = (&config.nfs, backends::open_nfs(config)) else {
        return Vec::new();
    };
    let client = look().await;
    let mut findings: Vec<_> = settings
        .exports
        .iter()
        .map(|export| of_export(&export.name, &export.server.to_string(), client))
        .collect();
    for (name, place, answer) in nfs.ask_servers().await {
        findings.push(match answer {
            Ok(free) => good("NFS server", format!("{name} ({place}) answers{}", room(free))),
            Err(error) => problem("NFS server", format!("{name}: {error}")),
        });
    }
    findings
}

fn room(free: Option<Bytes>) -> String {
    free.map(|free| format!(", with {} free", free.rounded())).unwrap_or_default()
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
    }
}
