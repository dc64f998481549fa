//! What stands between this node and its volumes: for `hawser doctor`. It looks, and changes nothing.
//!
//! Each question has a deadline of its own, and a question whose answer needs an earlier one is not
//! asked: with nobody answering it all ends within a few of them.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use super::{
    Ebs, Inner,
    api::{ApiError, Filter, NewVolume, Tags},
    marks,
};

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(8);
const ALLOW: &str = "`hawser config iam-policy` prints what the role needs";
const REACH: &str = "look at routes, security groups and proxies; a subnet without internet needs a VPC endpoint \
     for EC2 (backends.ebs.endpoint)";

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was looked at.
    pub subject: &'static str,
    /// Whether it is well.
    pub health: Health,
    /// What was found, and what to do.
    pub detail: String,
}

/// Whether something is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is.
    Good,
    /// It may be: somebody should look.
    Note,
    /// It is not.
    Bad,
}

impl Diagnosis {
    fn good(subject: &'static str, detail: impl Into<String>) -> Self {
        Self { subject, health: Health::Good, detail: detail.into() }
    }

    fn note(subject: &'static str, detail: impl Into<String>) -> Self {
        Self { subject, health: Health::Note, detail: detail.into() }
    }

    fn bad(subject: &'static str, detail: impl Into<String>) -> Self {
        Self { subject, health: Health::Bad, detail: detail.into() }
    }
}

impl Ebs {
    /// Whether this node can serve volumes, and what is in the way.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        let inner = &*self.inner;
        let mut found = vec![inner.devices_readable()];
        let (region, keys, node) =
            tokio::join!(inner.region_known(), inner.keys_found(), inner.node_known());
        let known = |one: &Diagnosis| one.health == Health::Good;
        let can_ask = known(&region) && known(&keys);
        let on_instance = known(&node);
        found.extend([region, keys, node]);
        if !can_ask {
            return found;
        }
        let volumes = inner.volumes_described().await;
        let answers = known(&volumes);
        found.push(volumes);
        if answers && on_instance {
            let (slots, create) = tokio::join!(inner.slots_left(), inner.may_create());
            found.extend([slots, create]);
        }
        found
    }
}

impl Inner {
    fn devices_readable(&self) -> Diagnosis {
        let subject = "EBS devices";
        match self.devices.by_serial("vol-0") {
            Ok(_) => {
                Diagnosis::good(subject, format!("{} can be read", self.devices.sys.display()))
            }
            Err(error) => Diagnosis::bad(
                subject,
                format!(
                    "{error}: without sysfs no device can be proven to be a volume's; set backends.ebs.sys_dir"
                ),
            ),
        }
    }

    async fn region_known(&self) -> Diagnosis {
        let subject = "EBS region";
        match timeout(LIMIT, self.api.region()).await {
            Ok(Ok((region, by))) => Diagnosis::good(subject, format!("{region}, from {by}")),
            Ok(Err(why)) => Diagnosis::bad(subject, why),
            Err(_) => {
                Diagnosis::bad(subject, silent("the metadata service", "set backends.ebs.region"))
            }
        }
    }

    async fn keys_found(&self) -> Diagnosis {
        let subject = "EBS credentials";
        match timeout(LIMIT, self.api.access_key()).await {
            Ok(Ok((id, by))) => Diagnosis::good(subject, format!("{id}, from {by}")),
            Ok(Err(error)) => Diagnosis::bad(subject, error.message),
            Err(_) => Diagnosis::bad(
                subject,
                silent(
                    "who gives them",
                    "give the instance a role, with a metadata hop limit of 2 inside containers",
                ),
            ),
        }
    }

    async fn node_known(&self) -> Diagnosis {
        let subject = "EBS node";
        let ask = async {
            let instance = self.node.instance(&self.api).await?;
            Ok::<_, super::EbsError>((instance, self.node.zone(&self.api).await?))
        };
        match timeout(LIMIT, ask).await {
            Ok(Ok((instance, zone))) => Diagnosis::good(subject, format!("{instance} in {zone}")),
            Ok(Err(error)) => Diagnosis::bad(subject, error.to_string()),
            Err(_) => Diagnosis::bad(
                subject,
                silent("the metadata service", "set backends.ebs.instance_id and zone"),
            ),
        }
    }

    async fn volumes_described(&self) -> Diagnosis {
        let subject = "EC2";
        let cluster = &self.config.cluster;
        let by = [Filter::tag(marks::CLUSTER, cluster)];
        match asked(self.api.find_volumes(&by)).await {
            Ok(found) => {
                let detail = format!("answers, with {} volumes of cluster {cluster}", found.len());
                Diagnosis::good(subject, detail)
            }
            Err(why) => Diagnosis::bad(subject, why),
        }
    }

    async fn slots_left(&self) -> Diagnosis {
        let subject = "EBS slots";
        let ask = async {
            let me = self.node.instance(&self.api).await.map_err(|error| error.to_string())?;
            let seen = asked(self.slots.first_look(&self.api, me)).await?;
            let limit = asked(async { Ok(self.node.limit(&self.api, seen).await) }).await?;
            Ok::<_, String>((limit, &seen.instance_type))
        };
        let taken = |limit| (self.slots.taken(), limit);
        let (limit, kind) = match ask.await {
            Ok(answer) => answer,
            Err(why) => return Diagnosis::bad(subject, why),
        };
        match taken(limit) {
            (taken, None) => {
                let detail = format!(
                    "{taken} are taken; how many a {kind} has is not known: it is found out by trying, or set by backends.ebs.attach_limit"
                );
                Diagnosis::note(subject, detail)
            }
            (taken, Some(limit)) => {
                let free = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(taken);
                let detail = format!(
                    "{free} of {limit} are free on this {kind} (the root volume takes one)"
                );
                match free {
                    0 => Diagnosis::note(
                        subject,
                        format!(
                            "{detail}: an idle volume gives its slot up when another is mounted; where all are in use, a mount fails"
                        ),
                    ),
                    _ => Diagnosis::good(subject, detail),
                }
            }
        }
    }

    /// EC2 says whether it would: nothing is made.
    async fn may_create(&self) -> Diagnosis {
        let subject = "EBS permissions";
        let Ok(zone) = self.node.zone(&self.api).await else {
            return Diagnosis::note(subject, "not asked: the zone is not known");
        };
        let mut tags: Tags = self.config.tags.clone();
        tags.insert(marks::CLUSTER.to_owned(), self.config.cluster.clone());
        let new = NewVolume {
            token: format!("hawser-doctor-{}", uuid::Uuid::new_v4().simple()),
            zone,
            gib: 1,
            volume_type: "gp3",
            iops: None,
            throughput: None,
            encrypted: None,
            kms_key: None,
            snapshot: None,
            tags: &tags,
        };
        match asked(self.api.may_create_volume(&new)).await {
            Ok(None) => Diagnosis::good(
                subject,
                "CreateVolume and its tags are allowed (by a dry run; other changes cannot be asked for without a volume)",
            ),
            Ok(Some(made)) => Diagnosis::bad(
                subject,
                format!(
                    "{made} was made although a dry run was asked for: delete it, and do not use an endpoint that ignores DryRun"
                ),
            ),
            Err(why) => Diagnosis::bad(subject, why),
        }
    }
}

/// EC2's answer within the limit, or what to do.
async fn asked<T>(ask: impl Future<Output = Result<T, ApiError>>) -> Result<T, String> {
    match timeout(LIMIT, ask).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is(&["UnauthorizedOperation"]) => Err(format!("{error}: {ALLOW}")),
        Ok(Err(error))
            if error.is(&["AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch"]) =>
        {
            Err(format!(
                "{error}: EC2 does not take these credentials; look at the keys, the region and this host's clock"
            ))
        }
        Ok(Err(error)) if error.code.is_none() => Err(format!("{error}: {REACH}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(silent("EC2", REACH)),
    }
}

fn silent(who: &str, remedy: &str) -> String {
    format!("{who} does not answer within {} s: {remedy}", LIMIT.as_secs())
}
