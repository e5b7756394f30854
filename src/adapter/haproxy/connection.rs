//! Sends commands to HAProxy's runtime API and reads the answers: one connection for each line of commands. Do not
//! interpret the answers here.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::domain::haproxy::answers;
use crate::domain::traffic::Unreadable;

/// The maximum size of an answer. Twenty thousand servers need 4 MiB.
const MAX_ANSWER: u64 = 16 << 20;

/// Why commands have no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There was no connection, so no command was carried out.
    NotSent(String),
    /// The commands were sent, but an answer is missing. Some of the commands may have been carried out.
    Unanswered(String),
    /// The socket may not be opened with the rights of this process.
    Denied(String),
}

impl From<NoAnswer> for Unreadable {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::NotSent(why) | NoAnswer::Unanswered(why) => Self::Unavailable(why),
            NoAnswer::Denied(why) => Self::Denied(why),
        }
    }
}

/// Opens connections to runtime APIs.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Connects to the runtime API with this address.
    ///
    /// # Errors
    /// Returns the I/O error if there is no connection.
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>>;
}

/// A connection to a runtime API.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The runtime APIs of all instances.
#[derive(Clone)]
pub struct RuntimeApi(Arc<dyn Connect>);

impl RuntimeApi {
    /// Uses these connections.
    pub fn over(connect: impl Connect + 'static) -> Self {
        Self(Arc::new(connect))
    }

    /// Uses the network and the sockets of this machine.
    pub fn of_machine() -> Self {
        Self::over(Sockets)
    }

    /// Sends commands in one line, and returns one answer for each command.
    ///
    /// # Errors
    /// [`NoAnswer`], with the address in its text, also if the answers are incomplete when the time is up.
    pub(super) async fn ask(
        &self,
        address: &str,
        commands: &[String],
        timeout: Duration,
    ) -> Result<Vec<String>, NoAnswer> {
        ask(&*self.0, address, commands, timeout).await
    }
}

impl fmt::Debug for RuntimeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuntimeApi")
    }
}

async fn ask(
    sockets: &dyn Connect,
    address: &str,
    commands: &[String],
    timeout: Duration,
) -> Result<Vec<String>, NoAnswer> {
    let at = |text: String| format!("HAProxy at {address}: {text}");
    let started = tokio::time::Instant::now();
    let connected = tokio::time::timeout(timeout, sockets.connect(address)).await;
    let stream = match connected {
        Err(_) => return Err(NoAnswer::NotSent(at(format!("no connection within {} s", timeout.as_secs())))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(NoAnswer::Denied(at(format!("{error}; run cutover as a user who may write to the socket"))));
        }
        Ok(Err(error)) => return Err(NoAnswer::NotSent(at(format!("no connection to its runtime API: {error}")))),
        Ok(Ok(stream)) => stream,
    };
    let left = timeout.saturating_sub(started.elapsed());
    let mut text = Vec::new();
    let exchanged = tokio::time::timeout(left, exchange(stream, commands, &mut text)).await;
    let found = answers(&String::from_utf8_lossy(&text));
    if found.len() >= commands.len() {
        return Ok(found);
    }
    let answered = format!("{} of {} commands have an answer", found.len(), commands.len());
    Err(NoAnswer::Unanswered(at(match exchanged {
        Err(_) => format!("no complete answer within {} s: {answered}", timeout.as_secs()),
        Ok(Err(error)) => format!("the connection failed: {error}; {answered}"),
        Ok(Ok(())) => format!("it ended the connection in the middle of an answer: {answered}"),
    })))
}

/// The network and the sockets of this machine.
struct Sockets;

#[async_trait]
impl Connect for Sockets {
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        match (address.strip_prefix("tcp://"), address.strip_prefix("unix:")) {
            (Some(host), _) => Ok(Box::new(TcpStream::connect(host).await?)),
            (None, Some(path)) => Ok(Box::new(UnixStream::connect(path).await?)),
            (None, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not an address of a runtime API")),
        }
    }
}

/// Writes the commands and reads until HAProxy ends the connection, as it does after a line of commands.
async fn exchange(mut stream: Box<dyn Stream>, commands: &[String], text: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(format!("{}\n", commands.join(";")).as_bytes()).await?;
    stream.take(MAX_ANSWER).read_to_end(text).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection: reads a line, sends a text, and then ends the connection or keeps it open.
    async fn server(answer: &'static str, ends: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = [0; 1024];
            let _ = stream.read(&mut line).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !ends {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    async fn ask_two(address: &str) -> Result<Vec<String>, NoAnswer> {
        let commands = ["show info".to_owned(), "show servers state webapp".to_owned()];
        ask(&Sockets, address, &commands, Duration::from_millis(200)).await
    }

    #[tokio::test]
    async fn each_kind_of_missing_answer_has_its_own_message() {
        let refused = ask_two("tcp://127.0.0.1:1").await.unwrap_err();
        assert!(matches!(&refused, NoAnswer::NotSent(why) if why.contains("tcp://127.0.0.1:1")), "{refused:?}");
        let half = ask_two(&server("Pid: 7\n\n1\n# be_id", true).await).await.unwrap_err();
        assert!(matches!(&half, NoAnswer::Unanswered(why) if why.contains("in the middle")), "{half:?}");
        let hangs = ask_two(&server("Pid: 7\n", false).await).await.unwrap_err();
        assert!(matches!(&hangs, NoAnswer::Unanswered(why) if why.contains("0 of 2")), "{hangs:?}");
        let missing = ask_two("unix:/nonexistent/admin.sock").await.unwrap_err();
        assert!(matches!(missing, NoAnswer::NotSent(_)), "{missing:?}");
    }

    #[tokio::test]
    async fn answers_are_separate() {
        let found = ask_two(&server("Pid: 7\n\n1\n# be_id\n\n", true).await).await;
        assert_eq!(found, Ok(vec!["Pid: 7\n\n".to_owned(), "1\n# be_id\n\n".to_owned()]));
    }
}
