//! The reasons why a connection could not be opened. Do not decide here what a failure means for a run.

use std::error::Error;
use std::io;

use rustls::{CertificateError, InvalidMessage};

use super::verifier::is_authority_of_itself;
use crate::base::redact;

/// The reason why a connection could not be opened. Nothing of the request was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The environment or a configuration is wrong. A retry does not succeed.
    #[error("{0}")]
    Setup(String),
    /// The certificate is not trusted. A retry does not succeed.
    #[error("{0}")]
    Untrusted(String),
    /// The network failed. A retry may succeed.
    #[error("{0}")]
    Failed(String),
}

impl ConnectError {
    /// Returns whether a retry may succeed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Converts an error of a failed connection. `host` is the destination. `own` is where the destination's own
    /// certificate authority is configured, if it has one.
    pub(super) fn of(error: &(dyn Error + 'static), host: &str, own: Option<&str>) -> Self {
        if let Some(known) = find::<Self>(error) {
            return known.clone();
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = find(error) {
            return certificate_error(host, why, own);
        }
        if let Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) = find(error) {
            return Self::Setup(format!(
                "{host} does not speak TLS; if it speaks plain HTTP, write http:// in its URL"
            ));
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::Failed(format!("TLS with {host} failed: {tls}"));
        }
        match find::<io::Error>(error) {
            Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
                Self::Failed(format!("{host} refused the connection"))
            }
            _ => Self::Failed(
                redact::clean(&format!("no connection to {host}: {}", innermost_message(error))).into_owned(),
            ),
        }
    }
}

fn certificate_error(host: &str, why: &CertificateError, own: Option<&str>) -> ConnectError {
    let what = format!("the certificate of {host} is not trusted");
    let text = match why {
        CertificateError::UnknownIssuer => match own {
            Some(place) => format!("{what}: the issuer is not the certificate authority in {place}"),
            None => format!(
                "{what}: the certificate authority is unknown; set AWS_CA_BUNDLE or SSL_CERT_FILE to a PEM file \
                 that contains it (a proxy that inspects TLS has its own certificate authority)"
            ),
        },
        why if is_authority_of_itself(why) => match own {
            Some(place) => format!("{what}: it is self-signed, and {place} does not contain it"),
            None => format!(
                "{what}: it is self-signed; if the server is yours, set AWS_CA_BUNDLE or SSL_CERT_FILE to a PEM file \
                 that contains this certificate"
            ),
        },
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{what}: the certificate has expired, or the clock of this machine is ahead")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{what}: the certificate is not valid yet; the clock of this machine is probably behind")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{what}: the certificate is for another name ({why})")
        }
        _ => format!("{what}: {why}"),
    };
    ConnectError::Untrusted(text)
}

/// Returns the first error of a type in a chain of causes, also inside an [`io::Error`].
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

fn innermost_message(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(next) = cause(inner) {
        inner = next;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct CaUsedAsEndEntity;

    #[test]
    fn self_signed_certificate_has_advice() {
        let why = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        let text = certificate_error("a.test:443", &why, None).to_string();
        assert!(text.contains("it is self-signed") && text.contains("AWS_CA_BUNDLE"), "{text}");
        let text = certificate_error("a.test:443", &why, Some("the kubeconfig")).to_string();
        assert!(text.ends_with("it is self-signed, and the kubeconfig does not contain it"), "{text}");
    }

    #[test]
    fn server_without_tls_is_a_setting() {
        let error = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let error = ConnectError::of(&error, "a.test:443", None);
        assert!(!error.is_temporary() && error.to_string().starts_with("a.test:443 does not speak TLS"), "{error}");
    }
}
