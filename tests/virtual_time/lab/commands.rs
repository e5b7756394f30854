//! Every command that moves servers of HAProxy, with sides of very different sizes: after each command, the share of the
//! new servers is between the share before the step and the share after it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::clock::LabClock;
use cutover::adapter::haproxy::{Connect, Haproxy, RuntimeApi, Stream};
use cutover::domain::haproxy::{Group, LIMITS};
use cutover::domain::traffic::{RouteId, Shares, shares};
use cutover::lab::model::World;
use cutover::lab::runtime_api::serve;
use cutover::lab::scenario::Scenario;
use cutover::lab::shared_model::SharedModel;
use cutover::port::Traffic;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::common::START;

const ADDRESS: &str = "tcp://10.0.1.10:9999";
const BACKEND: &str = "haproxy:tcp://10.0.1.10:9999/webapp";

/// The instances of a lab, with a log of all lines of commands.
struct Logged {
    model: SharedModel,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Connect for Logged {
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (model, log, address) = (self.model.clone(), Arc::clone(&self.log), address.to_owned());
        tokio::spawn(async move {
            let mut line = String::new();
            BufReader::new(&mut far).read_line(&mut line).await.expect("the line should be read");
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
            let (mut here, there) = tokio::io::duplex(1 << 20);
            tokio::spawn(serve(model, address, there));
            here.write_all(line.as_bytes()).await.expect("the line should be sent");
            let mut answer = Vec::new();
            here.read_to_end(&mut answer).await.expect("the answer should be read");
            far.write_all(&answer).await.expect("the answer should be sent");
        });
        Ok(Box::new(near))
    }
}

/// A backend with this number of old and new servers, and the weights of all servers after each command.
struct Backend {
    haproxy: Haproxy,
    log: Arc<Mutex<Vec<String>>>,
    weights: BTreeMap<String, u32>,
}

impl Backend {
    fn new(old: usize, new: usize) -> Self {
        let plan = format!(
            "apiVersion: cutover.dev/v1alpha1\nkind: Cutover\nmetadata: {{name: webapp}}\nspec:\n  clusters: [{{name: a}}, \
             {{name: b}}]\n  workloads:\n    - name: webapp\n      routes:\n        - haproxy: {{instances: \
             [\"{ADDRESS}\"], backend: webapp, servers: {{a: \"a-*\", b: \"b-*\"}}}}\n  strategy: {{from: a, to: b, \
             steps: [{{setWeight: 100}}]}}\n"
        );
        let plan = cutover::plan::lint("test", plan.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let scenario = format!(
            "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec:\n  clusters:\n    - {{name: \
             a, workload: {{replicas: {old}}}}}\n    - {{name: b, workload: {{replicas: {new}}}}}\n"
        );
        let scenario = Scenario::parse("test.yaml", &scenario).unwrap_or_else(|e| panic!("{e}"));
        let world = World::new(&plan, &scenario, 7, START).unwrap_or_else(|e| panic!("{e}"));
        let model = SharedModel::new(world, LabClock::new(START, 1.0));
        let log = Arc::new(Mutex::default());
        let api = RuntimeApi::over(Logged { model, log: Arc::clone(&log) });
        let group = |glob: &str| Group::parse(&format!("{BACKEND}/{glob}")).expect("the id should be valid");
        let names = [("a", old, 100), ("b", new, 0)];
        let weights = names
            .iter()
            .flat_map(|(side, count, weight)| (1..=*count).map(move |number| (format!("{side}-{number}"), *weight)));
        Self { haproxy: Haproxy::over(api, ["a-*", "b-*"].map(group)), log, weights: weights.collect() }
    }

    /// Returns the share of the new servers, in percent.
    fn share(&self) -> f64 {
        let sum = |side: &str| self.weights.iter().filter(|(name, _)| name.starts_with(side)).map(|(_, w)| w).sum();
        let (old, new): (u32, u32) = (sum("a"), sum("b"));
        assert!(old + new > 0, "all weights are 0");
        f64::from(new) * 100.0 / f64::from(old + new)
    }

    /// Moves this share to the new servers. Returns the share after each command, or why weights cannot express it.
    async fn set(&mut self, percent: u32) -> Result<Vec<f64>, String> {
        let id = RouteId::default_route(BACKEND);
        let live = self.haproxy.routes(std::slice::from_ref(&id)).await.remove(&id).expect("the route should be read");
        let live = live.unwrap_or_else(|e| panic!("{e}"));
        let pairs = ["a", "b"].map(|side| (side.to_owned(), format!("{BACKEND}/{side}-*")));
        let shares = Shares::from([("a".to_owned(), 100 - percent), ("b".to_owned(), percent)]);
        let split = shares::split_for(&live.split, &pairs, &shares, LIMITS).map_err(|why| why.to_string())?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let written = self.haproxy.set(&id, &live.with_split(&split), Duration::from_secs(10)).await;
        written.unwrap_or_else(|e| panic!("{e}"));
        let lines = std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner));
        let commands: Vec<&str> = lines.iter().flat_map(|line| line.split(';')).collect();
        let set = commands.iter().filter_map(|command| command.strip_prefix("set server webapp/"));
        let set: Vec<_> = set.filter_map(|rest| rest.split_once(" weight ")).collect();
        let mut after = Vec::new();
        for (name, weight) in set {
            self.weights.insert(name.to_owned(), weight.parse().expect("a weight should be a number"));
            after.push(self.share());
        }
        Ok(after)
    }
}

/// Moves a backend of `old` and `new` servers from 0 to 100 % and back. Returns the number of states between commands.
async fn whole_way(old: usize, new: usize, first: u32) -> usize {
    let mut backend = Backend::new(old, new);
    let mut states = 0;
    for percent in [first, 25, 50, 75, 100, 50, first, 0] {
        let before = backend.share();
        let all = backend.set(percent).await.unwrap_or_else(|why| panic!("{old} to {new}, {percent} %: {why}"));
        let last = all.last().copied().unwrap_or(before);
        assert!((last - f64::from(percent)).abs() <= 0.5, "{old} to {new}: {last} instead of {percent} %");
        let (least, most) = (before.min(last) - 1e-9, before.max(last) + 1e-9);
        let outside = all.iter().find(|share| !(least..=most).contains(*share));
        assert_eq!(outside, None, "{old} to {new} servers, {before} to {percent} %: {all:?}");
        states += all.len();
    }
    states
}

/// One old server has at most the weight 256, and twenty new servers at least 20 of 276: the smallest share is named.
#[tokio::test(start_paused = true)]
async fn one_old_server_and_twenty_new_ones() {
    let refused = Backend::new(1, 20).set(1).await.expect_err("1 % of the traffic is less than the smallest weights");
    assert!(refused.contains("7 %"), "{refused}");
    let states = whole_way(1, 20, 7).await;
    assert!(states >= 140, "{states} states");
}

#[tokio::test(start_paused = true)]
async fn twenty_old_servers_and_one_new_one() {
    let states = whole_way(20, 1, 1).await;
    assert!(states >= 8, "{states} states");
}
