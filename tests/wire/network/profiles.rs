//! AWS profiles: the places from which the program gets credentials, on loopback, and the messages if it finds no
//! credentials.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::origin::{AUTHORITY, Asked, serve, site};
use super::servers::TestServers;
use crate::child;
use crate::crash::lab::program;

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: profiles}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a}, {name: b}]
  workloads: [{name: web, routes: [{alb: {loadBalancer: web, targetGroups: {a: web-a, b: web-b}}}]}]
  strategy: {from: a, to: b, steps: [{setWeight: 100}]}
";

/// Returns the access key that signed a request.
fn key(asked: &Asked) -> String {
    let header = asked.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = header.split("Credential=").nth(1).unwrap_or_default();
    scope.split('/').next().unwrap_or_default().to_owned()
}

/// Answers as STS, SSO, and the endpoint for containers. Every key that begins with `AKIDBAD` is refused with the code
/// and the message that follow in `refusal`.
fn answer(asked: &Asked, keys: &Mutex<Vec<String>>, refusal: (&str, &str)) -> (u16, String) {
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let temporary = |key: &str| {
        format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
             <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
        )
    };
    let denied = |(code, message): (&str, &str)| {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        (403, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
    };
    if asked.host.starts_with("portal.sso") {
        let credentials = json!({"accessKeyId": "AKIDSSO", "secretAccessKey": "secret", "sessionToken": "session",
            "expiration": 4_070_908_800_000_i64});
        return (200, json!({"roleCredentials": credentials}).to_string());
    }
    if asked.path == "/container" {
        let credentials = json!({"AccessKeyId": "AKIDCONTAINER", "SecretAccessKey": "secret", "Token": "session",
            "Expiration": "2099-01-01T00:00:00Z"});
        return (200, credentials.to_string());
    }
    let key = key(asked);
    keys.lock().expect("no thread should have panicked").push(key.clone());
    for (action, credentials) in [("AssumeRoleWithWebIdentity", "AKIDWEB"), ("AssumeRole", "AKIDROLE")] {
        if body.contains(&format!("Action={action}&")) {
            if body.contains("forbidden") {
                return denied(("AccessDenied", "you may not assume the role"));
            }
            let result = format!("<{action}Result>{}</{action}Result>", temporary(credentials));
            return (200, format!("<{action}Response>{result}</{action}Response>"));
        }
    }
    denied(if key.starts_with("AKIDBAD") { refusal } else { ("AccessDenied", "not you") })
}

/// Returns the output of `check` with this AWS configuration and environment, and the keys that signed its requests.
async fn check(
    config: &str,
    variables: &[(&str, &str)],
    refusal: (&'static str, &'static str),
) -> (String, Vec<String>) {
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&keys);
    let site = site(move |asked| answer(asked, &log, refusal));
    let (servers, container) = (TestServers::serving(Arc::clone(&site), None, None).await, serve(site, false).await);
    let folder = tempfile::tempdir().expect("the folder should be created");
    let home = folder.path().display().to_string();
    std::fs::create_dir_all(folder.path().join(".aws/sso/cache")).expect("the folder should be created");
    std::fs::write(folder.path().join(".aws/config"), config.replace("HOME", &home))
        .expect("the file should be written");
    std::fs::write(folder.path().join("token"), "a.web.token").expect("the file should be written");
    std::fs::write(folder.path().join("plan.yaml"), PLAN).expect("the file should be written");
    for (name, expires) in [("corp", "2099-01-01T00:00:00Z"), ("old", "2020-01-01T00:00:00Z")] {
        let token = json!({"accessToken": "sso-token", "expiresAt": expires, "region": "eu-central-1"});
        let file = folder.path().join(format!(".aws/sso/cache/{}.json", sha1_of(name)));
        std::fs::write(file, token.to_string()).expect("the file should be written");
    }
    let mut command = Command::new(program());
    command.args(["check", "plan.yaml"]).env_clear().current_dir(folder.path());
    command.envs([("PATH", "/usr/bin:/bin"), ("HOME", &home), ("AWS_CA_BUNDLE", AUTHORITY)]);
    command.envs([("HTTPS_PROXY", format!("http://{}", servers.http)), ("AWS_EC2_METADATA_DISABLED", "true".into())]);
    command.envs(
        variables.iter().map(|(name, value)| (name, value.replace("HOME", &home).replace("CONTAINER", &container))),
    );
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || child::run(command)).await.expect("the process should end");
    let keys = keys.lock().expect("no thread should have panicked").clone();
    (ended.out + &ended.err, keys)
}

/// Returns the name of the cached token of an SSO session: the SHA-1 of `corp` or `old`.
fn sha1_of(session: &str) -> &'static str {
    match session {
        "corp" => "ee0bfd2552fbd840c02cc48b6e823320543c450f",
        _ => "c00dbbc9dadfbe1e232e93a729dd4752fade0abf",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_of_a_profile_signs_the_requests() {
    let process = r#"printf '{"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "secret"}'"#;
    let process = format!("sh -c '{}'", process.replace('\'', "'\\''"));
    let process = &process;
    let keys = "[profile keys]\naws_access_key_id = AKIDKEYS\naws_secret_access_key = secret\n";
    let role = "role_arn = arn:aws:iam::123456789012:role/x\n";
    for (config, variables, expected) in [
        (keys.to_owned(), vec![("AWS_PROFILE", "keys")], "AKIDKEYS"),
        (format!("[profile p]\ncredential_process = {process}\n"), vec![("AWS_PROFILE", "p")], "AKIDPROCESS"),
        (format!("{keys}[profile p]\n{role}source_profile = keys\n"), vec![("AWS_PROFILE", "p")], "AKIDROLE"),
        (
            format!("[profile p]\n{role}credential_source = EcsContainer\n"),
            vec![("AWS_PROFILE", "p"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://CONTAINER/container")],
            "AKIDROLE",
        ),
        (format!("[profile p]\n{role}web_identity_token_file = HOME/token\n"), vec![("AWS_PROFILE", "p")], "AKIDWEB"),
        (
            String::new(),
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token"), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")],
            "AKIDWEB",
        ),
        (String::new(), vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://CONTAINER/container")], "AKIDCONTAINER"),
        (SSO.to_owned(), vec![("AWS_PROFILE", "p")], "AKIDSSO"),
    ] {
        let (said, keys) = check(&config, &variables, ("", "")).await;
        assert_eq!(keys.last().map(String::as_str), Some(expected), "{config}: {keys:?} {said}");
    }
}

const SSO: &str = "[profile p]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = admin\n\
    [sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gives_no_credentials_is_named_with_the_way_out() {
    let role = "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/x\n";
    let keys = "[profile keys]\naws_access_key_id = AKIDKEYS\naws_secret_access_key = secret\n";
    let failing =
        "[profile p]\ncredential_process = sh -c 'echo the vault is sealed, token=Canary16Vault >&2; exit 3'\n";
    for (config, expected) in [
        (
            "[profile p]\nlogin_session = arn:aws:iam::123456789012:user/x\n".to_owned(),
            vec!["`login_session`", "export-credentials --profile p"],
        ),
        (
            format!(
                "{keys}{role}source_profile = keys\nmfa_serial = arn:aws:iam::123456789012:mfa/x\nrole_session_name = forbidden\n"
            ),
            vec!["`mfa_serial`", "export-credentials --profile p"],
        ),
        (failing.to_owned(), vec!["exit code 3", "the vault is sealed"]),
        (format!("{role}source_profile = nobody\n"), vec!["source_profile of the AWS profile", "`nobody`"]),
        (String::new(), vec!["AWS_PROFILE is `p`"]),
        (
            SSO.replace("sso_session = corp", "sso_session = old").replace("sso-session corp", "sso-session old"),
            vec!["aws sso login --profile p"],
        ),
        (
            SSO.replace("sso_session = corp", "sso_session = new").replace("sso-session corp", "sso-session new"),
            vec!["aws sso login --profile p"],
        ),
        (
            format!("{keys}{role}source_profile = keys\nrole_session_name = forbidden\n"),
            vec!["you may not assume the role"],
        ),
    ] {
        let (said, _) = check(&config, &[("AWS_PROFILE", "p")], ("", "")).await;
        for text in expected {
            assert!(said.contains(text), "{config}: no {text} in {said}");
        }
        assert!(!said.contains("Canary16Vault"), "{said}");
    }
    let missing = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such"), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")];
    let (said, _) = check("", &missing, ("", "")).await;
    assert!(said.contains("AWS_WEB_IDENTITY_TOKEN_FILE: /no/such"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_that_sts_refuses_is_not_a_failed_sso_login() {
    let base = SSO.replace("[profile p]", "[profile base]");
    let role = "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n";
    let (said, _) =
        check(&format!("{base}{role}role_session_name = forbidden\n"), &[("AWS_PROFILE", "p")], ("", "")).await;
    let wanted = "STS refused `role_arn = arn:aws:iam::123456789012:role/x` of the AWS profile p";
    assert!(said.contains(wanted) && said.contains("you may not assume the role"), "{said}");
    assert!(!said.contains("sso login"), "{said}");
}

/// The AWS CLI also reads `AWS_DEFAULT_PROFILE`; `AWS_PROFILE` has priority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_default_profile_selects_a_profile() {
    let keys =
        |name: &str, id: &str| format!("[profile {name}]\naws_access_key_id = {id}\naws_secret_access_key = s\n");
    let config = keys("a", "AKIDKEYS") + &keys("b", "AKIDOTHER");
    let (said, keys) = check(&config, &[("AWS_DEFAULT_PROFILE", "a")], ("", "")).await;
    assert_eq!(keys.last().map(String::as_str), Some("AKIDKEYS"), "{said}");
    let (said, keys) = check(&config, &[("AWS_DEFAULT_PROFILE", "b"), ("AWS_PROFILE", "a")], ("", "")).await;
    assert_eq!(keys.last().map(String::as_str), Some("AKIDKEYS"), "{said}");
    let (said, _) = check(&config, &[("AWS_DEFAULT_PROFILE", "c")], ("", "")).await;
    assert!(said.contains("AWS_DEFAULT_PROFILE is `c`"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_called_what_it_is() {
    let late = "Signature expired: 20261130T000000Z is now earlier than 20261130T001500Z (20261130T002000Z - 5 min.)";
    let bad = [("AWS_ACCESS_KEY_ID", "AKIDBAD"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    for (code, message, expected) in [
        ("ExpiredToken", "The security token included in the request is expired", "the credentials have expired"),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
            "the access key does not exist",
        ),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            "secret access key does not belong",
        ),
        ("SignatureDoesNotMatch", late, "the clock of this machine is wrong"),
        ("RequestTimeTooSkewed", "", "the clock of this machine is wrong"),
    ] {
        let (said, _) = check("", &bad, (code, message)).await;
        assert!(said.contains(expected), "{code}: {said}");
    }
}
