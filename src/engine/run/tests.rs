use std::sync::Arc;

use super::*;
use crate::adapter::clock::System;
use crate::adapter::metric::Nobody;
use crate::adapter::store::memory::Memory;
use crate::domain::fixture;
use crate::domain::run::event::{Record, Started, StepType, Stop};
use crate::engine::fake::Fake;
use crate::engine::hold;
use crate::plan::model::Marker;
use crate::port::Balancer;
use crate::port::store::{Holder, Store};

pub(super) struct Deaf;

impl Audience for Deaf {
    fn record(&mut self, _: &Record) {}
    fn turn(&mut self, _: &State, _: &Watch, _: &[Wait], _: Timestamp) {}
}

/// A run without routes, so that there is nothing to read.
fn started() -> Started {
    Started { load_balancers: vec!["lb".into()], routes: Vec::new(), groups: [].into(), ..fixture::started(0) }
}

#[tokio::test]
async fn a_baking_run_that_was_taken_over_leaves_and_hears_no_request() {
    let plan = Plan { marker: Marker::None, ..fixture::plan() };
    let store = Arc::new(Memory::new());
    let ports = Ports {
        balancer: Balancer::new(Fake::default()),
        clusters: [].into(),
        metrics: Arc::new(Nobody),
        hooks: Arc::new(crate::adapter::hook::Nobody),
        clock: Arc::new(System),
        store: Arc::<Memory>::clone(&store),
    };
    let settings = Settings::new("alice@mac".into(), "mac".into(), 1);
    let hold = hold::begin(&ports, &settings, plan.marker, "alpha-1", started()).await.unwrap();
    store
        .append(
            "alpha-1",
            Timestamp::now(),
            &Event::StepStarted { step: 3, kind: StepType::Bake, label: String::new() },
        )
        .await
        .unwrap();
    let mut audience = Deaf;
    let mut run = Run::take(&plan, ports, settings, hold, Interrupt::default(), &mut audience).await.unwrap();
    let bob =
        Holder { owner: "bob@pc".into(), host: "pc".into(), pid: 2, since: Timestamp::now(), run: "beta-1".into() };
    let _held = store.take_over(&["lb".into()], &bob).await.unwrap();
    store.put_request("alpha-1", &Request::Promote { by: "carol@pc".into(), full: false }).await.unwrap();
    let ending = run.drive().await.unwrap();
    assert!(matches!(&ending, Ending::Stopped(Stop::Lock, why) if why.contains("bob@pc")), "{ending:?}");
    assert_eq!(store.requests("alpha-1").await.unwrap().len(), 1, "it is the other's to hear");
}
