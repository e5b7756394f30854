//! Draws the dashboard of a run in a separate thread, so that the run can update the dashboard at any time and the
//! remaining times count down between two observations. The content of the dashboard is in
//! [`super::render::dashboard`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::render::dashboard::{Dashboard, dashboard_lines};
use super::render::style::Style;
use super::term;
use crate::app::view::RunView;
use crate::base::time::later;

/// The shortest time between two redraws.
const MIN_REDRAW: Duration = Duration::from_millis(100);
/// The longest time between two redraws, so that the remaining times count down.
const MAX_REDRAW: Duration = Duration::from_secs(1);

/// The dashboard on the terminal of this process. Dropping this value removes the dashboard from the screen.
pub struct LiveDashboard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Latest>,
    changed: Condvar,
}

#[derive(Default)]
struct Latest {
    view: Option<(RunView, Instant)>,
    fresh: bool,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveDashboard {
    /// Starts the thread that draws. Nothing is shown yet.
    pub fn new(style: Style) -> Self {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || draw(&for_thread, &style));
        Self { shared, thread: Some(thread) }
    }

    /// Shows this view at the next redraw.
    pub fn show(&self, view: RunView) {
        let mut latest = self.shared.lock();
        latest.view = Some((view, Instant::now()));
        latest.fresh = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for LiveDashboard {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn draw(shared: &Shared, style: &Style) {
    let mut dashboard = Dashboard::new(term::bars().clone());
    while let Some((mut view, at)) = next(shared) {
        // Add the time that has passed since the last observation.
        view.now = later(view.now, at.elapsed());
        term::set_dashboard_shown(true);
        dashboard.show(&dashboard_lines(&view, term::screen(), style));
        drop(wait(shared, shared.lock(), MIN_REDRAW, |latest| !latest.over));
    }
    drop(dashboard);
    term::set_dashboard_shown(false);
}

/// Waits for the next view to draw. Returns the view and the time when it was created; `None` at the end.
fn next(shared: &Shared) -> Option<(RunView, Instant)> {
    loop {
        let mut latest = wait(shared, shared.lock(), MAX_REDRAW, |latest| !latest.over && !latest.fresh);
        if latest.over {
            return None;
        }
        latest.fresh = false;
        if let Some(view) = &latest.view {
            return Some(view.clone());
        }
    }
}

fn wait<'a>(
    shared: &Shared,
    latest: MutexGuard<'a, Latest>,
    most: Duration,
    idle: impl Fn(&Latest) -> bool,
) -> MutexGuard<'a, Latest> {
    shared.changed.wait_timeout_while(latest, most, |l| idle(l)).unwrap_or_else(PoisonError::into_inner).0
}
