//! A cluster's CA and its nodes' certificates: made in memory by [`Authority`], kept in files by
//! [`files`].
//!
//! The CA's subject is made of the cluster's name and of its own public key. So it can be made again
//! from the key, and two CAs of one cluster, as there are while a CA is replaced, are told apart.

pub mod files;
mod node;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use sha2::{Digest, Sha256};

pub use node::{Installed, certify};

use super::names;
use crate::volume::NodeName;

/// How long a CA is valid unless it is said.
pub const AUTHORITY_DAYS: u32 = 3650;
/// How long a node's certificate is.
pub const NODE_DAYS: u32 = 730;

/// Clocks of nodes may differ: what is made now was valid an hour ago.
const SLACK: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then.
    pub from: SystemTime,
    /// Until then.
    pub until: SystemTime,
}

impl Validity {
    /// From now on, for so many days.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Self { from: now - SLACK, until: now + DAY * days }
    }
}

/// A certificate and its key, as files hold them.
#[derive(Clone)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
}

/// Who signs the certificates of a cluster's nodes.
pub struct Authority {
    cluster: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(cluster: &str) -> Result<Self, rcgen::Error> {
        Ok(Self::of(cluster, KeyPair::generate()?))
    }

    /// The CA whose key this is.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn from_key(cluster: &str, pem: &str) -> Result<Self, rcgen::Error> {
        Ok(Self::of(cluster, KeyPair::from_pem(pem)?))
    }

    fn of(cluster: &str, key: KeyPair) -> Self {
        let mut mark = hex::encode(Sha256::digest(key.der_bytes()));
        mark.truncate(8);
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(cluster, &format!("hawser CA {mark}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self { cluster: cluster.to_owned(), params, key }
    }

    /// The CA's own certificate, and its key.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn pair(&self, validity: Validity) -> Result<Pair, rcgen::Error> {
        let mut params = self.params.clone();
        params.not_before = validity.from.into();
        params.not_after = validity.until.into();
        let certificate = params.self_signed(&self.key)?.pem();
        Ok(Pair { certificate, key: self.key.serialize_pem() })
    }

    /// A new key and certificate for a node, with which it both serves and calls.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue(&self, node: &NodeName, validity: Validity) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([names::dns_name(&self.cluster, node)])?;
        params.distinguished_name = subject(&self.cluster, node.as_str());
        params.not_before = validity.from.into();
        params.not_after = validity.until.into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn subject(cluster: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, cluster);
    subject.push(DnType::CommonName, name);
    subject
}
