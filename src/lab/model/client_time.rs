//! Converts the times of programs that call the lab, for a lab whose time is faster than theirs: `cutover lab --speed`.

use jiff::{SignedDuration, Timestamp};

use super::World;

/// Converts times of the program to times of the lab.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientTime {
    /// When both clocks showed the same time.
    start: Timestamp,
    /// How many times faster the lab is.
    speed: f64,
}

impl World {
    /// Sets that the programs that call the lab have their own clocks, and that the lab's time has been `speed` times
    /// as fast as these clocks since `start`.
    pub fn set_client_speed(&mut self, start: Timestamp, speed: f64) {
        self.client_time = Some(ClientTime { start, speed });
    }

    /// Returns the time of the lab when the clock of the calling program shows `at`.
    pub(crate) fn lab_time(&self, at: Timestamp) -> Timestamp {
        let Some(ClientTime { start, speed }) = self.client_time.filter(|clock| clock.start < at) else { return at };
        let passed = SignedDuration::try_from_secs_f64(at.duration_since(start).as_secs_f64() * speed);
        passed.ok().and_then(|passed| start.checked_add(passed).ok()).unwrap_or(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::lab::scenario::Scenario;

    #[test]
    fn a_minute_of_the_program_is_many_minutes_of_a_fast_lab() {
        let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let later = |seconds| start + SignedDuration::from_secs(seconds);
        let mut world = World::new(&fixture::plan(), &Scenario::default(), 1, start).unwrap();
        assert_eq!(world.lab_time(later(60)), later(60));
        world.set_client_speed(start, 20.0);
        assert_eq!(world.lab_time(later(60)), later(1200));
        assert_eq!(world.lab_time(later(-60)), later(-60), "nothing happened before the start");
    }
}
