use std::sync::Arc;

use super::*;
use crate::adapter::clock::SystemClock;
use crate::adapter::metric::NoMetrics;
use crate::adapter::store::memory::MemoryStore;
use crate::domain::fixture;
use crate::domain::run::event::{Record, Started, StepType, StopReason};
use crate::engine::fake::FakeTags;
use crate::engine::inventory::ReadPacer;
use crate::engine::ownership;
use crate::plan::model::MarkerMode;
use crate::port::LoadBalancerApi;
use crate::port::store::{LockOwner, Store};

pub(super) struct NullSubscriber;

impl Subscriber for NullSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// Returns the start of a run without routes, so that there is nothing to read.
fn started() -> Started {
    Started { load_balancers: vec!["lb".into()], routes: Vec::new(), groups: [].into(), ..fixture::started(0) }
}

#[tokio::test]
async fn taken_over_baking_run_stops_and_ignores_requests() {
    let plan = Plan { marker: MarkerMode::None, ..fixture::plan() };
    let store = Arc::new(MemoryStore::new());
    let ports = Ports {
        balancer: LoadBalancerApi::new(FakeTags::default()),
        clusters: [].into(),
        compared: [].into(),
        items: [].into(),
        metrics: Arc::new(NoMetrics),
        hooks: Arc::new(crate::adapter::hook::NoHooks),
        clock: Arc::new(SystemClock),
        reads: ReadPacer::new(Arc::new(SystemClock)),
        store: Arc::<MemoryStore>::clone(&store),
    };
    let settings = Settings::new("alice@mac".into(), "mac".into(), 1);
    let ownership = ownership::own_new_run(&ports, &settings, plan.marker, "alpha-1", started()).await.unwrap();
    store
        .append(
            "alpha-1",
            Timestamp::now(),
            &Event::StepStarted { step: 3, kind: StepType::Bake, label: String::new() },
        )
        .await
        .unwrap();
    let mut subscriber = NullSubscriber;
    let mut run =
        RunLoop::open(&plan, ports, settings, ownership, Interrupt::default(), &mut subscriber).await.unwrap();
    let bob =
        LockOwner { owner: "bob@pc".into(), host: "pc".into(), pid: 2, since: Timestamp::now(), run: "beta-1".into() };
    let _held = store.take_over(&["lb".into()], &bob).await.unwrap();
    store.put_request("alpha-1", &Request::Promote { by: "carol@pc".into(), full: false }).await.unwrap();
    let ending = run.drive().await.unwrap();
    assert!(matches!(&ending, Ending::Stopped(StopReason::Lock, why) if why.contains("bob@pc")), "{ending:?}");
    assert_eq!(store.requests("alpha-1").await.unwrap().len(), 1, "the request must stay for the new owner");
}
