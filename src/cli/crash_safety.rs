//! Keeps credentials of this process out of what the process prints and leaves behind: the secret values of the
//! environment are removed from every text, and a crash leaves no core dump and no panic message that may contain a
//! credential.

use std::any::Any;
use std::panic::{self, PanicHookInfo};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::base::redact;

/// Installs the protection. Must be called once, before any credential is read. Best effort: unsupported calls are
/// ignored.
pub fn protect() {
    disable_core_dumps();
    std::env::vars_os().for_each(|(name, value)| register_secrets(&name.to_string_lossy(), &value.to_string_lossy()));
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let location = info.location().map_or_else(|| "an unknown location".into(), ToString::to_string);
        super::term::print_error(&message(&location, info.payload()));
    }));
}

/// Registers the secret parts of an environment variable for removal: the whole value if the variable's name indicates
/// a secret, the values of telemetry headers, and the password of a URL.
fn register_secrets(name: &str, value: &str) {
    let name = name.to_ascii_uppercase();
    let is_location = ["_FILE", "_PATH", "_DIR", "_ID", "_URI", "_URL", "_ENDPOINT", "_SOCK", "_TYPE", "_METHOD"];
    let is_location = is_location.iter().any(|end| name.ends_with(end));
    let secret =
        ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "AUTHORIZATION", "COOKIE"];
    let ends = ["_KEY", "_PASS", "_AUTH"].iter().any(|end| name.ends_with(end));
    if !is_location && (ends || secret.iter().any(|part| name.contains(part))) {
        redact::remember_header(value);
    }
    // The URL of an incoming webhook is its only secret.
    if name.contains("WEBHOOK") {
        redact::remember_url(value);
    }
    if name.starts_with("OTEL_") && name.ends_with("_HEADERS") {
        let values = value.split(',').filter_map(|pair| pair.split_once('='));
        values.flat_map(|(_, value)| [value, value.rsplit("%20").next().unwrap_or(value)]).for_each(redact::remember);
    }
    if let Some((user, password)) = redact::user_and_password(value) {
        redact::remember(&password);
        redact::remember(&BASE64_STANDARD.encode(format!("{user}:{password}")));
    }
}

/// Disables core dumps of this process and of its children. On Linux, this also disables dumps that a collector reads
/// through a pipe, and the access of other processes of this user to the memory.
fn disable_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Returns the panic message. A constant text is repeated; a formatted text is left out, because it may quote a
/// credential.
fn message(location: &str, payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let why = text.unwrap_or("(the message is left out, because it may contain a credential)");
    format!(
        "internal error at {location}: {why}\n\
         The journal is intact. To show the run: cutover status. \
         To continue: cutover resume. To roll back: cutover rollback."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_message_names_location_and_repeats_only_constant_texts() {
        let fixed = panic::catch_unwind(|| panic!("a fixed text")).expect_err("the closure should panic");
        let composed =
            panic::catch_unwind(|| panic!("{}", "wJalrXUtnFEMI".to_owned())).expect_err("the closure should panic");
        assert!(message("src/x.rs:1:2", &*fixed).starts_with("internal error at src/x.rs:1:2: a fixed text\n"));
        let printed = message("src/x.rs:1:2", &*composed);
        assert!(
            printed.contains("src/x.rs:1:2")
                && printed.contains("cutover rollback")
                && !printed.contains("wJalrXUtnFEMI"),
            "{printed}"
        );
    }

    #[test]
    fn secret_values_of_environment_are_removed_but_paths_and_names_are_not() {
        for (name, value) in [
            ("AWS_SECRET_ACCESS_KEY", "CanaryA/InAVariable"),
            ("GITHUB_TOKEN", "CanaryB1InAVariable"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/CanaryC1Path"),
            ("GRAFANA_AUTH", "Bearer CanaryG1InAnAuth"),
            ("SLACK_WEBHOOK_URL", "https://hooks.example.com/services/CanaryH1InAWebhook"),
            ("SSH_AUTH_SOCK", "/tmp/CanaryI1Socket"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20CanaryD1InAHeader,x=1"),
            ("https_proxy", "http://alice:CanaryE1%40Proxy@proxy:3128"),
            ("ALL_PROXY", "alice:CanaryF1Proxy@proxy:3128"),
            ("AWS_ACCESS_KEY_ID", "AKIACANARY0000000001"),
        ] {
            register_secrets(name, value);
        }
        let basic = BASE64_STANDARD.encode("alice:CanaryE1@Proxy");
        for secret in [
            "CanaryA/InAVariable",
            "CanaryB1InAVariable",
            "CanaryD1InAHeader",
            "CanaryE1@Proxy",
            "CanaryF1Proxy",
            "CanaryG1InAnAuth",
            "CanaryH1InAWebhook",
            &basic,
        ] {
            assert_eq!(redact::clean(secret), redact::MARK, "{secret}");
        }
        for plain in ["/var/run/CanaryC1Path", "/tmp/CanaryI1Socket", "AKIACANARY0000000001", "alice"] {
            assert_eq!(redact::clean(plain), plain);
        }
    }
}
