//! The certificate authorities that this process trusts. Do not add the authority of a single cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::ConnectError;

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
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots()?);
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(store).with_no_client_auth())
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
    let profile = given("AWS_PROFILE").or_else(|| given("AWS_DEFAULT_PROFILE")).unwrap_or_else(|| "default".into());
    Some((format!("ca_bundle of the AWS profile {profile}"), profile_setting(given, "ca_bundle")?))
}

/// Returns a setting of the AWS profile that `AWS_PROFILE` selects, from `AWS_CONFIG_FILE` or `~/.aws/config`.
pub fn profile_setting(given: &impl Fn(&str) -> Option<String>, key: &str) -> Option<String> {
    let path = given("AWS_CONFIG_FILE").or_else(|| given("HOME").map(|home| format!("{home}/.aws/config")))?;
    let text = fs::read_to_string(expand_home(&path, given)).ok()?;
    let profile = given("AWS_PROFILE").or_else(|| given("AWS_DEFAULT_PROFILE")).unwrap_or_else(|| "default".into());
    setting(&text, &profile, key)
}

/// Returns whether the AWS configuration or credentials file has this profile.
pub fn has_profile(given: &impl Fn(&str) -> Option<String>, profile: &str) -> bool {
    [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")].into_iter().any(
        |(variable, name)| {
            let path = given(variable).or_else(|| given("HOME").map(|home| format!("{home}/.aws/{name}")));
            let text = path.and_then(|path| fs::read_to_string(expand_home(&path, given)).ok()).unwrap_or_default();
            let sections = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split(']').next());
            sections
                .map(|section| section.trim().trim_start_matches("profile ").trim())
                .any(|section| section == profile)
        },
    )
}

/// Returns a setting of a profile from the text of an AWS configuration file.
fn setting(text: &str, profile: &str, key: &str) -> Option<String> {
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = section.trim();
            here = name
                .strip_prefix("profile")
                .map_or(name == "default" && profile == "default", |rest| rest.trim() == profile);
        } else if here
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.split(" #").next().unwrap_or_default().trim();
            return (!value.is_empty()).then(|| value.to_owned());
        }
    }
    None
}

fn expand_home(path: &str, given: &impl Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), given("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_is_read_from_its_profile() {
        let text = "[default]\nregion = a\nca_bundle=/d.pem\n[profile  prod]\n# x\nca_bundle = /p.pem # why\n[sso-session prod]\nca_bundle = /s.pem\n";
        assert_eq!(setting(text, "default", "ca_bundle").as_deref(), Some("/d.pem"));
        assert_eq!(setting(text, "prod", "ca_bundle").as_deref(), Some("/p.pem"));
        assert_eq!(setting(text, "other", "ca_bundle"), None);
    }

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
        let at = home.path().display().to_string();
        let given = |name: &str| (name == "HOME").then(|| at.clone());
        assert!(has_profile(&given, "x") && !has_profile(&given, "y"));
        let trust = of(&[("HOME", &home.path().display().to_string()), ("AWS_PROFILE", "x")]);
        assert_eq!(trust.bundle, Some(("ca_bundle of the AWS profile x".into(), home.path().join("ca.pem"))));
    }
}
