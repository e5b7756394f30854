//! Reads kubeconfigs as kubectl does: the files of `KUBECONFIG`, merged, and the cluster and user of a context.
//!
//! Do not open connections or run credential plugins here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::Config;
use kube::config::{AuthInfo, AuthProviderConfig, Cluster, ExecConfig, Kubeconfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::access::Access;
use crate::base::redact;
use crate::base::text::list;

/// Reads the files of `KUBECONFIG`, else `~/.kube/config`. Skips a file of the list that does not exist or is empty. If
/// several files have an entry with the same name, the first file wins. Errors do not quote a file, because a
/// kubeconfig contains credentials.
pub fn read() -> Result<Kubeconfig, String> {
    let listed = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let paths: Vec<PathBuf> = match &listed {
        Some(value) => std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    load(&paths)
}

/// Reads and merges these files.
pub fn load(paths: &[PathBuf]) -> Result<Kubeconfig, String> {
    let (mut all, mut found) = (Kubeconfig::default(), false);
    for path in paths {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            read => read.map_err(|error| format!("kubeconfig {}: {error}", path.display()))?,
        };
        found = true;
        let text = decode_text(&bytes)
            .ok_or_else(|| format!("kubeconfig {}: the file is not UTF-8 or UTF-16 text", path.display()))?;
        if text.trim().is_empty() {
            continue;
        }
        let mut one = Kubeconfig::from_yaml(&text)
            .map_err(|_| format!("kubeconfig {}: the file is not a kubeconfig in YAML", path.display()))?;
        resolve_paths(&mut one, path.parent().unwrap_or(path));
        merge(&mut all, one);
    }
    if found {
        return Ok(all);
    }
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Err(format!(
        "no kubeconfig found ({}): set KUBECONFIG, or create one with `aws eks update-kubeconfig --name CLUSTER`",
        if names.is_empty() { "no home folder".to_owned() } else { list(&names) }
    ))
}

/// Decodes text in UTF-8, or in UTF-16 as PowerShell writes it. Removes the byte order mark.
fn decode_text(bytes: &[u8]) -> Option<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').to_owned()),
    }
}

/// Adds the entries that `all` does not have yet: complete entries by name, as kubectl does.
fn merge(all: &mut Kubeconfig, next: Kubeconfig) {
    for cluster in next.clusters {
        if all.clusters.iter().all(|known| known.name != cluster.name) {
            all.clusters.push(cluster);
        }
    }
    for user in next.auth_infos {
        if all.auth_infos.iter().all(|known| known.name != user.name) {
            all.auth_infos.push(user);
        }
    }
    for context in next.contexts {
        if all.contexts.iter().all(|known| known.name != context.name) {
            all.contexts.push(context);
        }
    }
    let current = all.current_context.take().filter(|name| !name.is_empty());
    all.current_context = current.or(next.current_context);
}

/// Resolves relative paths against the folder of the file. The command of a plugin is a path only if it contains a
/// separator.
fn resolve_paths(config: &mut Kubeconfig, folder: &Path) {
    let resolve = |path: &mut Option<String>| {
        if let Some(text) = path.as_mut().filter(|text| !text.is_empty()) {
            *text = folder.join(&*text).display().to_string();
        }
    };
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        resolve(&mut user.client_certificate);
        resolve(&mut user.client_key);
        resolve(&mut user.token_file);
        if let Some(exec) = user.exec.as_mut().filter(|e| e.command.as_ref().is_some_and(|c| c.contains('/'))) {
            resolve(&mut exec.command);
        }
    }
}

/// The settings for the connection to the cluster of a context.
pub struct ContextAccess {
    /// The address, certificates and credentials, without proxy and plugin.
    pub config: Config,
    /// The `proxy-url` of the cluster.
    pub proxy: Option<String>,
    /// The credential plugin, with the information about the cluster that it asks for.
    pub exec: Option<ExecConfig>,
    /// The name of the context.
    pub context: String,
    /// The names of the context and of the cluster, for messages.
    pub access: Access,
    /// Whether the cluster has its own certificate authority.
    pub authority: bool,
}

impl ContextAccess {
    /// Returns the settings of a context; `None` means the current context.
    pub fn of(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, String> {
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let name = context.map(str::to_owned).or(current).ok_or("kubeconfig: there is no current-context")?;
        let wrong = |why: String| format!("kubeconfig: context `{name}`: {why}");
        let Some(context) = kubeconfig.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.clone()) else {
            let names: Vec<_> = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect();
            let available = if names.is_empty() {
                "there are no contexts".to_owned()
            } else {
                format!("the contexts are {}", list(&names))
            };
            return Err(format!("kubeconfig: there is no context `{name}`; {available}"));
        };
        let cluster = kubeconfig.clusters.into_iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster);
        let cluster = cluster.ok_or_else(|| wrong(format!("there is no cluster `{}`", context.cluster)))?;
        // A missing user means no credentials, as for kubectl.
        let named = context.user.as_ref().and_then(|user| kubeconfig.auth_infos.into_iter().find(|a| &a.name == user));
        let user = named.and_then(|named| named.auth_info).unwrap_or_default();
        let access = Access::of_context(&name, &context.cluster, user.exec.as_ref());
        Self::build(name.clone(), &cluster, user, access).map_err(wrong)
    }

    fn build(context: String, cluster: &Cluster, mut user: AuthInfo, access: Access) -> Result<Self, String> {
        let server = cluster
            .server
            .as_deref()
            .filter(|s| !s.is_empty())
            .ok_or("the cluster in the kubeconfig has no `server`")?;
        let server = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let mut config =
            Config::new(server.parse().map_err(|_| "the server of the cluster is not a valid URL".to_owned())?);
        let pem = pem(
            "certificate-authority",
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref(),
        )?;
        if let Some(pem) = &pem {
            let all: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).map(|c| c.to_vec()).collect();
            if all.is_empty() {
                return Err("certificate-authority contains no PEM certificate".into());
            }
            config.root_cert = Some(all);
        }
        config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
        config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
        // If the user already has credentials, the plugin is not used.
        let has_token = user.token.is_some() || user.token_file.is_some() || user.password.is_some();
        let exec = user.exec.take().filter(|_| !has_token);
        if let Some(provider) = user.auth_provider.as_ref().filter(|_| !has_token && exec.is_none()) {
            refuse_without_token(provider)?;
        }
        let exec = exec.map(|exec| with_cluster(exec, cluster, pem)).transpose()?;
        config.auth_info = user;
        let proxy = cluster.proxy_url.clone().filter(|url| !url.is_empty());
        let authority = config.root_cert.is_some();
        Ok(Self { config, proxy, exec, context, access, authority })
    }
}

/// Refuses an `auth-provider` without a token. kubectl has removed these providers.
fn refuse_without_token(provider: &AuthProviderConfig) -> Result<(), String> {
    if ["access-token", "id-token"].iter().any(|key| provider.config.contains_key(*key)) {
        return Ok(());
    }
    let plugin = match provider.name.as_str() {
        "gcp" => " (`gke-gcloud-auth-plugin`)",
        "azure" => " (`kubelogin`)",
        "oidc" => " (`kubectl oidc-login`)",
        _ => "",
    };
    Err(format!(
        "the user has the auth-provider `{}`, which kubectl has removed; use a credential plugin{plugin}",
        provider.name
    ))
}

fn with_cluster(mut exec: ExecConfig, cluster: &Cluster, pem: Option<Vec<u8>>) -> Result<ExecConfig, String> {
    if exec.provide_cluster_info {
        let inline = pem.map(|pem| BASE64_STANDARD.encode(pem));
        let inline = Cluster { certificate_authority: None, certificate_authority_data: inline, ..cluster.clone() };
        exec.cluster = Some(
            (&inline).try_into().map_err(|_| "the cluster cannot be described to the credential plugin".to_owned())?,
        );
    }
    Ok(exec)
}

/// Returns the bytes of `NAME-data`, else of the file `NAME`.
fn pem(name: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let text: String = data.split_whitespace().collect();
        return BASE64_STANDARD.decode(text).map(Some).map_err(|_| format!("{name}-data is not base64"));
    }
    let Some(path) = file.filter(|path| !path.is_empty()) else { return Ok(None) };
    let read = std::fs::read(path);
    read.map(Some).map_err(|error| redact::clean(&format!("{name} {path}: {error}")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("create a folder");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("write the file");
        }
        folder
    }

    fn paths(folder: &tempfile::TempDir, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| folder.path().join(name)).collect()
    }

    const CLUSTER: &[u8] =
        b"clusters: [{name: c, cluster: {server: 'https://a.example', certificate-authority: ca.pem}}]\n";
    const USER: &[u8] = b"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/plug}}}]\ncontexts: null\n";
    const CONTEXT: &[u8] = b"contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\nusers: null\n";

    #[test]
    fn context_is_merged_from_several_files() {
        let folder = folder(&[
            ("c", CLUSTER),
            ("u", USER),
            ("x", CONTEXT),
            ("empty", b""),
            ("bom", "\u{feff}current-context: y".as_bytes()),
        ]);
        let config = load(&paths(&folder, &["none", "empty", "x", "bom", "u", "c"])).expect("a valid kubeconfig");
        assert_eq!(config.current_context.as_deref(), Some("x"));
        let user = config.auth_infos[0].auth_info.as_ref().expect("a user");
        let command = user.exec.as_ref().and_then(|e| e.command.clone()).expect("a command");
        assert_eq!(Path::new(&command), folder.path().join("bin/plug"));
        let why = ContextAccess::of(config, None).err().expect("a missing certificate must be refused");
        assert!(why.contains("context `x`: certificate-authority") && why.contains("ca.pem"), "{why}");
    }

    #[test]
    fn first_file_wins_and_utf_16_is_decoded() {
        let other = "clusters: [{name: c, cluster: {server: 'https://b.example'}}]";
        let wide: Vec<u8> = [0xfeff].into_iter().chain(other.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let folder = folder(&[("a", CLUSTER), ("b", &wide), ("x", CONTEXT)]);
        let server = |names: &[&str]| {
            let config = load(&paths(&folder, names)).expect("a valid kubeconfig");
            config.clusters[0].cluster.as_ref().and_then(|c| c.server.clone()).expect("a server")
        };
        assert_eq!(
            (server(&["a", "b"]), server(&["b", "a"])),
            ("https://a.example".into(), "https://b.example".into())
        );
        let access = ContextAccess::of(load(&paths(&folder, &["b", "x"])).expect("a valid kubeconfig"), Some("x"))
            .expect("a context");
        assert_eq!(
            (access.config.cluster_url.host(), access.authority, access.exec.is_none()),
            (Some("b.example"), false, true)
        );
    }

    #[test]
    fn auth_provider_without_a_token_is_named() {
        let user = b"users: [{name: u, user: {auth-provider: {name: gcp, config: {cmd-path: gcloud}}}}]\n";
        let cluster = b"clusters: [{name: c, cluster: {server: 'https://a.example'}}]\n";
        let folder = folder(&[("c", cluster), ("u", user), ("x", CONTEXT)]);
        let config = load(&paths(&folder, &["x", "u", "c"])).expect("a valid kubeconfig");
        let why = ContextAccess::of(config, None).err().expect("the provider must be refused");
        assert!(why.contains("auth-provider `gcp`") && why.contains("gke-gcloud-auth-plugin"), "{why}");
    }

    #[test]
    fn errors_do_not_quote_the_text_of_a_file() {
        let folder = folder(&[("bad", b"users: [S3CRET"), ("x", CONTEXT), ("none", b"{}")]);
        let why = load(&paths(&folder, &["bad"])).expect_err("invalid YAML must be refused");
        assert!(why.ends_with("the file is not a kubeconfig in YAML") && !why.contains("S3CRET"), "{why}");
        let of = |names: &[&str], context| {
            ContextAccess::of(load(&paths(&folder, names)).expect("a valid kubeconfig"), context)
                .err()
                .expect("the context must be refused")
        };
        assert_eq!(of(&["x"], Some("y")), "kubeconfig: there is no context `y`; the contexts are x");
        assert_eq!(of(&["x"], None), "kubeconfig: context `x`: there is no cluster `c`");
        assert_eq!(of(&["none"], None), "kubeconfig: there is no current-context");
        assert!(
            load(&paths(&folder, &["missing"]))
                .expect_err("a missing file must be refused")
                .contains("aws eks update-kubeconfig")
        );
    }
}
