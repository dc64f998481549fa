//! Why one end of a connection does not believe the other, in words for whoever has to mend it.

use std::{
    error::Error as StdError,
    fmt, io,
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error as TlsError, pki_types::UnixTime,
};

/// Who does not believe whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// We do not believe the other end.
    Ours,
    /// The other end does not believe us.
    Theirs,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There was no certificate.
    NoCertificate,
    /// A CA signed it that is not one of ours.
    UnknownAuthority,
    /// It was valid once.
    Expired,
    /// It will be.
    NotYetValid,
    /// It is another node's, or another cluster's.
    WrongName,
    /// It is not for both serving and calling.
    WrongPurpose,
    /// The other end speaks something else.
    NotTls,
    /// Anything else: the detail says what.
    Other,
}

/// Why a connection was refused by one of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// Who refused.
    pub side: Side,
    /// Why.
    pub cause: Cause,
    /// What TLS says, or when it was.
    pub detail: String,
}

impl StdError for Untrusted {}

impl Untrusted {
    /// What an error of TLS means.
    #[must_use]
    pub fn from_tls(error: &TlsError) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, and not exhaustive")]
        let (side, cause) = match error {
            TlsError::NoCertificatesPresented => (Side::Ours, Cause::NoCertificate),
            TlsError::InvalidCertificate(error) => (Side::Ours, of_certificate(error)),
            TlsError::AlertReceived(alert) => (Side::Theirs, of_alert(*alert)),
            TlsError::InvalidMessage(_)
            | TlsError::PeerIncompatible(_)
            | TlsError::InappropriateMessage { .. }
            | TlsError::InappropriateHandshakeMessage { .. } => (Side::Ours, Cause::NotTls),
            _ => (Side::Ours, Cause::Other),
        };
        Self { side, cause, detail: detail(error) }
    }

    /// What TLS had to say, somewhere in an error of those who use it.
    #[must_use]
    pub fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            // An io::Error hides what it was made of from `source`.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inner
                .and_then(|inner| inner.downcast_ref::<TlsError>())
                .or_else(|| error.downcast_ref::<TlsError>());
            if let Some(tls) = tls {
                return Some(Self::from_tls(tls));
            }
            next = error.source();
        }
        None
    }
}

fn of_certificate(error: &CertificateError) -> Cause {
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, and not exhaustive")]
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Cause::UnknownAuthority,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Cause::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Cause::WrongName
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Cause::WrongPurpose
        }
        _ => Cause::Other,
    }
}

/// The alerts that rustls sends for the causes above. A wrong name and a certificate that is not valid
/// yet share one with others.
fn of_alert(alert: AlertDescription) -> Cause {
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, and not exhaustive")]
    match alert {
        AlertDescription::CertificateRequired => Cause::NoCertificate,
        AlertDescription::UnknownCA | AlertDescription::DecryptError => Cause::UnknownAuthority,
        AlertDescription::CertificateExpired => Cause::Expired,
        AlertDescription::UnsupportedCertificate => Cause::WrongPurpose,
        AlertDescription::ProtocolVersion => Cause::NotTls,
        _ => Cause::Other,
    }
}

fn detail(error: &TlsError) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, and not exhaustive")]
    match error {
        TlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            format!("on {}", day(time(*not_after)))
        }
        TlsError::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        }) => format!("but from {} on", day(time(*not_before))),
        error => error.to_string(),
    }
}

/// A time of TLS's as the system's.
#[must_use]
pub fn time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

/// A time for people, UTC.
#[must_use]
pub fn day(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        // Beyond the year 9999.
        Err(_) => "a day in the far future".to_owned(),
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &self.detail;
        if self.side == Side::Theirs {
            f.write_str("it does not believe us: ")?;
        }
        let whose = match self.side {
            Side::Ours => "its",
            Side::Theirs => "our",
        };
        match self.cause {
            Cause::NoCertificate => write!(f, "there was no certificate"),
            Cause::UnknownAuthority => {
                write!(f, "no CA in ca.pem signed {whose} certificate ({detail})")
            }
            Cause::Expired => write!(
                f,
                "{whose} certificate has expired ({detail}): `hawser pki node NAME --renew` makes a new one"
            ),
            Cause::NotYetValid => write!(
                f,
                "{whose} certificate is not valid yet ({detail}): compare the nodes' clocks"
            ),
            Cause::WrongName => {
                write!(f, "{whose} certificate is for another node or another cluster ({detail})")
            }
            Cause::WrongPurpose => {
                write!(f, "{whose} certificate is not for both serving and calling ({detail})")
            }
            Cause::NotTls => write!(f, "it does not speak TLS 1.3 ({detail})"),
            Cause::Other => f.write_str(detail),
        }
    }
}
