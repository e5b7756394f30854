//! `kubectl cutover …`: the program as a plugin of a real kubectl, with real API servers.

use std::process::Command;

use crate::child::run;
use crate::programs::variable;
use crate::stack::fixture::StackFixture;

/// Returns commands of kubectl, with a folder on its PATH in which the program is `kubectl-cutover`.
fn kubectl(fixture: &StackFixture) -> impl Fn(&[&str]) -> Command {
    let program = variable("CUTOVER_KUBECTL");
    let plugins = fixture.folder.path().join("plugins");
    std::fs::create_dir(&plugins).expect("the folder should be created");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cutover"), plugins.join("kubectl-cutover"))
        .expect("the link should be created");
    move |args: &[&str]| {
        // Use the environment of the program for kubectl.
        let like = fixture.cutover(&[]);
        let mut command = Command::new(&program);
        command.args(args).env_clear().envs(like.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.env("PATH", format!("{}:/usr/bin:/bin", plugins.display()));
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_kubectl_runs_cutover_as_a_plugin() {
    let fixture = StackFixture::new("plugin");
    let kubectl = kubectl(&fixture);
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let listed = run(kubectl(&["plugin", "list"]));
    assert!(listed.out.contains("kubectl-cutover"), "{}{}", listed.out, listed.err);
    let help = run(kubectl(&["cutover", "--help"])).assert_exit(0).out;
    assert!(help.contains("kubectl cutover"), "the help must show the command as it was called: {help}");
    run(kubectl(&["cutover", "check", &plan])).assert_exit(0);
    fixture.assert_share(0);
    let ended = run(kubectl(&["cutover", "run", &plan, "--yes"])).assert_exit(0);
    assert!(ended.out.contains("completed") || ended.err.contains("completed"), "{}{}", ended.out, ended.err);
    fixture.assert_share(100);
    let status = run(kubectl(&["cutover", "status", "plugin"])).assert_exit(0).out;
    assert!(status.contains("b 100 %"), "{status}");
    // Refusals must keep their exit codes.
    run(kubectl(&["cutover", "status", "nobody"])).assert_exit(run(fixture.cutover(&["status", "nobody"])).code);
    // The same kubectl must read what the run created.
    let admin = fixture.stack.kubeconfig.with_file_name("b").join("admin.kubeconfig");
    let mut get = kubectl(&["get", "targetgroupbindings", "-n", "plugin", "-o", "name"]);
    get.env("KUBECONFIG", admin);
    assert_eq!(run(get).assert_exit(0).out.trim(), "targetgroupbinding.elbv2.k8s.aws/plugin-b");
}
