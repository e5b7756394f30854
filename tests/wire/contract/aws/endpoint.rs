//! Endpoints that emulate ELBv2, each with a load balancer to test with.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::path::PathBuf;

use cutover::adapter::aws::elb::Alb;
use cutover::adapter::aws::{Settings, config};
use serde_json::Value;

use crate::contract::aws::lab;
use crate::contract::moto::{ELBV2, Moto};
use crate::programs::{python, script};

/// An endpoint with the load balancer `PREFIX-web`, which has two listeners and the target groups a, b and c.
pub struct EndpointFixture {
    /// The URL of the endpoint.
    pub url: String,
    /// The prefix of all resource names in this fixture.
    pub prefix: String,
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// ARN of the listener with 20 rules of all kinds.
    pub https: String,
    /// ARN of the listener with the requested number of rules.
    pub http: String,
    /// ARNs of the target groups by letter.
    pub groups: BTreeMap<String, String>,
    python: PathBuf,
    /// The server, which runs as long as this field exists.
    _server: Box<dyn Any>,
}

impl EndpointFixture {
    /// Creates a new load balancer in a moto process that all tests of this program share.
    pub fn moto(test: &str, rules: u32) -> Ready<Self> {
        let python = python();
        let moto = Moto::shared(&python);
        let (url, prefix) = (moto.url.clone(), prefix(test));
        script(&python, ELBV2, &["create", &url, &prefix], "");
        ready(Self::with_balancer(python, url, prefix, rules, Box::new(moto)))
    }

    /// Starts a new lab with such a load balancer.
    pub async fn lab(test: &str, rules: u32) -> Self {
        let prefix = prefix(test);
        let lab = lab::start(&prefix).await;
        Self::with_balancer(python(), lab.aws_url(), prefix, rules, Box::new(lab))
    }

    fn with_balancer(python: PathBuf, url: String, prefix: String, rules: u32, server: Box<dyn Any>) -> Self {
        let made: Value =
            serde_json::from_slice(&script(&python, ELBV2, &["fill", &url, &prefix, &rules.to_string()], ""))
                .expect("the text should be JSON");
        let text = |key: &str| made[key].as_str().expect("the ARN should be a string").to_owned();
        Self {
            load_balancer: text("loadBalancer"),
            https: text("https"),
            http: text("http"),
            groups: serde_json::from_value(made["groups"].clone()).expect("the groups should map letters to ARNs"),
            url,
            prefix,
            python,
            _server: server,
        }
    }

    /// Returns the AWS adapter for this endpoint.
    pub async fn alb(&self) -> Alb {
        alb(&self.url).await
    }

    /// Returns listeners, rules and tags, by ARN, as botocore reads them.
    pub fn show(&self) -> BTreeMap<String, Value> {
        serde_json::from_slice(&script(&self.python, ELBV2, &["show", &self.url, &self.load_balancer], ""))
            .expect("the output should be a JSON object")
    }
}

/// Returns the AWS adapter for any endpoint, with worthless credentials.
pub async fn alb(url: &str) -> Alb {
    hurried_alb(url, 1.0).await
}

/// Returns the AWS adapter for any endpoint, whose pauses before retries are divided by `speed`.
pub async fn hurried_alb(url: &str, speed: f64) -> Alb {
    let keys = aws_credential_types::Credentials::new("test", "test", None, None, "test");
    let settings = Settings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(keys),
        ..Settings::default()
    };
    Alb::with_speed(&config(&settings).await, speed)
}

/// Returns a prefix for names of at most 32 characters, from the name of a test.
fn prefix(test: &str) -> String {
    let letters = test.trim_start_matches("lab_like_").trim_start_matches("moto_");
    letters.chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}
