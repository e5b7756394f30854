//! Puts the tags of the run again, before this process raises a share. A rollback from another machine removes them.
//! Without the marker no share is raised, and without the original weights in the tags the next rollback from another
//! machine would not know them.

use super::RunLoop;
use crate::domain::run::event::{Event, Record, Started};
use crate::domain::run::observation::{Marker, Observation};
use crate::domain::run::state::Phase;
use crate::engine::{EngineError, observation, ownership, weight_tags};
use crate::plan::model::MarkerMode;

impl RunLoop<'_> {
    /// Returns what the journal says about the tags: whether an earlier process drove the run (the process that starts
    /// a run has just put the tags), and the last result of putting them.
    pub(super) fn journalled_tags(records: &[Record]) -> (bool, Option<Event>) {
        let last = records.iter().rev().find(|r| matches!(r.event, Event::WeightsTagged { .. }));
        let continued = records.iter().any(|r| matches!(r.event, Event::ProcessStarted { .. }));
        (continued, last.map(|record| record.event.clone()))
    }

    /// Puts the marker and the weights again if the marker is missing, because an operator has just resumed the run.
    pub(super) async fn put_missing_tags(&mut self) -> Result<(), EngineError> {
        if self.plan.marker != MarkerMode::Tag || self.watch.marker != Some(Marker::Missing) {
            return Ok(());
        }
        let (tag_store, store) = (&*self.ports.balancer.tags, &*self.ports.store);
        let (run, load_balancers) = (&self.state.run, &self.state.started.load_balancers);
        let now = self.ports.clock.now();
        let put = ownership::put_marker(tag_store, store, &self.settings, run, load_balancers, now, false).await;
        if let Err(error) = put {
            tracing::warn!("{error}; no share is raised");
        }
        if let Some(marker) = observation::observe_marker(&self.watch_list, tag_store, &*self.ports.clock).await {
            let now = self.ports.clock.now();
            self.watch.add(now, Observation { marker: Some(marker), ..Observation::default() }, false);
        }
        self.put_missing_weights((true, None)).await
    }

    /// Puts the tags with the weights again if they are missing. Journals the result if it differs from the last result, so that a run
    /// without the permission does not journal the failure in each `cutover step`.
    pub(super) async fn put_missing_weights(
        &mut self,
        (continued, last): (bool, Option<Event>),
    ) -> Result<(), EngineError> {
        let stepping = !matches!(self.state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished);
        if self.restores || !stepping || !continued || self.plan.marker != MarkerMode::Tag {
            return Ok(());
        }
        let (tag_store, clock) = (&*self.ports.balancer.tags, &*self.ports.clock);
        let run = &self.state.run;
        let started = self.existing_routes();
        // A rollback that ended early may have removed only some of the tags. It leaves routes with other shares.
        let drifted = self.state.drifted().next().is_some();
        let routes = started.routes.iter().filter(|_| drifted).map(|route| route.id.to_string());
        let tagged: Vec<_> = started.load_balancers.iter().cloned().chain(routes).collect();
        if weight_tags::is_put(tag_store, run, &tagged).await {
            return Ok(());
        }
        let event = weight_tags::put(tag_store, clock, run, &started).await;
        if last.as_ref() == Some(&event)
            && !matches!(&event, Event::WeightsTagged { missing, .. } if missing.is_empty())
        {
            return Ok(());
        }
        match self.journal(event).await {
            // The tags are useful even if the journal cannot record them.
            Err(EngineError::Store(why)) => {
                tracing::warn!("{why}");
                Ok(())
            }
            journalled => journalled,
        }
    }

    /// Returns the start of the run without the routes that were deleted.
    fn existing_routes(&self) -> Started {
        let mut started = self.state.started.clone();
        started.routes.retain(|start| self.state.routes.get(&start.id).is_none_or(|route| !route.is_deleted()));
        started
    }
}
