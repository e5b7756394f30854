//! Verifies server certificates. Unlike webpki alone, accepts a self-signed certificate that is itself configured as a
//! trusted certificate, as curl, boto3 and kubectl do. Do not read certificates here.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::ConnectError;

/// Returns a verifier that trusts these certificates. Ignores certificates that cannot be parsed.
pub fn certificate_verifier(
    trusted: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|e| ConnectError::Setup(format!("the trusted certificates cannot be used: {e}")))?;
    Ok(Arc::new(Verifier { webpki, trusted }))
}

/// Returns whether a server certificate was rejected only because it belongs to an authority. In this case, webpki has
/// already checked the dates of the certificate.
pub fn is_authority_of_itself(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity"))
}

#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(why))
                if is_authority_of_itself(&why) && self.trusted.iter().any(|trusted| trusted == end_entity) =>
            {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/network/");

    /// Verifies the self-signed certificate of `localhost` in the year `year`.
    fn verify(trusted: &str, name: &'static str, year: u64) -> Result<(), Error> {
        let read = |file: &str| CertificateDer::from_pem_file(format!("{FOLDER}{file}")).expect("a certificate");
        let verifier = certificate_verifier(vec![read(trusted)]).expect("the certificate can be used");
        let name = ServerName::try_from(name).expect("a valid name");
        let now = UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 8766));
        verifier.verify_server_cert(&read("self.pem"), &[], &name, &[], now).map(drop)
    }

    #[test]
    fn self_signed_certificate_is_trusted_only_if_it_is_configured_itself() {
        assert_eq!(verify("self.pem", "localhost", 2030), Ok(()));
        let Err(Error::InvalidCertificate(why)) = verify("ca.pem", "localhost", 2030) else { panic!("trusted") };
        assert!(is_authority_of_itself(&why), "{why:?}");
        assert!(verify("self.pem", "other.test", 2030).is_err(), "the name must fit");
        assert!(verify("self.pem", "localhost", 2020).is_err(), "the dates must fit");
    }
}
