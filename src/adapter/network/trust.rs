//! The certificate authorities that this process trusts. Do not add the authority of a single cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::ConnectError;
use super::profile::{Profiles, expand_home};
use super::verifier::certificate_verifier;

/// The locations of trusted certificates. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the certificates of the system.
/// `AWS_CA_BUNDLE`, else `ca_bundle` of the AWS profile, adds certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    /// The name of the setting, and the file.
    bundle: Option<(String, PathBuf)>,
}

impl Trust {
    /// Parses the variables and reads the AWS profile. `given` returns values that are not empty.
    pub fn of(given: &impl Fn(&str) -> Option<String>) -> Self {
        let bundle = given("AWS_CA_BUNDLE").map(|path| ("AWS_CA_BUNDLE".to_owned(), path));
        let bundle = bundle.or_else(|| profile_bundle(given)).map(|(name, path)| (name, expand_home(&path, given)));
        Self {
            file: given("SSL_CERT_FILE").map(PathBuf::from),
            folder: given("SSL_CERT_DIR").map(PathBuf::from),
            bundle,
        }
    }

    /// Reads all trusted certificates. Fails if a file that a setting names cannot be used.
    pub fn roots(&self) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
        let mut all = if self.file.is_some() || self.folder.is_some() {
            self.certificates_of_settings()?
        } else {
            rustls_native_certs::load_native_certs().certs
        };
        if let Some((setting, path)) = &self.bundle {
            all.extend(certificates(setting, path)?);
        }
        if all.is_empty() {
            let why =
                "this machine has no trusted certificates; install the package ca-certificates, or set SSL_CERT_FILE";
            return Err(ConnectError::Setup(why.into()));
        }
        Ok(all)
    }

    fn certificates_of_settings(&self) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
        let mut all = match &self.file {
            Some(path) => certificates("SSL_CERT_FILE", path)?,
            None => Vec::new(),
        };
        if let Some(folder) = &self.folder {
            all.extend(rustls_native_certs::load_certs_from_paths(None, Some(folder)).certs);
        }
        Ok(all)
    }

    /// Builds a TLS configuration that trusts these certificates. Ignores certificates that are not valid authorities.
    pub fn client_config(&self) -> Result<ClientConfig, ConnectError> {
        let verifier = certificate_verifier(self.roots()?)?;
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
            .map_err(|e| ConnectError::Setup(format!("the TLS client cannot be configured: {e}")))
    }
}

/// Reads the certificates in a PEM file.
fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let wrong = |why: String| ConnectError::Setup(format!("{setting}: {}: {why}", path.display()));
    let pem = fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if all.is_empty() { Err(wrong("the file has no PEM certificate".into())) } else { Ok(all) }
}

/// Returns `ca_bundle` of the selected AWS profile, with a name of the setting for messages.
fn profile_bundle(given: &impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let profiles = Profiles::of(given);
    let profile = profiles.name();
    Some((format!("ca_bundle of the AWS profile {profile}"), profiles.setting(profile, "ca_bundle")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_file_is_named_with_its_setting() {
        let of = |variables: &[(&str, &str)]| {
            Trust::of(&|name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        let why =
            of(&[("AWS_CA_BUNDLE", "/no/such.pem")]).roots().expect_err("a missing file must be refused").to_string();
        assert!(why.starts_with("AWS_CA_BUNDLE: /no/such.pem: "), "{why}");
        let empty = tempfile::NamedTempFile::new().expect("create a file");
        let path = empty.path().display().to_string();
        let why = of(&[("SSL_CERT_FILE", &path)]).roots().expect_err("an empty file must be refused").to_string();
        assert_eq!(why, format!("SSL_CERT_FILE: {path}: the file has no PEM certificate"));
        let home = tempfile::tempdir().expect("create a folder");
        fs::create_dir(home.path().join(".aws")).expect("create a folder");
        fs::write(home.path().join(".aws/config"), "[profile x]\nca_bundle = ~/ca.pem\n").expect("write the file");
        let trust = of(&[("HOME", &home.path().display().to_string()), ("AWS_PROFILE", "x")]);
        assert_eq!(trust.bundle, Some(("ca_bundle of the AWS profile x".into(), home.path().join("ca.pem"))));
    }
}
