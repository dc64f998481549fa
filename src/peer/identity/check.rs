//! Whether a certificate, its key and the CAs fit together, and are one node's: asked when they are
//! made and when they are loaded, so that it is not found out by the first connection.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error as TlsError, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
    version::TLS13,
};

use crate::{
    peer::{
        names,
        trust::{self, Untrusted},
    },
    volume::NodeName,
};

/// Not the process's default: others in this process use TLS, too, with what they like.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// After the end of every certificate.
const FAR_FUTURE: Duration = Duration::from_secs(1 << 40);

/// Whose certificate it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The node.
    pub node: &'a NodeName,
}

/// What is wrong with them.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file of CAs has none.
    #[error("the file of the CA has no certificate in it (PEM)")]
    NoAuthority,
    /// The file of CAs has something else.
    #[error("a certificate in the file of the CA cannot be read: {0}")]
    BadAuthority(String),
    /// There is no CA any more.
    #[error("the CA has expired on {0}: replace it")]
    AuthorityExpired(String),
    /// The certificate's file has none.
    #[error("the certificate's file has no certificate in it (PEM)")]
    NoCertificate,
    /// The key's file has none.
    #[error("the key's file has no private key in it (PEM): {0}")]
    NoKey(String),
    /// The two are not a pair.
    #[error("the key is not that of the certificate: copy both of one `hawser pki node` ({0})")]
    NotAPair(TlsError),
    /// Nobody would believe it.
    #[error("nobody would believe the certificate: {0}")]
    Untrusted(Untrusted),
}

/// The CAs that are believed: those of the file that have not expired.
#[derive(Debug, Clone)]
pub struct Anchors {
    roots: Arc<RootCertStore>,
    last_end: Option<SystemTime>,
}

impl Anchors {
    /// Reads them; there may be several, since a CA is replaced by way of a file with both.
    ///
    /// # Errors
    /// When none is left to believe.
    pub fn read(pem: &[u8]) -> Result<Self, CheckError> {
        let mut roots = RootCertStore::empty();
        let mut last_end = None;
        for certificate in certificates(pem).map_err(CheckError::BadAuthority)? {
            let end = end_of(&certificate);
            last_end = last_end.max(end);
            // TLS itself does not look at the dates of a CA that it is told to believe.
            if end.is_none_or(|end| end > SystemTime::now()) {
                roots
                    .add(certificate)
                    .map_err(|error| CheckError::BadAuthority(error.to_string()))?;
            }
        }
        match last_end {
            _ if !roots.is_empty() => Ok(Self { roots: Arc::new(roots), last_end }),
            Some(end) => Err(CheckError::AuthorityExpired(trust::day(end))),
            None => Err(CheckError::NoAuthority),
        }
    }

    /// When the last of them ends.
    #[must_use]
    pub const fn last_end(&self) -> Option<SystemTime> {
        self.last_end
    }
}

/// A certificate, with those between it and the CA, and its key.
#[derive(Debug)]
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    end: Option<SystemTime>,
}

impl Credentials {
    /// Reads them.
    ///
    /// # Errors
    /// When they are not there.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, CheckError> {
        let chain = certificates(certificate).map_err(|_| CheckError::NoCertificate)?;
        let first = chain.first().ok_or(CheckError::NoCertificate)?;
        let end = end_of(first);
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CheckError::NoKey(error.to_string()))?;
        Ok(Self { chain, key, end })
    }

    /// When the certificate ends.
    #[must_use]
    pub const fn end(&self) -> Option<SystemTime> {
        self.end
    }

    /// Both ends' settings for TLS, if everything fits.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self, anchors: &Anchors, owner: Owner<'_>) -> Result<Tls, CheckError> {
        let untrusted = |error: TlsError| CheckError::Untrusted(Untrusted::from_tls(&error));
        let (first, between) = self.chain.split_first().ok_or(CheckError::NoCertificate)?;
        let parsed = ParsedCertificate::try_from(first).map_err(untrusted)?;
        // The key before the dates: one without the other is the commoner mistake of the two.
        let tls = self.settings(anchors)?;
        let (now, known) = (UnixTime::now(), PROVIDER.signature_verification_algorithms);
        verify_server_cert_signed_by_trust_anchor(&parsed, &anchors.roots, between, now, known.all)
            .map_err(untrusted)?;
        tls.callers.verify_client_cert(first, between, now).map_err(untrusted)?;
        is_of(first, owner).map_err(untrusted)?;
        Ok(tls)
    }

    fn settings(&self, anchors: &Anchors) -> Result<Tls, CheckError> {
        let roots = Arc::clone(&anchors.roots);
        let callers =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), PROVIDER.clone())
                .build()
                .map_err(|error| CheckError::BadAuthority(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(CheckError::NotAPair)?
            .with_client_cert_verifier(callers.clone())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(CheckError::NotAPair)?;
        // A session that is taken up again would not be asked for its certificate: an expired one, or
        // one of a CA that is gone, could go on.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(CheckError::NotAPair)?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(CheckError::NotAPair)?;
        client.resumption = Resumption::disabled();
        Ok(Tls { server: Arc::new(server), client: Arc::new(client), callers })
    }
}

/// The settings of both ends of a connection.
#[derive(Debug)]
pub struct Tls {
    /// For those who serve.
    pub server: Arc<ServerConfig>,
    /// For those who call.
    pub client: Arc<ClientConfig>,
    callers: Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>,
}

/// Whether a certificate, which TLS has found to be of our CA, is that of this node.
///
/// # Errors
/// When it is another's.
pub fn is_of(certificate: &CertificateDer<'_>, owner: Owner<'_>) -> Result<(), TlsError> {
    let name = names::server_name(owner.cluster, owner.node)
        .map_err(|error| TlsError::General(error.to_string()))?;
    verify_server_name(&ParsedCertificate::try_from(certificate)?, &name)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// When a certificate ends. There is no parser for it here; but whoever verifies it in the far future
/// is told, before anything else, when it ended.
fn end_of(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let verdict = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(FAR_FUTURE),
        PROVIDER.signature_verification_algorithms.all,
    );
    match verdict {
        Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) => Some(trust::time(not_after)),
        Ok(()) | Err(_) => None,
    }
}
