//! Device names for attachments: which there are, and in which order they are tried.
//!
//! EC2 takes two letters from `aa` to `dx` and one from `b` to `z` (`a` is the root volume's): 127,
//! which with the root volume is as many as any instance takes. `/dev/xvdaa` to `/dev/xvdbz` come
//! first, which cannot collide with what an image's block device mapping uses on Xen, where there
//! are at most 39 volumes; then the EBS CSI driver's order. It leaves `xvdc?` out, which some types
//! of instances refuse under Windows, and takes `sdX` beside `xvdX` instead, which are one name here
//! because they are one for Xen. Last come the names that instance stores have.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
//! <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/cloud/devicemanager/device_names.go>

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
};

use tokio::time::Instant;

/// A device name without its directory and prefix: `ba` of `/dev/xvdba` and of `/dev/sdba`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(String);

impl Name {
    /// As EC2 reports it.
    pub(super) fn of(device: &str) -> Self {
        let name = device.strip_prefix("/dev/").unwrap_or(device);
        let rest = name.strip_prefix("xvd").or_else(|| name.strip_prefix("sd")).unwrap_or(name);
        // The root's `xvda1` and `sda1` take `xvda`.
        Self(rest.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
    }

    /// As EC2 is asked for it.
    pub(super) fn device(&self) -> String {
        format!("/dev/xvd{}", self.0)
    }

    /// What Linux may call it on Xen.
    pub(super) fn in_linux(&self) -> [String; 2] {
        [format!("xvd{}", self.0), format!("sd{}", self.0)]
    }
}

/// All names, in the order of preference.
pub(super) fn all() -> impl Iterator<Item = Name> {
    let two =
        |first: char, last: char| ('a'..=last).map(move |second| Name(format!("{first}{second}")));
    let one = |letters: RangeInclusive<char>| letters.map(|letter| Name(letter.to_string()));
    let doubled = two('a', 'z').chain(two('b', 'z')).chain(two('d', 'x')).chain(two('c', 'z'));
    doubled.chain(one('f'..='z')).chain(one('b'..='e'))
}

/// The next name: one that is free; and of those that failed before, the one that failed first.
pub(super) fn choose(taken: &HashSet<Name>, failed: &HashMap<Name, Instant>) -> Option<Name> {
    let free = || all().filter(|name| !taken.contains(name));
    free()
        .find(|name| !failed.contains_key(name))
        .or_else(|| free().min_by_key(|name| failed.get(name).copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_127_names_and_each_is_one() {
        let names: Vec<_> = all().collect();
        assert_eq!(names.first().unwrap().device(), "/dev/xvdaa");
        assert_eq!(names.len(), 127, "with the root volume as many as any instance takes");
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for reserved in ["/dev/sda1", "/dev/xvda", "/dev/xvddy", "/dev/xvdea"] {
            assert!(!names.contains(&Name::of(reserved)), "{reserved}");
        }
    }

    /// kubeone #2859: `/dev/sdb` is `/dev/xvdb`.
    #[test]
    fn sd_and_xvd_are_the_same_name() {
        assert_eq!(Name::of("/dev/sdf"), Name::of("/dev/xvdf"));
        assert_eq!(Name::of("/dev/sda1"), Name::of("xvda"));
        assert_ne!(Name::of("/dev/sdf"), Name::of("/dev/xvdff"));
    }

    #[test]
    fn names_that_failed_are_tried_last_and_the_one_that_failed_first_before_the_others() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let mut failed = HashMap::from([(Name::of("xvdaa"), later), (Name::of("xvdab"), now)]);
        assert_eq!(choose(&HashSet::new(), &failed), Some(Name::of("xvdac")));

        let taken: HashSet<_> = all().filter(|name| !failed.contains_key(name)).collect();
        assert_eq!(choose(&taken, &failed), Some(Name::of("xvdab")));
        failed.clear();
        assert_eq!(choose(&all().collect(), &failed), None);
    }
}
