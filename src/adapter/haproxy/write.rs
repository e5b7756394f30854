//! Writes the weights of a backend: reads the servers, and sends the commands in the order that keeps every share between
//! before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::NoAnswer;
use super::{RuntimeApi, ServerReading, read};
use crate::domain::haproxy::{self, Backend};
use crate::domain::traffic::{RouteContent, Unreadable};
use crate::port::WriteError;

/// The maximum length of a line of commands. HAProxy reads a line into a buffer of 16 KiB by default (`tune.bufsize`).
const MAX_LINE: usize = 8_000;

/// Sets the weights of all servers of a backend to those of `content`. Without a fresh reading, reads the servers first.
pub(super) async fn set(
    api: &RuntimeApi,
    last: Option<ServerReading>,
    backend: &Backend,
    globs: &[String],
    content: &RouteContent,
    deadline: Duration,
) -> Result<(), WriteError> {
    let until = Instant::now() + deadline;
    let wanted = haproxy::weights(backend, content).map_err(|why| refused(backend, &why.to_string()))?;
    let (info, live) = match last {
        Some(reading) => reading,
        None => read(api, backend, deadline).await.map_err(|why| not_sent(&why))?,
    };
    let now = super::content(backend, globs, &live, &info).map_err(|why| refused(backend, &why.to_string()))?;
    let servers = |content: &RouteContent| haproxy::servers_of(content).map(|s| (s.sets, s.others));
    let (sets, others) = servers(content).map_err(|why| refused(backend, &why.to_string()))?;
    if servers(&now) != Ok((sets.clone(), others)) {
        return Err(refused(backend, "its servers or their configured weights have changed since they were read"));
    }
    let live: BTreeMap<String, u32> = live.into_iter().map(|server| (server.name, server.weight)).collect();
    let sets: Vec<Vec<String>> = sets.into_values().map(|set| set.into_keys().collect()).collect();
    let commands = haproxy::commands(&live, &wanted, &sets);
    let command = |(server, weight): &(String, u32)| format!("set server {}/{server} weight {weight}", backend.name);
    let mut sent = false;
    for line in lines(commands.iter().map(command).collect()) {
        send(api, backend, &line, until.saturating_duration_since(Instant::now()), sent).await?;
        sent = true;
    }
    Ok(())
}

/// Divides commands into lines that HAProxy can read.
pub(super) fn lines(commands: Vec<String>) -> Vec<Vec<String>> {
    let (mut all, mut length) = (Vec::<Vec<String>>::new(), MAX_LINE);
    for command in commands {
        length += command.len() + 1;
        match all.last_mut() {
            Some(line) if length < MAX_LINE => line.push(command),
            _ => {
                length = command.len() + 1;
                all.push(vec![command]);
            }
        }
    }
    all
}

/// Sends a line of commands. HAProxy carries out the commands after a refused one, too, so the state is known only if it
/// refused all. `sent` says whether earlier lines were carried out.
pub(super) async fn send(
    api: &RuntimeApi,
    backend: &Backend,
    line: &[String],
    left: Duration,
    sent: bool,
) -> Result<(), WriteError> {
    let answers = api.ask(&backend.address, line, left).await.map_err(|why| match why {
        NoAnswer::Unanswered(why) => WriteError::Unanswered(why),
        NoAnswer::NotSent(why) | NoAnswer::Denied(why) if sent => WriteError::Unanswered(why),
        NoAnswer::NotSent(why) => WriteError::NotSent(why),
        NoAnswer::Denied(why) => WriteError::Refused(why),
    })?;
    let refusals: Vec<&str> = answers.iter().map(|answer| answer.trim()).filter(|answer| !answer.is_empty()).collect();
    let Some(first) = refusals.first() else { return Ok(()) };
    let why = haproxy::problem(first).map_or_else(|| (*first).to_owned(), |why| text_of(&why));
    if refusals.len() < line.len() || sent {
        let count = format!("HAProxy refused {} of {} commands", refusals.len(), line.len());
        return Err(WriteError::Unanswered(format!("{}: {count}: {why}", backend.label())));
    }
    Err(refused(backend, &why))
}

/// Returns the text of a reason without the words for its kind.
fn text_of(why: &Unreadable) -> String {
    match why {
        Unreadable::Denied(text) | Unreadable::NotFound(text) | Unreadable::Setup(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn refused(backend: &Backend, why: &str) -> WriteError {
    WriteError::Refused(format!("{}: {why}", backend.label()))
}

/// Returns the error for a write that was not sent, because the servers could not be read.
pub(super) fn not_sent(why: &Unreadable) -> WriteError {
    match why {
        Unreadable::NotFound(what) => WriteError::NotFound(what.clone()),
        Unreadable::Denied(why) | Unreadable::Unrepresentable(why) => WriteError::Refused(why.clone()),
        other => WriteError::NotSent(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_commands_are_divided() {
        let commands: Vec<String> = (0..900).map(|n| format!("set server webapp/a-{n} weight 256")).collect();
        let lines = lines(commands.clone());
        assert!(lines.len() > 3 && lines.iter().all(|line| line.join(";").len() < MAX_LINE));
        assert_eq!(lines.concat(), commands);
        assert!(super::lines(Vec::new()).is_empty());
    }
}
