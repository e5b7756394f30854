//! Client certificates of a credential plugin: used for the connection, and replaced when they expire or are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cutover::adapter::kubernetes;
use cutover::adapter::network::Network;
use cutover::domain::traffic::Unreadable;
use cutover::port::Cluster;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::origin::{AUTHORITY, Asked, file, serve, site};
use super::servers::kubernetes as api;

/// Returns the ExecCredential with this client certificate and this expiry.
fn credential(name: &str, expires: Option<&str>) -> Value {
    let certificate =
        std::fs::read_to_string(file(&format!("{name}.pem"))).expect("the certificate should be readable");
    let key =
        BASE64_STANDARD.encode(std::fs::read(file(&format!("{name}.key.der"))).expect("the key should be readable"));
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {
        "clientCertificateData": certificate, "clientKeyData": key, "expirationTimestamp": expires,
    }})
}

/// Returns the name of a client's certificate.
fn name(asked: &Asked) -> &'static str {
    let Some(certificate) = &asked.certificate else { return "none" };
    let named = |name: &&str| {
        let der =
            CertificateDer::from_pem_file(file(&format!("{name}.pem"))).expect("the certificate should be readable");
        der.as_ref() == certificate.as_slice()
    };
    ["client-one", "client-two"].into_iter().find(named).unwrap_or("another")
}

/// Returns a plugin that gives the first credential at its first run, and the second credential from then on.
fn plugin(folder: &Path, first: &Value, second: &Value) -> String {
    std::fs::write(folder.join("first"), first.to_string()).expect("the file should be written");
    std::fs::write(folder.join("second"), second.to_string()).expect("the file should be written");
    let path = folder.join("plug");
    let script = "#!/bin/sh\ncd \"${0%/*}\"\nif [ -e ran ]; then cat second; else touch ran; cat first; fi\n";
    std::fs::write(&path, script).expect("the file should be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("the file should be executable");
    path.display().to_string()
}

/// Returns the results of three reads with a plugin that gives these credentials, and the certificates of the requests.
/// The API server does not accept the certificate `refused`.
async fn reads(first: Value, second: Value, refused: &'static str) -> (Vec<Result<(), Unreadable>>, Vec<&'static str>) {
    let folder = tempfile::tempdir().expect("the folder should be created");
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let log = Arc::clone(&seen);
    let at = serve(
        site(move |asked| {
            let name = name(asked);
            log.lock().expect("no thread should have panicked").push(name);
            if name == refused {
                return (401, json!({"kind": "Status", "status": "Failure", "code": 401}).to_string());
            }
            api(&asked.path).unwrap_or((404, "{}".into()))
        }),
        true,
    );
    let kubeconfig = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": format!("https://{}", at.await), "certificate-authority": AUTHORITY}}],
        "users": [{"name": "x", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": plugin(folder.path(), &first, &second), "interactiveMode": "Never"}}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).expect("the kubeconfig should be valid");
    let cluster = match kubernetes::connect_over(&Network::alone(), kubeconfig, None).await {
        Ok(cluster) => cluster,
        Err(why) => return (vec![Err(why)], Vec::new()),
    };
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(cluster.identity().await.map(drop));
    }
    let seen = seen.lock().expect("no thread should have panicked").clone();
    (results, seen)
}

#[tokio::test]
async fn the_plugins_certificate_identifies_every_connection() {
    let (results, seen) = reads(credential("client-one", None), json!({}), "").await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(seen.len() > 5 && seen.iter().all(|name| *name == "client-one"), "{seen:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_replaced_before_the_next_request() {
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20)).to_string();
    let (results, seen) = reads(credential("client-one", Some(&soon)), credential("client-two", None), "").await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(!seen.is_empty() && seen.iter().all(|name| *name == "client-two"), "{seen:?}");
}

#[tokio::test]
async fn a_refused_certificate_is_replaced_once_and_the_connection_with_it() {
    let (results, seen) = reads(credential("client-one", None), credential("client-two", None), "client-one").await;
    assert!(matches!(&results[0], Err(Unreadable::Credentials(_))), "{results:?}");
    assert!(results[1..].iter().all(Result::is_ok), "{results:?}");
    assert_eq!(seen.iter().filter(|name| **name == "client-one").count(), 1, "{seen:?}");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_by_name() {
    for (missing, expected) in
        [("clientKeyData", "without its key"), ("clientCertificateData", "without its certificate")]
    {
        let mut half = credential("client-one", None);
        half["status"].as_object_mut().expect("the value should be an object").remove(missing);
        let (results, _) = reads(half, json!({}), "").await;
        let why = results[0].as_ref().expect_err("half a credential should be refused").to_string();
        assert!(why.contains(expected) && why.contains("plug") && !why.contains("BEGIN"), "{why}");
    }
}
