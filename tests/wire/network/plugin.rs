//! Credential plugins of a kubeconfig: how they are called, and the messages about a failed plugin.

use std::os::unix::fs::PermissionsExt;

use cutover::adapter::kubernetes;
use cutover::adapter::network::Network;
use cutover::domain::traffic::Unreadable;
use serde_json::{Value, json};

/// Connects with a plugin that runs this script; `more` changes the `exec` section.
async fn connect(script: &str, more: Value) -> Result<(), Unreadable> {
    let folder = tempfile::tempdir().expect("the folder should be created");
    let path = folder.path().join("plug");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the write should succeed");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("the script should become executable");
    let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": path, "args": ["get-token", "--x"],
        "interactiveMode": "IfAvailable", "installHint": "brew install plug"});
    more.as_object().expect("the value should be an object").iter().for_each(|(key, value)| exec[key] = value.clone());
    let kubeconfig = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"exec": exec}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).expect("the kubeconfig should be valid");
    kubernetes::connect_over(&Network::alone(), kubeconfig, None).await.map(drop)
}

async fn credentials_error(script: &str, more: Value) -> String {
    match connect(script, more).await {
        Err(Unreadable::Credentials(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plugin_gets_the_same_input_as_from_kubectl() {
    for version in ["v1", "v1beta1", "v1alpha1"] {
        let version = format!("client.authentication.k8s.io/{version}");
        let script = format!(
            "test \"$GIVEN\" = yes && test \"$1\" = get-token || exit 9\n\
             case \"$KUBERNETES_EXEC_INFO\" in *'{version}'*'http://127.0.0.1:1'*) ;; *) exit 8;; esac\n\
             echo 'refreshing' >&2\necho '{{\"kind\": \"ExecCredential\", \"status\": {{\"token\": \"t-of-a-test\"}}}}'"
        );
        let more =
            json!({"apiVersion": version, "env": [{"name": "GIVEN", "value": "yes"}], "provideClusterInfo": true});
        assert_eq!(connect(&script, more).await, Ok(()));
    }
}

#[tokio::test]
async fn a_failed_plugin_is_named_with_exit_code_and_last_line() {
    let failed =
        credentials_error("echo one >&2; echo 'expired; see https://u:S3CRETpw@sso.example' >&2; exit 255", json!({}))
            .await;
    assert!(failed.contains("plug get-token` of the context x failed with exit code 255: expired; see"), "{failed}");
    assert!(!failed.contains("S3CRETpw") && !failed.contains("--x"), "{failed}");
    let missing = credentials_error("", json!({"command": "no-such-plugin"})).await;
    assert!(
        missing.contains("`no-such-plugin get-token`") && missing.ends_with("is not installed; brew install plug"),
        "{missing}"
    );
    assert!(credentials_error("echo S3CRETpw", json!({})).await.ends_with("returned no ExecCredential"));
    assert!(
        credentials_error("echo '{\"status\": {}}'", json!({}))
            .await
            .ends_with("returned neither a token nor a certificate")
    );
    assert!(credentials_error("exit 0", json!({"interactiveMode": "Always"})).await.contains("needs a terminal"));
}

#[tokio::test]
async fn a_version_that_kubectl_does_not_know_is_refused_and_nothing_runs() {
    let unknown = credentials_error("exit 9", json!({"apiVersion": "client.authentication.k8s.io/v9"})).await;
    assert!(unknown.contains("`client.authentication.k8s.io/v9`") && !unknown.contains("exit code"), "{unknown}");
}

#[tokio::test]
async fn a_plugin_that_waits_for_a_person_is_named_with_the_way_out() {
    let never = credentials_error("exit 0", json!({"interactiveMode": "Always"})).await;
    assert!(never.contains("plug get-token` of the context x needs a terminal (interactiveMode: Always)"), "{never}");
    assert!(never.contains("run the command at a terminal"), "{never}");
}

#[tokio::test]
async fn the_token_of_a_failed_plugin_is_not_repeated() {
    let token = "Canary14TokenOfAPlugin";
    let script = format!("echo '{{\"status\": {{\"token\": \"{token}\"}}}}'; echo 'cannot cache {token}' >&2; exit 7");
    let failed = credentials_error(&script, json!({})).await;
    assert!(failed.contains("exit code 7: cannot cache [redacted]"), "{failed}");
}

#[tokio::test]
async fn a_plugin_that_fails_once_is_run_again() {
    let folder = tempfile::tempdir().expect("the folder should be created");
    let flag = folder.path().join("ran").display().to_string();
    let script = format!(
        "if mkdir {flag} 2>/dev/null; then exit 1; fi\n\
         echo '{{\"kind\": \"ExecCredential\", \"status\": {{\"token\": \"t-of-a-test\"}}}}'"
    );
    assert_eq!(connect(&script, json!({})).await, Ok(()));
}

#[tokio::test]
async fn the_words_of_a_plugin_are_shown_without_colors_and_secrets() {
    let failed = credentials_error("printf '\\033[31mSSO expired\\033[0m\\n' >&2; exit 1", json!({})).await;
    assert!(failed.ends_with("failed with exit code 1: SSO expired"), "{failed}");
    let failed = credentials_error("echo the session has expired; exit 254", json!({})).await;
    assert!(failed.ends_with("failed with exit code 254: the session has expired"), "{failed}");
    let failed = credentials_error("echo please log in first", json!({})).await;
    assert!(failed.ends_with("returned no ExecCredential: please log in first"), "{failed}");
    let more = json!({"args": ["get", "Canary23Word"], "env": [{"name": "MY_CLIENT_SECRET", "value": "Canary24Env"}]});
    let failed = credentials_error("echo no login for $MY_CLIENT_SECRET >&2; exit 4", more).await;
    assert!(failed.contains("plug get` of") && failed.ends_with("no login for [redacted]"), "{failed}");
}
