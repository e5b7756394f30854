//! A real Prometheus that scrapes the lab, in a complete run.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;

use crate::live::metrics::{FAULTY_SCENARIO, assert_rolled_back, plan, run};
use crate::programs::variable;

struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn start(url: &str) -> Self {
        let program = variable("CUTOVER_PROMETHEUS");
        let folder = tempfile::tempdir().expect("the folder should be created");
        let config = folder.path().join("prometheus.yml");
        let target = url.trim_start_matches("http://");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: lab, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).expect("the file should be written");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port should exist");
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error").stdin(Stdio::null());
        let child = command.spawn().expect("Prometheus should start");
        let this = Self { child, url: format!("http://{address}"), _folder: folder };
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("Prometheus did not accept connections within 30 s");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier prometheus"]
async fn prometheus_fails_the_gate_of_a_faulty_new_cluster() {
    let scenario = Scenario::parse("faulty", FAULTY_SCENARIO).expect("the scenario should be valid");
    let stage = RehearsalLab::live(plan("", "1m"), &scenario, 1, Options { speed: Some(1.0), rate: Some(60.0) })
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let lab = stage.live_lab().expect("the lab should run on real time");
    let prometheus = Prometheus::start(&lab.metrics_url()).await;
    let gates = format!(
        "{{name: errors, interval: 6s, delay: 2s, prometheus: {{address: \"{}\", \
          requests: 'sum(increase(lab_requests_total{{cluster=\"{{{{cluster}}}}\"}}[{{{{window}}}}]))', \
          errors: 'sum(increase(lab_requests_total{{cluster=\"{{{{cluster}}}}\",code=\"5xx\"}}[{{{{window}}}}]))'}}, errorRate: {{}}}}",
        prometheus.url
    );
    let plan = plan(&gates, "10m");
    let (ending, records) = run(&plan, &stage).await;
    assert_rolled_back(&ending, &records);
    stage.stop().await;
}
