//! In-process connections to the runtime APIs of the simulated instances of HAProxy: sends lines of commands to the
//! lab's model and injects the faults of the schedule.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::haproxy::{Connect, Stream};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::aws::{affects_all_calls, affects_one_call};
use super::fault::{FaultKind, FaultPoint, Moment};
use super::history::By;
use super::wire::{AFTER_DEADLINE, LATE, NEAR_DEADLINE, Wire};

/// The beginning of the service under which lines of commands are recorded. The address of the instance follows.
pub const SERVICE: &str = "haproxy ";

type LineResult = io::Result<Vec<u8>>;

/// The instances of the simulated lab.
pub struct Instances(pub Wire);

#[async_trait]
impl Connect for Instances {
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        if !self.0.model().call(|world, now| world.accepts_commands(address, now)) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let line = Line { wire: self.0.clone(), address: address.to_owned(), text: String::new() };
        Ok(Box::new(Connection { line, exchange: None, rest: None }))
    }
}

/// A connection for one line. The exchange happens while the client reads, so that a crash ends the client's process.
struct Connection {
    line: Line,
    exchange: Option<BoxFuture<'static, LineResult>>,
    /// The part of the answer that the client has not read yet.
    rest: Option<Vec<u8>>,
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line.text.push_str(&String::from_utf8_lossy(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_none() {
            let line = self.line.clone();
            let exchange = self.exchange.get_or_insert_with(|| line.exchange().boxed());
            let answer = ready!(exchange.poll_unpin(cx));
            self.rest = Some(answer?);
        }
        let rest = self.rest.get_or_insert_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        rest.drain(..count);
        Poll::Ready(Ok(()))
    }
}

/// A line of commands to an instance.
#[derive(Clone)]
struct Line {
    wire: Wire,
    address: String,
    text: String,
}

impl Line {
    fn commands(&self) -> Vec<&str> {
        self.text.trim_end().split(';').collect()
    }

    /// Returns the first two words of the last command, such as `set-server`: earlier commands are the same for all
    /// reads.
    fn operation(&self) -> String {
        let last = self.commands().last().copied().unwrap_or_default();
        last.split_whitespace().take(2).collect::<Vec<_>>().join("-")
    }

    fn mutating(&self) -> bool {
        !matches!(self.operation().split('-').next(), Some("show" | "get" | "prepare"))
    }

    async fn exchange(self) -> LineResult {
        let service = format!("{SERVICE}{}", self.address);
        let point = self.wire.call(&service, &self.operation(), self.text.trim_end(), self.mutating());
        if let Some(kind) = self.wire.lasting_fault() {
            return self.answer_with_fault(kind).await;
        }
        let Some(FaultPoint { moment, kind, .. }) = point else { return self.execute().await };
        match moment {
            Moment::Before if affects_one_call(kind) || affects_all_calls(kind) => {
                self.wire.count_fault();
                self.answer_with_fault(kind).await
            }
            Moment::Before => {
                self.wire.inject(kind);
                self.execute().await
            }
            Moment::Lost => {
                let answer = self.execute().await;
                if matches!(kind, FaultKind::Malformed | FaultKind::Half) {
                    self.wire.count_fault();
                    return answer.map(|text| text[..text.len() / 2].to_vec());
                }
                self.lose_answer(kind).await
            }
            Moment::Answered if kind != FaultKind::Crash => {
                let answer = self.execute().await;
                self.wire.inject(kind);
                answer
            }
            Moment::Answered | Moment::Journalled => {
                let answer = self.execute().await;
                self.wire.arm(moment, kind);
                answer
            }
            Moment::Late => {
                self.execute_later(LATE);
                self.lose_answer(kind).await
            }
            Moment::Past => {
                self.execute_later(NEAR_DEADLINE);
                self.never_answer(kind).await
            }
        }
    }

    /// Carries out the line now, and answers after the simulated latency.
    async fn execute(&self) -> LineResult {
        let (text, latency) = self.carry_out(&self.text);
        self.wire.model().wait(latency).await;
        Ok(text)
    }

    /// Carries out a line. An instance that is down ends the connection without an answer.
    fn carry_out(&self, line: &str) -> (Vec<u8>, Duration) {
        // The instance may have restarted since the last line.
        self.wire.model().change(cutover::lab::model::World::advance);
        self.wire.record_changes(By::Foreign);
        let answer = self.wire.model().change(|world, now| world.runtime_api(&self.address, line, now));
        self.wire.record_changes(By::Us);
        (answer.text.unwrap_or_default().into_bytes(), answer.latency)
    }

    fn execute_later(&self, delay: Duration) {
        let line = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            line.carry_out(&line.text);
        });
    }

    /// Loses the answer to a line. A fault of one call replaces the answer; any other fault is injected.
    async fn lose_answer(&self, kind: FaultKind) -> LineResult {
        if affects_one_call(kind) {
            self.wire.count_fault();
            return self.answer_with_fault(kind).await;
        }
        self.wire.inject(kind);
        Err(io::ErrorKind::ConnectionReset.into())
    }

    /// Never answers. Injects the fault after the deadline for writes is over.
    async fn never_answer(&self, kind: FaultKind) -> LineResult {
        if kind == FaultKind::Crash {
            self.wire.crash_past_deadline();
        }
        let wire = self.wire.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_DEADLINE).await;
            wire.inject(kind);
        });
        std::future::pending().await
    }

    /// Answers as an instance that does not work, or never answers (`TimeOut`). With `Half`, carries out the first half
    /// of the commands only.
    async fn answer_with_fault(&self, kind: FaultKind) -> LineResult {
        self.wire.model().wait(Duration::from_millis(60)).await;
        let commands = self.commands();
        match kind {
            FaultKind::TimeOut => std::future::pending().await,
            FaultKind::Denied => Ok("Permission denied\n\n".repeat(commands.len()).into_bytes()),
            FaultKind::Malformed => Ok(b"<html><body>Welcome to the hotel's network</body></html>".to_vec()),
            FaultKind::Half if commands.len() > 1 => Ok(self.carry_out(&commands[..commands.len() / 2].join(";")).0),
            FaultKind::Half => Ok(Vec::new()),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}
