//! promtool checks the metrics page.

use std::io::Write;
use std::process::{Command, Stdio};

use cutover::adapter::telemetry::MetricsFormat;
use cutover::app::telemetry::metrics::text;

use crate::programs::variable;
use crate::telemetry::run_metrics;

#[test]
#[ignore = "tier prometheus"]
fn prometheus_promtool_accepts_the_metrics() {
    let mut command = Command::new(variable("CUTOVER_PROMETHEUS").with_file_name("promtool"));
    let mut child = command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool should start");
    child
        .stdin
        .take()
        .expect("the process should have a standard input")
        .write_all(text(&run_metrics(), MetricsFormat::Prometheus).as_bytes())
        .expect("promtool should read its input");
    let output = child.wait_with_output().expect("the process should end");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}
