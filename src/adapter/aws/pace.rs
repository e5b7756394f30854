//! Sends single read calls at the pace of the current scope, which repeats throttled calls; once without a scope.

use crate::domain::traffic::Unreadable;
use crate::port::{PacedApi, current_pace};

/// Sends a call until its result is final.
pub async fn paced<T, F>(api: PacedApi, call: impl Fn() -> F) -> Result<T, Unreadable>
where
    F: Future<Output = Result<T, Unreadable>>,
{
    let Some(pace) = current_pace() else { return call().await };
    let mut before = None;
    loop {
        let mut tries = pace.admit(api, before).await?;
        let answer = call().await;
        if !pace.repeats(api, &mut tries, answer.as_ref().err()).await {
            return answer;
        }
        before = Some(tries);
    }
}
