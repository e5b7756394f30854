//! Kubeconfigs as kubectl reads them: the files of `KUBECONFIG`, merged, and the cluster and user of a context.
//!
//! Opening a connection and running a credential plugin must not be added here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecConfig, Kubeconfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::base::redact;
use crate::base::text::list;

/// Reads the files of `KUBECONFIG`, else `~/.kube/config`. A file of the list that does not exist or is empty is
/// skipped. The first file that has an entry of a name wins. The error quotes no file: a kubeconfig holds credentials.
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
        let text =
            decoded(&bytes).ok_or_else(|| format!("kubeconfig {}: it is not UTF-8 or UTF-16 text", path.display()))?;
        if text.trim().is_empty() {
            continue;
        }
        let mut one = Kubeconfig::from_yaml(&text)
            .map_err(|_| format!("kubeconfig {}: it is not the YAML of a kubeconfig", path.display()))?;
        absolute(&mut one, path.parent().unwrap_or(path));
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

/// Text in UTF-8 or, as PowerShell writes it, UTF-16; without its byte order mark.
fn decoded(bytes: &[u8]) -> Option<String> {
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

/// Adds what `all` does not have yet: whole entries by their names, as kubectl does.
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

/// Resolves relative paths against the folder of the file. The command of a plugin is a path only with a separator.
fn absolute(config: &mut Kubeconfig, folder: &Path) {
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

/// How to reach the cluster of a context.
pub struct Access {
    /// Address, certificates and credentials; no proxy, and no plugin.
    pub config: Config,
    /// `proxy-url`.
    pub proxy: Option<String>,
    /// The credential plugin, with what it needs to know of the cluster.
    pub exec: Option<ExecConfig>,
    /// The context's name.
    pub context: String,
    /// Whether the cluster has a certificate authority of its own.
    pub authority: bool,
}

impl Access {
    /// The access of a context; `None`: the current one.
    pub fn of(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, String> {
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let name = context.map(str::to_owned).or(current).ok_or("kubeconfig: it has no current-context")?;
        let wrong = |why: String| format!("kubeconfig: context `{name}`: {why}");
        let Some(context) = kubeconfig.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.clone()) else {
            let names: Vec<_> = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect();
            let there = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", list(&names)) };
            return Err(format!("kubeconfig: there is no context `{name}`; {there}"));
        };
        let cluster = kubeconfig.clusters.into_iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster);
        let cluster = cluster.ok_or_else(|| wrong(format!("there is no cluster `{}`", context.cluster)))?;
        // A user that is missing is no credentials, as for kubectl.
        let named = context.user.as_ref().and_then(|user| kubeconfig.auth_infos.into_iter().find(|a| &a.name == user));
        let user = named.and_then(|named| named.auth_info).unwrap_or_default();
        Self::build(name.clone(), &cluster, user).map_err(wrong)
    }

    fn build(context: String, cluster: &Cluster, mut user: AuthInfo) -> Result<Self, String> {
        let server = cluster.server.as_deref().filter(|s| !s.is_empty()).ok_or("its cluster has no server")?;
        let server = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let mut config = Config::new(server.parse().map_err(|_| "its server is not a valid URL".to_owned())?);
        let pem = pem(
            "certificate-authority",
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref(),
        )?;
        if let Some(pem) = &pem {
            let all: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).map(|c| c.to_vec()).collect();
            if all.is_empty() {
                return Err("its certificate-authority holds no PEM certificate".into());
            }
            config.root_cert = Some(all);
        }
        config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
        config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
        // Credentials that are there already are used, and the plugin is not asked.
        let has_token = user.token.is_some() || user.token_file.is_some() || user.password.is_some();
        let exec = user.exec.take().filter(|_| !has_token);
        let exec = exec.map(|exec| with_cluster(exec, cluster, pem)).transpose()?;
        config.auth_info = user;
        let proxy = cluster.proxy_url.clone().filter(|url| !url.is_empty());
        let authority = config.root_cert.is_some();
        Ok(Self { config, proxy, exec, context, authority })
    }
}

fn with_cluster(mut exec: ExecConfig, cluster: &Cluster, pem: Option<Vec<u8>>) -> Result<ExecConfig, String> {
    if exec.provide_cluster_info {
        let inline = pem.map(|pem| BASE64_STANDARD.encode(pem));
        let inline = Cluster { certificate_authority: None, certificate_authority_data: inline, ..cluster.clone() };
        exec.cluster =
            Some((&inline).try_into().map_err(|_| "its cluster cannot be described to the plugin".to_owned())?);
    }
    Ok(exec)
}

/// The bytes of `NAME-data`, else of the file `NAME`.
fn pem(name: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let text: String = data.split_whitespace().collect();
        return BASE64_STANDARD.decode(text).map(Some).map_err(|_| format!("its {name}-data is not base64"));
    }
    let Some(path) = file.filter(|path| !path.is_empty()) else { return Ok(None) };
    let read = std::fs::read(path);
    read.map(Some).map_err(|error| redact::clean(&format!("its {name} {path}: {error}")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("written");
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
    fn a_context_may_be_in_parts_over_several_files() {
        let folder = folder(&[
            ("c", CLUSTER),
            ("u", USER),
            ("x", CONTEXT),
            ("empty", b""),
            ("bom", "\u{feff}current-context: y".as_bytes()),
        ]);
        let config = load(&paths(&folder, &["none", "empty", "x", "bom", "u", "c"])).expect("a kubeconfig");
        assert_eq!(config.current_context.as_deref(), Some("x"));
        let user = config.auth_infos[0].auth_info.as_ref().expect("a user");
        let command = user.exec.as_ref().and_then(|e| e.command.clone()).expect("a command");
        assert_eq!(Path::new(&command), folder.path().join("bin/plug"));
        let why = Access::of(config, None).err().expect("no such certificate");
        assert!(why.contains("context `x`: its certificate-authority") && why.contains("ca.pem"), "{why}");
    }

    #[test]
    fn the_first_file_wins_and_utf_16_is_read() {
        let other = "clusters: [{name: c, cluster: {server: 'https://b.example'}}]";
        let wide: Vec<u8> = [0xfeff].into_iter().chain(other.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let folder = folder(&[("a", CLUSTER), ("b", &wide), ("x", CONTEXT)]);
        let server = |names: &[&str]| {
            let config = load(&paths(&folder, names)).expect("a kubeconfig");
            config.clusters[0].cluster.as_ref().and_then(|c| c.server.clone()).expect("a server")
        };
        assert_eq!(
            (server(&["a", "b"]), server(&["b", "a"])),
            ("https://a.example".into(), "https://b.example".into())
        );
        let access =
            Access::of(load(&paths(&folder, &["b", "x"])).expect("a kubeconfig"), Some("x")).expect("a context");
        assert_eq!(
            (access.config.cluster_url.host(), access.authority, access.exec.is_none()),
            (Some("b.example"), false, true)
        );
    }

    #[test]
    fn what_is_wrong_is_named_without_the_text_of_a_file() {
        let folder = folder(&[("bad", b"users: [S3CRET"), ("x", CONTEXT), ("none", b"{}")]);
        let why = load(&paths(&folder, &["bad"])).expect_err("no YAML");
        assert!(why.ends_with("it is not the YAML of a kubeconfig") && !why.contains("S3CRET"), "{why}");
        let of = |names: &[&str], context| {
            Access::of(load(&paths(&folder, names)).expect("a kubeconfig"), context).err().expect("it is wrong")
        };
        assert_eq!(of(&["x"], Some("y")), "kubeconfig: there is no context `y`; it has x");
        assert_eq!(of(&["x"], None), "kubeconfig: context `x`: there is no cluster `c`");
        assert_eq!(of(&["none"], None), "kubeconfig: it has no current-context");
        assert!(load(&paths(&folder, &["missing"])).expect_err("no file").contains("aws eks update-kubeconfig"));
    }
}
