//! The instance metadata service.
//!
//! `PUT /latest/api/token`; `GET /latest/meta-data/{instance-id, instance-type, placement/…,
//! iam/security-credentials/[ROLE]}`; `GET /latest/dynamic/instance-identity/document`.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::{collections::BTreeMap, time::Duration};

use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    config::{ImdsVersions, InstanceSpec},
    server::{Answer, answer as http},
    shared::Shared,
    state::after,
};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const LONGEST_TTL: u64 = 21_600;
const CREDENTIALS_LAST: Duration = Duration::from_secs(6 * 60 * 60);

/// The tokens that were given out, and until when each can be used.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<String, Timestamp>);

impl Tokens {
    pub(crate) fn expire(&mut self) {
        self.0.clear();
    }

    fn give(&mut self, until: Timestamp) -> String {
        let token = format!("AQ{}==", Uuid::new_v4().simple());
        self.0.insert(token.clone(), until);
        token
    }

    fn takes(&self, token: &str, now: Timestamp) -> bool {
        self.0.get(token).is_some_and(|until| now < *until)
    }
}

/// What the service of this instance answers.
pub(crate) fn answer(
    shared: &Shared,
    instance: &str,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Answer {
    let text = |status, text: &str| http(status, "text/plain", text.to_owned());
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let now = shared.now();
    if path == "/latest/api/token" {
        let ttl = header(TTL).and_then(|text| text.parse().ok());
        return match ttl.filter(|ttl| (1..=LONGEST_TTL).contains(ttl)) {
            _ if method != Method::PUT => text(405, "Method Not Allowed"),
            None => text(400, "Bad Request"),
            Some(ttl) => {
                let token = shared.tokens().give(after(now, Duration::from_secs(ttl)));
                let mut answer = text(200, &token);
                answer.headers_mut().insert(TTL, ttl.into());
                answer
            }
        };
    }
    let allowed = match header(TOKEN) {
        Some(token) => shared.tokens().takes(token, now),
        None => shared.config.imds == ImdsVersions::V1AndV2,
    };
    if !allowed {
        return text(401, "Unauthorized");
    }
    let spec = shared.world().instances.get(instance).map(|instance| instance.spec.clone());
    match spec.and_then(|spec| metadata(shared, &spec, path, now)) {
        Some(body) => text(200, &body),
        None => text(404, "Not Found"),
    }
}

fn metadata(shared: &Shared, spec: &InstanceSpec, path: &str, now: Timestamp) -> Option<String> {
    let role = &shared.config.role;
    let key = path.strip_prefix("/latest/")?;
    Some(match key {
        "meta-data/instance-id" => spec.id.clone(),
        "meta-data/instance-type" => spec.instance_type.clone(),
        "meta-data/placement/availability-zone" => spec.zone.clone(),
        "meta-data/placement/region" => region(&spec.zone).to_owned(),
        "meta-data/iam/security-credentials" | "meta-data/iam/security-credentials/" => {
            role.clone()
        }
        "dynamic/instance-identity/document" => identity(shared, spec),
        other => {
            let asked = other.strip_prefix("meta-data/iam/security-credentials/")?;
            (asked == role).then(|| credentials(now))?
        }
    })
}

/// A zone's name without its last letter.
pub(crate) fn region(zone: &str) -> &str {
    zone.trim_end_matches(|c: char| c.is_ascii_alphabetic())
}

fn identity(shared: &Shared, spec: &InstanceSpec) -> String {
    json!({
        "accountId": shared.config.account,
        "architecture": "x86_64",
        "availabilityZone": spec.zone,
        "imageId": "ami-0fa4efa4efa4efa4e",
        "instanceId": spec.id,
        "instanceType": spec.instance_type,
        "privateIp": "10.0.0.1",
        "region": region(&spec.zone),
        "version": "2017-09-30",
    })
    .to_string()
}

fn credentials(now: Timestamp) -> String {
    json!({
        "Code": "Success",
        "LastUpdated": format!("{now:.0}"),
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAFAKEFAKEFAKEFAKE",
        "SecretAccessKey": "fake",
        "Token": "fake",
        "Expiration": format!("{:.0}", after(now, CREDENTIALS_LAST)),
    })
    .to_string()
}
