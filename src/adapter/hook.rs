//! Runs commands and hooks: a program on this machine, or an HTTP POST.

use async_trait::async_trait;
use http::HeaderMap;

use super::metric::{HttpClient, HttpRequest, clipped};
use crate::adapter::process::{self as command, CommandLine, Folder};
use crate::domain::decide::{HookCall, HookInput};
use crate::plan::model::hook::HookAction;
use crate::port::Hooks;

/// Runs commands and hooks of a plan on this machine.
#[derive(Default)]
pub struct HookRunner {
    web: HttpClient,
    folder: Folder,
}

impl HookRunner {
    /// Creates a runner that runs commands in this folder.
    pub fn in_folder(folder: Folder) -> Self {
        Self { folder, ..Self::default() }
    }
}

#[async_trait]
impl Hooks for HookRunner {
    async fn call(&self, call: &HookCall) -> Result<String, String> {
        let input = serde_json::to_string(&call.input).map_err(|e| e.to_string())?;
        match &call.action {
            HookAction::Exec(argv) => {
                let (variables, timeout) = (variables(&call.input), call.timeout);
                let line = CommandLine { argv, variables, input, timeout, folder: &self.folder };
                let ended = command::run(line).await.map_err(|why| clipped(&why))?;
                let result = serde_json::from_slice::<serde_json::Value>(&ended.stdout).ok();
                let result =
                    result.as_ref().and_then(|result| result["message"].as_str()).map(clipped).unwrap_or_default();
                match ended.code {
                    0 => Ok(result),
                    _ if result.is_empty() => Err(clipped(&ended.failure())),
                    code => Err(format!("exit code {code}: {result}")),
                }
            }
            HookAction::Http { url, headers } => {
                let post = Some(("application/json", input));
                let answer = self
                    .web
                    .send(HttpRequest {
                        counted_as: Some(("http", "hook")),
                        url,
                        post,
                        headers,
                        more_headers: HeaderMap::new(),
                        timeout: call.timeout,
                    })
                    .await;
                // The address may contain a secret.
                let (status, _) = answer.map_err(|why| clipped(&why.replace(url.as_str(), "the address")))?;
                if status.is_success() {
                    Ok(String::new())
                } else {
                    Err(format!("the server responded with status {}", status.as_u16()))
                }
            }
        }
    }

    fn locate(&self, program: &str) -> Result<(), String> {
        self.folder.locate(program)
    }
}

fn variables(input: &HookInput) -> Vec<(&'static str, String)> {
    let shares = input
        .shares
        .iter()
        .flatten()
        .map(|(cluster, share)| format!("{cluster}={share}"))
        .collect::<Vec<_>>()
        .join(",");
    vec![
        ("CUTOVER_RUN", input.run.clone()),
        ("CUTOVER_PLAN", input.plan.clone()),
        ("CUTOVER_HOOK", input.hook.name()),
        ("CUTOVER_STEP", input.step.to_string()),
        ("CUTOVER_FROM", input.from.clone()),
        ("CUTOVER_TO", input.to.clone()),
        ("CUTOVER_SHARES", shares),
    ]
}

/// A hook runner that runs nothing and always fails, for stores and tests without hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    async fn call(&self, _: &HookCall) -> Result<String, String> {
        Err("this command of cutover runs no commands and hooks of the plan".into())
    }

    fn locate(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::domain::run::hook::{HookId, HookPoint};
    use crate::plan::model::metric::{Header, HeaderValue};

    fn hook(action: HookAction) -> HookCall {
        let input = HookInput {
            run: "alpha-1".into(),
            plan: "alpha".into(),
            hook: HookPoint::BeforeShift,
            step: 3,
            label: "half".into(),
            from: "a".into(),
            to: "b".into(),
            shares: Some([("a".to_owned(), 50), ("b".to_owned(), 50)].into()),
            cause: None,
        };
        let id = HookId { at: HookPoint::BeforeShift, step: 3, number: 1 };
        HookCall { id, name: None, description: String::new(), action, timeout: Duration::from_secs(20), input }
    }

    async fn shell(script: &str) -> Result<String, String> {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        HookRunner::default().call(&hook(HookAction::Exec(argv))).await
    }

    #[tokio::test]
    async fn command_gets_its_context_and_its_exit_code_decides() {
        let input = shell(
            "grep -q '\"shares\":{\"a\":50,\"b\":50}' && \
             test \"$CUTOVER_HOOK $CUTOVER_STEP $CUTOVER_SHARES\" = 'beforeShift 3 a=50,b=50'",
        );
        assert_eq!(input.await, Ok(String::new()));
        assert_eq!(
            shell("echo 'a word of no interest'; echo '{}' >&2").await,
            Ok(String::new()),
            "only the `message` of a JSON object must be journalled"
        );
        assert_eq!(shell("echo '{\"message\": \"12 tables\"}'").await, Ok("12 tables".into()));
        assert_eq!(shell("echo '{\"message\": \"locked\"}'; exit 3").await, Err("exit code 3: locked".into()));
        let quota = shell("echo started >&2; echo 'cannot scale: quota' >&2; exit 3").await;
        assert_eq!(quota, Err("exit code 3: cannot scale: quota".into()));
        let nothing = HookRunner::default().call(&hook(HookAction::Exec(vec!["./no-such-program".into()]))).await;
        assert!(nothing.as_ref().is_err_and(|why| why.contains("no-such-program")), "{nothing:?}");
    }

    #[tokio::test]
    async fn timed_out_command_is_killed_with_its_child_processes() {
        let argv = ["sh", "-c", "sleep 1000 & sleep 1000"].map(str::to_owned).to_vec();
        let slow = HookCall { timeout: Duration::from_millis(50), ..hook(HookAction::Exec(argv)) };
        // The child processes would keep standard output open, so a process that is not killed would block this test.
        let why = HookRunner::default().call(&slow).await.expect_err("the hook must time out");
        assert!(why.contains("took longer"), "{why}");
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_not_read() {
        let argv = vec!["yes".to_owned()];
        let result = HookRunner::default().call(&hook(HookAction::Exec(argv))).await;
        assert!(
            result.as_ref().is_err_and(|why| why.contains("yes was killed") || why.contains("exit code")),
            "{result:?}"
        );
    }

    /// Runs an HTTP hook against a server that responds with this status. Returns the result and the request.
    async fn run_http_hook(status: &'static str) -> (Result<String, String>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind to a port");
        let url = format!("http://{}/secret-path", listener.local_addr().expect("read the local address"));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept a client");
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            while !request.contains("\"shares\"") {
                let read = stream.read(&mut buffer).await.expect("read the request");
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("write the response");
            request
        });
        let headers = vec![Header { name: "x-team".into(), value: HeaderValue::Plain("shop".into()) }];
        let result = HookRunner::default().call(&hook(HookAction::Http { url, headers })).await;
        (result, server.await.expect("the server task must end"))
    }

    #[tokio::test]
    async fn http_hook_posts_its_context_and_succeeds_on_2xx() {
        let (result, request) = run_http_hook("204 No Content").await;
        assert_eq!(result, Ok(String::new()));
        assert!(
            request.starts_with("POST /secret-path")
                && request.contains("x-team: shop")
                && request.contains("\"hook\":\"beforeShift\""),
            "{request}"
        );
        let (result, _) = run_http_hook("503 Service Unavailable").await;
        assert_eq!(result, Err("the server responded with status 503".into()));
    }
}
