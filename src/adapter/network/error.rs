//! Why a connection could not be made. Deciding what that means for a run must not be added here.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::base::redact;

/// Why a connection could not be made. Nothing of the request was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The environment or a configuration is wrong; another try does not help.
    #[error("{0}")]
    Setup(String),
    /// The certificate is not trusted; another try does not help.
    #[error("{0}")]
    Untrusted(String),
    /// The network failed; another try may help.
    #[error("{0}")]
    Failed(String),
}

impl ConnectError {
    /// Whether another try may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// What a failed connection means. `host` is the destination; `own` is where its certificate authority is
    /// configured, if it has one of its own.
    pub(super) fn of(error: &(dyn Error + 'static), host: &str, own: Option<&str>) -> Self {
        if let Some(known) = find::<Self>(error) {
            return known.clone();
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = find(error) {
            return untrusted(host, why, own);
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::Failed(format!("TLS with {host} failed: {tls}"));
        }
        match find::<io::Error>(error) {
            Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
                Self::Failed(format!("{host} refused the connection"))
            }
            _ => Self::Failed(redact::clean(&format!("no connection to {host}: {}", innermost(error))).into_owned()),
        }
    }
}

fn untrusted(host: &str, why: &CertificateError, own: Option<&str>) -> ConnectError {
    let what = format!("the certificate of {host} is not trusted");
    let text = match why {
        CertificateError::UnknownIssuer => match own {
            Some(place) => format!("{what}: its issuer is not the certificate authority in {place}"),
            None => format!(
                "{what}: its issuer is unknown; set AWS_CA_BUNDLE or SSL_CERT_FILE to a PEM file with the certificate \
                 authority that signed it (a proxy that inspects TLS has one of its own)"
            ),
        },
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{what}: it has expired, or the clock of this machine is ahead")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{what}: it is not valid yet; the clock of this machine is probably behind")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{what}: it is for another name ({why})")
        }
        _ => format!("{what}: {why}"),
    };
    ConnectError::Untrusted(text)
}

/// The first error of a type in a chain of causes, also inside an [`io::Error`].
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = cause(error);
    }
    None
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(next) = cause(inner) {
        inner = next;
    }
    inner.to_string()
}
