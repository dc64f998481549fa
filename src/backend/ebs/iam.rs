//! The rights that the backend needs, as an IAM policy: made from the list of its calls, so that it
//! is neither more nor less.
//!
//! What changes or deletes is allowed only on what carries the cluster's tag, and what makes, only
//! with that tag. So a stolen node's role cannot touch other volumes of the account.

use serde_json::{Value, json};

use super::{
    api::{Access, Call},
    marks::CLUSTER,
};

const VOLUMES: &str = "arn:aws:ec2:*:*:volume/*";
const SNAPSHOTS: &str = "arn:aws:ec2:*::snapshot/*";
const INSTANCES: &str = "arn:aws:ec2:*:*:instance/*";

/// The policy of a cluster's nodes.
#[must_use]
pub fn policy(cluster: &str) -> Value {
    let ours = json!({ "StringEquals": { format!("aws:ResourceTag/{CLUSTER}"): cluster } });
    let marked = json!({ "StringEquals": { format!("aws:RequestTag/{CLUSTER}"): cluster } });
    let new = json!({ "StringEquals": { "ec2:CreateAction": ["CreateVolume", "CreateSnapshot"] } });
    let unmarked = json!({
        "StringEquals": { format!("aws:RequestTag/{CLUSTER}"): cluster },
        "Null": { format!("aws:ResourceTag/{CLUSTER}"): "true" },
    });
    let any = Value::Null;
    let both = || vec![VOLUMES, SNAPSHOTS];
    let statements = [
        statement("Look", Access::Reads, &["*"], &any),
        statement("MakeMarkedVolumes", Access::MakesVolume, &[VOLUMES], &marked),
        statement("MakeVolumesFromSnapshots", Access::MakesVolume, &[SNAPSHOTS], &any),
        statement("SnapshotOwnVolumes", Access::MakesSnapshot, &[VOLUMES], &ours),
        statement("MakeMarkedSnapshots", Access::MakesSnapshot, &[SNAPSHOTS], &marked),
        statement("TagWhatIsMade", Access::Tags, &both(), &new),
        statement("TagOwn", Access::Tags, &both(), &ours),
        statement("ImportUnmarkedVolumes", Access::Tags, &[VOLUMES], &unmarked),
        statement("AttachOwnVolumes", Access::ChangesAttachment, &[VOLUMES], &ours),
        statement("AttachToInstances", Access::ChangesAttachment, &[INSTANCES], &any),
        statement("ChangeOwnVolumes", Access::ChangesVolume, &[VOLUMES], &ours),
        statement("DeleteOwnSnapshots", Access::ChangesSnapshot, &[SNAPSHOTS], &ours),
    ];
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(sid: &str, access: Access, resources: &[&str], condition: &Value) -> Value {
    let calls = Call::ALL.iter().filter(|call| call.access() == access);
    let actions: Vec<_> = calls.map(|call| format!("ec2:{call}")).collect();
    let mut statement =
        json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    statement
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOURCES: [&str; 5] = [
        include_str!("api/attachments.rs"),
        include_str!("api/instances.rs"),
        include_str!("api/snapshots.rs"),
        include_str!("api/tags.rs"),
        include_str!("api/volumes.rs"),
    ];

    /// The calls that the source makes: `.client(call).await?` is followed by the SDK's method.
    fn made() -> BTreeSet<&'static str> {
        let known = |method: &str| {
            let camel = |word: &str| word[..1].to_uppercase() + &word[1..];
            let name: String = method.split('_').map(camel).collect();
            Call::ALL.iter().map(|call| call.name()).find(|call| *call == name)
        };
        let verbs = ["attach_", "create_", "delete_", "describe_", "detach_", "modify_"];
        let mut made = BTreeSet::new();
        for source in SOURCES {
            for word in source.split('.').skip(1) {
                let method = word.split('(').next().unwrap_or_default();
                let is_call = word[method.len()..].starts_with("()")
                    && verbs.iter().any(|verb| method.starts_with(verb));
                if is_call {
                    made.insert(
                        known(method).unwrap_or_else(|| panic!("{method} is not in Call::ALL")),
                    );
                }
            }
        }
        made
    }

    #[test]
    fn the_list_of_calls_is_what_the_source_makes() {
        let listed: BTreeSet<_> = Call::ALL.iter().map(|call| call.name()).collect();
        assert_eq!(made(), listed);
    }

    #[test]
    fn every_call_is_allowed_and_none_that_destroys_without_a_condition() {
        let policy = policy("prod");
        let statements = policy["Statement"].as_array().unwrap();
        for call in Call::ALL {
            let action = Value::from(format!("ec2:{call}"));
            let mut its = statements
                .iter()
                .filter(|statement| statement["Action"].as_array().unwrap().contains(&action));
            assert!(its.clone().next().is_some(), "{call}");
            if call.name().starts_with("Delete") || call.name().starts_with("Modify") {
                let tag = "aws:ResourceTag/hawser:cluster";
                assert!(its.all(|statement| statement["Condition"]["StringEquals"][tag] == "prod"));
            }
        }
    }
}
