//! Shows the progress of reads that take long: the number of calls with a response, the number of all calls, and the
//! expected end. Nothing is shown without a terminal, or in the first seconds.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;

use super::render::dashboard::Dashboard;
use super::render::style::{Color, Style};
use super::term;
use crate::app::connect;
use crate::base::time::later;
use crate::engine::inventory::ReadProgress;

/// The time after which the progress is shown.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// The time between two redraws.
const REDRAW: Duration = Duration::from_millis(250);
/// The width of the bar in cells.
const BAR_WIDTH: usize = 20;

/// Runs reads at the pace of this process and shows their progress. `calls` is the estimated number of calls; 0 if it
/// is unknown.
pub async fn with_progress<T>(calls: usize, reads: impl Future<Output = T>) -> T {
    shown(connect::reads().read(calls, reads)).await
}

/// Shows the progress of reads that already run at the pace of this process.
pub async fn shown<T>(reads: impl Future<Output = T>) -> T {
    if !term::stderr() {
        return reads.await;
    }
    let (mut reads, mut pause) = (pin!(reads), PATIENCE);
    let mut dashboard = Dashboard::new(term::bars().clone());
    loop {
        tokio::select! {
            biased;
            done = &mut reads => return done,
            () = tokio::time::sleep(pause) => {}
        }
        pause = REDRAW;
        let style = term::style_err(Color::Auto);
        let line = connect::reads().progress().map(|progress| line(progress, Timestamp::now(), &style));
        dashboard.show(&line.into_iter().collect::<Vec<_>>());
    }
}

/// Returns the line that shows a progress.
#[allow(clippy::cast_precision_loss)] // numbers of calls
fn line(progress: ReadProgress, now: Timestamp, style: &Style) -> String {
    let ReadProgress { answered, expected, left, throttled } = progress;
    let bar = style.bar(100.0 * answered as f64 / expected.max(1) as f64, BAR_WIDTH);
    let why = if throttled { ", at the rate that AWS accepts" } else { "" };
    let until = style.time(later(now, left));
    format!("reading AWS {bar} {answered} of about {expected} calls{why}, until about {until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_many_calls_are_answered_and_until_when() {
        let style = Style { unicode: false, ..Style::plain() };
        let left = Duration::from_mins(5);
        let progress = ReadProgress { answered: 1_100, expected: 4_400, left, throttled: true };
        assert_eq!(
            line(progress, Timestamp::UNIX_EPOCH, &style),
            "reading AWS [#####...............] 1100 of about 4400 calls, at the rate that AWS accepts, until about \
             00:05:00"
        );
    }
}
