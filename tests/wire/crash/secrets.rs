//! Canary credentials: no output and no file of a run may contain them, even if refusals quote them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::crash::lab::{self, Lab};
use crate::crash::lane::Lane;

const SECRET: &str = "Canary0SecretAccessKey0wJalrXUtnFEMI0000";
const SESSION: &str = "Canary1SessionToken1IQoJb3JpZ2luX2VjEAAa1111";
const TOKEN: &str = "Canary2KubeconfigToken2eyJhbGciOiJSUzI1NiJ92222";
const CLIENT: &str = "Canary3ClientSecret3OfAnOidcAction3333";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_is_printed_written_or_left() {
    let lab = Lab::start(1);
    let mut lane = Lane::open(&lab, 0).await;
    for (name, value) in &mut lane.environment {
        match name.as_str() {
            "AWS_SECRET_ACCESS_KEY" => SECRET.clone_into(value),
            "AWS_ACCESS_KEY_ID" => "AKIACANARY0000000000".clone_into(value),
            _ => {}
        }
    }
    lane.environment.push(("AWS_SESSION_TOKEN".into(), SESSION.into()));
    let kubeconfig = lane.folder.join("kubeconfig");
    let text = std::fs::read_to_string(&kubeconfig).expect("the kubeconfig should be readable");
    assert!(text.contains("token: lab"));
    std::fs::write(&kubeconfig, text.replace("token: lab", &format!("token: {TOKEN}")))
        .expect("the kubeconfig should be written");
    lane.authenticate(CLIENT).await;

    let mut outputs = Vec::new();
    // Some requests are refused, so that some runs end early and others complete.
    for one_in in [2, 3, 7, 11, 29] {
        lane.reset().await;
        lane.wire.quote_in_refusals(Some(one_in));
        for words in
            ["check", "run --yes --on-freeze exit", "status", "rollback --yes", "resume --yes --on-freeze exit"]
        {
            let (verb, flags) = words.split_once(' ').unwrap_or((words, ""));
            let (ended, _) = lane.cutover(&format!("{verb} plan.yaml {flags} --log-level trace"), None).await;
            outputs.extend([ended.out, ended.text]);
        }
        lane.wire.quote_in_refusals(None);
        let (ended, _) = lane.cutover("rollback plan.yaml --yes --take-over --log-level trace", None).await;
        outputs.extend([ended.out, ended.text]);
    }
    lane.reset().await;
    let (ended, _) = lane.cutover("run plan.yaml --yes --output json --log-level trace", None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    outputs.extend([ended.out, ended.text]);

    let mut credentials = lane.wire.credentials();
    assert!(
        credentials.len() > 50 && credentials.contains(SESSION) && credentials.contains(TOKEN),
        "the requests must contain the credentials"
    );
    credentials.extend([SECRET.to_owned(), CLIENT.to_owned()]);
    let places = [("the output".to_owned(), outputs.concat())].into_iter().chain(files(&lane.folder));
    let mut checked = 0;
    for (place, text) in places.filter(|(place, _)| !place.ends_with("kubeconfig")) {
        for credential in &credentials {
            assert!(!text.contains(credential.as_str()), "{credential} must not be in {place}");
        }
        checked += 1;
    }
    println!("crash: {} credentials looked for in {checked} texts", credentials.len());
    assert!(checked > 5, "more than 5 texts must be checked, such as journals and break-glass scripts");
}

/// Returns the path and text of every file below a folder.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("the folder should be readable")
        .map(|e| e.expect("the folder should be readable").path())
    {
        if entry.is_dir() {
            all.extend(files(&entry));
        } else {
            all.push((
                entry.display().to_string(),
                String::from_utf8_lossy(&std::fs::read(&entry).expect("the file should be readable")).into_owned(),
            ));
        }
    }
    all
}

/// On Linux, no core dump is possible: the core limit is 0, and the process is not dumpable, so that a pipe handler
/// gets no dump and even the user of the process cannot read the environment, which contains the credentials.
#[cfg(target_os = "linux")]
#[test]
fn a_process_leaves_no_core_dump() {
    let folder = tempfile::tempdir().expect("the folder should be created");
    std::fs::write(folder.path().join("lab.yaml"), lab::plan(0)).expect("the plan should be written");
    let mut command = Command::new(lab::program());
    command.args(["lab", "lab.yaml"]).current_dir(folder.path()).env("TMPDIR", folder.path()).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the lab should start");
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().expect("the process should have a standard output")),
        &mut line,
    )
    .expect("the line should be readable");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id()));
    let owner = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(format!("/proc/{}/environ", child.id()))
            .expect("the environment of the process should exist"),
    );
    child.kill().expect("the process should be killed");
    child.wait().expect("the process should end");
    let limits = limits.expect("the limits of the process should be readable");
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .expect("a limit should exist")
        .split_whitespace()
        .collect::<Vec<_>>();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    assert_eq!(owner, 0, "the files of a process that is not dumpable must belong to root");
}
