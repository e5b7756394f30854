//! The questions of commands that continue or end a run: what moves now, and what the next step moves. Each names the
//! routes, the target groups and the shares, from a reading that is made only if there is a question.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::app::find::StoredRun;
use crate::app::live;
use crate::app::names::{Names, balancer};
use crate::app::view::PUT_BACK;
use crate::base::number::percent;
use crate::cli::moves::{Moves, RouteMove};
use crate::cli::term;
use crate::domain::decide::{desired_split, label};
use crate::domain::run::event::{DriftPolicy, ResumeMode};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::traffic::{ClusterName, RouteContent, Split};
use crate::domain::view::holds;
use crate::domain::view::put_back::is_put_back;

type ByCluster = BTreeMap<ClusterName, f64>;

/// A run with the live shares of its routes.
pub struct RunQuestion<'a> {
    found: &'a StoredRun,
    state: &'a State,
    live: Observed,
}

impl<'a> RunQuestion<'a> {
    /// Reads the live routes. An unreadable route has the shares of the journal.
    pub async fn read(found: &'a StoredRun, state: &'a State) -> Self {
        Self { found, state, live: live::routes(found, state).await }
    }

    /// Returns the reading.
    pub fn live(&self) -> &Observed {
        &self.live
    }

    /// Warns that someone else put the traffic back, before a question that moves the run forward.
    pub fn warn_if_put_back(&self) {
        if is_put_back(self.state, Some(&self.live)) {
            term::print_error(&format!("{PUT_BACK}\nto end the run instead: cutover rollback {}", self.state.run));
        }
    }

    /// Returns the question of `resume` and `step`. `hours` is the text that `--ignore-hours` adds. `after` is the
    /// state of the run after the request.
    pub fn resume(&self, mode: ResumeMode, hours: &str, after: &State) -> String {
        let run = &self.state.run;
        let new = if mode.include_new { ", also move the new rules" } else { "" };
        let ours = |route: &Route| desired_split::shares_of(route, route.split());
        match mode.drift {
            DriftPolicy::Reassert => {
                let moves = self.moves(|route| self.now(route), |route| Some(ours(route)));
                let what = moves.forward().unwrap_or_else(|| "Write the shares of the run again".to_owned());
                let then = self.then(ours, after);
                let outside = self.outside_moves();
                format!("{what}{outside}, overwriting what others changed, and continue the run {run}{hours}?{then}")
            }
            DriftPolicy::KeepLive => {
                let then = self.then(|route| self.now(route), after);
                format!("Accept what others changed{new} and continue the run {run}{hours}?{then}")
            }
            DriftPolicy::Leave if mode.include_new => {
                format!("Also move the new rules and continue the run {run}{hours}?{}", self.then(ours, after))
            }
            DriftPolicy::Leave => format!("Continue the run {run}{hours}?{}", self.then(ours, after)),
        }
    }

    /// Returns the question of `abort`.
    pub fn abort(&self, to_step: Option<usize>) -> String {
        let then = |route: &Route| match to_step {
            Some(step) => self.after_step(route, step),
            None => Some(desired_split::restored_shares(self.state, route)),
        };
        let run = &self.state.run;
        let left = self.left_share(then);
        match self.moves(|route| self.now(route), then).back() {
            Some(moves) => format!("{moves}, and end the run {run}?{left}"),
            None => format!("End the run {run} (no share changes)?{left}"),
        }
    }

    /// Returns a text with the share that stays on the new cluster without a guard after the end of the run; empty if
    /// no share stays there.
    fn left_share(&self, then: impl Fn(&Route) -> Option<ByCluster>) -> String {
        let to = &self.state.started.to;
        let share = |shares: &ByCluster| shares.get(to).copied().unwrap_or(0.0);
        let routes = self.state.routes.values().filter(|route| !route.is_deleted());
        let left = routes.filter_map(|route| {
            let left = share(&then(route)?);
            (left > share(&desired_split::restored_shares(self.state, route))).then_some(left)
        });
        let left = left.fold(0.0, f64::max);
        if left == 0.0 {
            return String::new();
        }
        format!(" {to} then keeps {} %: nothing guards that share, and nothing rolls it back.", percent(left))
    }

    /// Returns the sentences about the next step that moves shares, with a space before them: ` Step 5 (half) then
    /// moves 36 routes of …`, and what the run still waits for before that; empty if no later step moves shares.
    /// `after` is the state of the run after the request.
    pub fn then(&self, before: impl Fn(&Route) -> ByCluster, after: &State) -> String {
        let mut from = self.state.step;
        if matches!(self.state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished) {
            return String::new();
        }
        while let Some((number, _)) = desired_split::next_share_step(&self.found.plan, from) {
            let moves = self.moves(&before, |route| self.after_step(route, number)).forward();
            if let Some(what) = moves.as_deref().and_then(|text| text.strip_prefix("Move ")) {
                let step = self.found.plan.strategy.steps.iter().find(|step| step.number == number);
                let name = step.map_or_else(String::new, |step| format!(" ({})", label(step)));
                let holds = holds::sentence(&self.found.plan, after, number, Timestamp::now());
                return format!(" Step {number}{name} then moves {what}.{holds}");
            }
            from = number + 1;
        }
        String::new()
    }

    /// Returns the live shares of a route, or the shares in the journal if the route cannot be read.
    pub fn now(&self, route: &Route) -> ByCluster {
        desired_split::shares_of(route, self.live_split(route))
    }

    fn live_split<'b>(&'b self, route: &'b Route) -> &'b Split {
        let reading = self.live.routes.get(&route.start.id).and_then(|reading| reading.value.as_ref().ok());
        let split = reading.or(route.drifted_content()).and_then(RouteContent::forward_split);
        split.unwrap_or(route.split())
    }

    /// Returns a text with the groups outside the plan whose share changes, because the run writes its shares again,
    /// such as ` and shop-default (23 % → 0 % of all requests)`.
    fn outside_moves(&self) -> String {
        let mut groups: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for route in self.state.routes.values().filter(|route| !route.is_deleted()) {
            let now = desired_split::outside_shares(route, self.live_split(route));
            let then = desired_split::outside_shares(route, route.split());
            for arn in now.keys().chain(then.keys()) {
                let share = |all: &BTreeMap<String, f64>| all.get(arn).copied().unwrap_or(0.0);
                let most = groups.entry(arn.clone()).or_default();
                *most = (most.0.max(share(&now)), most.1.max(share(&then)));
            }
        }
        let names = Names::of(&self.state.started);
        let changed = groups.iter().filter(|(_, (now, then))| (now - then).abs() > 0.005);
        let text = changed.map(|(arn, (now, then))| {
            format!(" and {} ({} % → {} % of all requests)", names.group(arn), percent(*now), percent(*then))
        });
        text.collect()
    }

    fn after_step(&self, route: &Route, step: usize) -> Option<ByCluster> {
        let split = desired_split::after_step(&self.found.plan, &self.state.started, route, step).ok()?;
        Some(desired_split::shares_of(route, &split))
    }

    fn moves(&self, now: impl Fn(&Route) -> ByCluster, then: impl Fn(&Route) -> Option<ByCluster>) -> Moves {
        let (names, groups) = (Names::of(&self.state.started), &self.state.started.groups);
        let routes = self.state.routes.iter().filter(|(_, route)| !route.is_deleted());
        let routes = routes.filter_map(|(id, route)| {
            Some(RouteMove::of(names.route(id), &route.start, groups, &now(route), &then(route)?))
        });
        Moves {
            routes: routes.collect(),
            load_balancers: self
                .found
                .run
                .load_balancers
                .iter()
                .map(|arn| balancer(arn))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::observation::Observation;
    use crate::domain::traffic::Reading;
    use crate::port::store::RunSummary;

    /// Returns a run that moved 5 % at step 2, and the live routes after someone put the traffic back.
    fn put_back() -> (StoredRun, State, Observed) {
        let mut state = fixture::state(fixture::started(4));
        let now = Timestamp::now();
        let mut routes = BTreeMap::new();
        for (id, route) in &mut state.routes {
            route.confirmed = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
            routes.insert(
                id.clone(),
                Reading { at: now, value: Ok(fixture::forward(&[("webapp-a", 100), ("webapp-b", 0)])) },
            );
        }
        let mut live = Observed::new(now, Duration::from_secs(5), Duration::from_mins(1));
        live.add(now, Observation { routes, ..Observation::default() }, false);
        let run = RunSummary { load_balancers: vec![fixture::LB.into()], ..RunSummary::of("alpha-1", &[]) };
        (StoredRun { run, records: Vec::new().into(), plan: fixture::plan() }, state, live)
    }

    /// Regression test: the questions of `resume` named no target group and no share, and neither said that the traffic
    /// of an emergency rollback moves again.
    #[test]
    fn questions_name_what_moves_now_and_what_moves_next() {
        let (found, state, live) = put_back();
        let question = RunQuestion { found: &found, state: &state, live };
        let reassert = question.resume(ResumeMode::REASSERT, "", &state);
        assert!(
            reassert.contains("(100 % → 95 %) to webapp-b (0 % → 5 %), overwriting what others changed"),
            "{reassert}"
        );
        let keep = question.resume(ResumeMode::KEEP_LIVE, "", &state);
        assert!(keep.starts_with("Accept what others changed and continue the run "), "{keep}");
        assert!(keep.contains(" then moves ") && keep.contains("from webapp-a (100 % → "), "{keep}");
        let abort = RunQuestion { live: Observed::new(Timestamp::now(), Duration::ZERO, Duration::ZERO), ..question }
            .abort(None);
        assert!(
            abort.contains("back to webapp-a (95 % → 100 %) and away from webapp-b (5 % → 0 %), and end the run"),
            "{abort}"
        );
    }

    /// Regression test: only after the answer did `abort --to-step` say that a share stays without a guard.
    #[test]
    fn the_question_of_abort_says_that_a_share_stays_without_a_guard() {
        let (mut found, mut state, live) = put_back();
        found.plan.strategy.steps[1].kind = crate::plan::model::StepKind::Shares(fixture::shares(95, 5));
        state.step = 5;
        for route in state.routes.values_mut() {
            route.confirmed = fixture::forward(&[("webapp-a", 50), ("webapp-b", 50)]);
        }
        let question = RunQuestion { found: &found, state: &state, live };
        let resume = question.resume(ResumeMode::PLAIN, "", &state);
        assert!(resume.ends_with(" Before that, the run waits for the approval of step 5."), "{resume}");
        let kept = "? b then keeps 5 %: nothing guards that share, and nothing rolls it back.";
        assert!(question.abort(Some(2)).ends_with(kept), "{}", question.abort(Some(2)));
        assert!(
            question.abort(None).ends_with("end the run alpha-1?") || question.abort(None).contains("no share changes")
        );
    }

    /// Regression test: the question of `--reassert` did not name a third group whose requests it takes away.
    #[test]
    fn the_question_of_reassert_names_groups_outside_the_plan() {
        let (found, state, mut live) = put_back();
        let now = Timestamp::now();
        let routes = state.routes.keys().map(|id| {
            let split = fixture::forward(&[("webapp-a", 70), ("webapp-b", 30), ("shop-default", 30)]);
            (id.clone(), Reading { at: now, value: Ok(split) })
        });
        live.add(now, Observation { routes: routes.collect(), ..Observation::default() }, false);
        let question = RunQuestion { found: &found, state: &state, live }.resume(ResumeMode::REASSERT, "", &state);
        assert!(question.contains(" and shop-default (23.08 % → 0 % of all requests), overwriting"), "{question}");
    }
}
