//! The kubeconfig with which `kubectl` and the tool itself reach the clusters of the lab. The folder of the file is
//! removed with the lab.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A cluster of the lab, as a context of the kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Name of the context: the plan's `kubeContext`, or the name of the EKS cluster.
    pub name: String,
    /// URL of the API server, `http://127.0.0.1:PORT`.
    pub server: String,
}

/// Returns the text of the kubeconfig. The first context is the current context. All users share one token, which the
/// lab does not check.
pub fn text(contexts: &[Context]) -> String {
    let clusters: Vec<Value> =
        contexts.iter().map(|c| json!({"name": c.name, "cluster": {"server": c.server}})).collect();
    let named: Vec<Value> =
        contexts.iter().map(|c| json!({"name": c.name, "context": {"cluster": c.name, "user": "lab"}})).collect();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "contexts": named,
        "current-context": contexts.first().map_or("", |c| c.name.as_str()),
        "users": [{"name": "lab", "user": {"token": "lab"}}],
    });
    serde_yaml::to_string(&config).unwrap_or_default()
}

/// A folder that only its owner can read, removed when dropped.
#[derive(Debug)]
pub struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Creates a folder in the system's folder for temporary files.
    pub fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        loop {
            let path = base.join(format!("cutover-lab-{}-{:08x}", std::process::id(), fastrand::u32(..)));
            match create_private_folder(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|()| Self(path)),
            }
        }
    }

    /// Writes a file into the folder and returns the path of the file.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn create_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_parses_the_kubeconfig_and_the_folder_is_removed() {
        let contexts =
            ["blue", "green"].map(|n| Context { name: n.into(), server: format!("http://127.0.0.1:{}", n.len()) });
        let config = kube::config::Kubeconfig::from_yaml(&text(&contexts)).expect("kube should parse the kubeconfig");
        assert_eq!(config.current_context.as_deref(), Some("blue"));
        assert_eq!(config.contexts.len(), 2);
        let server = config.clusters[1].cluster.as_ref().and_then(|c| c.server.clone());
        assert_eq!(server.as_deref(), Some("http://127.0.0.1:5"));

        let folder = TemporaryFolder::create().expect("the temporary folder should be created");
        let path = folder.write("kubeconfig", "x").expect("the file should be written");
        assert!(path.exists());
        drop(folder);
        assert!(!path.exists());
    }
}
