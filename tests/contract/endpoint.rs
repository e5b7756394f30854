//! An endpoint with a load balancer to test against.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use cutover::adapter::alb::Alb;
use cutover::adapter::aws::{Settings, config};
use cutover::lab::live::Lab;
use serde_json::Value;

use crate::lab;

/// An endpoint, and the load balancer `PREFIX-web` there with two listeners and the groups a, b and c.
pub struct World {
    /// The endpoint.
    pub url: String,
    /// What its resources' names begin with.
    pub prefix: String,
    /// ARN.
    pub load_balancer: String,
    /// ARN of the listener with 20 rules of all kinds.
    pub https: String,
    /// ARN of the listener with as many rules as were asked for.
    pub http: String,
    /// ARNs by letter.
    pub groups: BTreeMap<String, String>,
    python: PathBuf,
    _server: Server,
}

/// Serves as long as it is held.
enum Server {
    Moto(#[expect(dead_code)] Arc<Moto>),
    Lab(#[expect(dead_code)] Lab),
}

impl World {
    /// A load balancer of one's own in a moto that the tests of this binary share.
    pub fn moto(test: &str, rules: u32) -> Ready<Option<Self>> {
        ready(python().map(|python| {
            let moto = Moto::shared(&python);
            let (url, prefix) = (moto.url.clone(), prefix(test));
            script(&python, &["create", &url, &prefix]);
            Self::furnished(python, url, prefix, rules, Server::Moto(moto))
        }))
    }

    /// A lab of one's own.
    pub async fn lab(test: &str, rules: u32) -> Option<Self> {
        let python = python()?;
        let prefix = prefix(test);
        let lab = lab::start(&prefix).await;
        Some(Self::furnished(python, lab.aws_url(), prefix, rules, Server::Lab(lab)))
    }

    fn furnished(python: PathBuf, url: String, prefix: String, rules: u32, server: Server) -> Self {
        let made: Value = serde_json::from_slice(&script(&python, &["furnish", &url, &prefix, &rules.to_string()])).expect("JSON");
        let text = |key: &str| made[key].as_str().expect("an ARN").to_owned();
        Self {
            load_balancer: text("loadBalancer"),
            https: text("https"),
            http: text("http"),
            groups: serde_json::from_value(made["groups"].clone()).expect("ARNs by letter"),
            url,
            prefix,
            python,
            _server: server,
        }
    }

    /// The adapter, straight at the endpoint.
    pub async fn alb(&self) -> Alb {
        alb(&self.url).await
    }

    /// Listeners, rules and tags, by ARN, as botocore reads them.
    pub fn show(&self) -> BTreeMap<String, Value> {
        serde_json::from_slice(&script(&self.python, &["show", &self.url, &self.load_balancer])).expect("an object")
    }
}

/// The adapter at any endpoint, with credentials that open nothing.
pub async fn alb(url: &str) -> Alb {
    alb_asking_again_after(url, None).await
}

/// The same with another pause before a read is tried again.
pub async fn alb_asking_again_after(url: &str, pause: Option<Duration>) -> Alb {
    let keys = aws_credential_types::Credentials::new("test", "test", None, None, "test");
    let settings = Settings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(keys),
        ..Settings::default()
    };
    let config = config(&settings).await;
    pause.map_or_else(|| Alb::new(&config), |pause| Alb::asking_again_after(&config, pause))
}

/// Names are at most 32 characters.
fn prefix(test: &str) -> String {
    let letters = test.trim_start_matches("lab_like_").trim_start_matches("moto_");
    letters.chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}

fn script(python: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new(python).arg("tests/support/elbv2.py").args(args).stderr(Stdio::inherit()).output().expect("python runs");
    assert!(out.status.success(), "elbv2.py {args:?}");
    out.stdout
}

/// The virtual environment's Python; without one the test says so and passes, except in CI.
fn python() -> Option<PathBuf> {
    let cache = || {
        let base =
            std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        std::env::var_os("CUTOVER_CACHE").map(PathBuf::from).or_else(|| Some(base?.join("cutover"))).map(|c| c.join("venv"))
    };
    let python = std::env::var_os("CUTOVER_VENV").map(PathBuf::from).or_else(cache).map(|venv| venv.join("bin/python3"));
    if let Some(found) = python.filter(|p| p.exists()) {
        return Some(found);
    }
    let reason = "no virtual environment with tests/requirements.txt in $CUTOVER_VENV or the cache; tests/run makes one";
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    println!("SKIPPED: {reason}");
    None
}

/// A moto of this process, stopped with the last test that uses it.
struct Moto {
    url: String,
    child: Child,
}

impl Moto {
    fn shared(python: &Path) -> Arc<Self> {
        static RUNNING: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = running.upgrade() {
            return moto;
        }
        let moto = Arc::new(Self::start(python));
        *running = Arc::downgrade(&moto);
        moto
    }

    fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg("tests/support/serve_moto.py").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("moto starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut url).expect("moto says its URL");
        assert!(url.starts_with("http://127.0.0.1:"), "moto did not start");
        Self { url: url.trim().to_owned(), child }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
