//! Serves the runtime API of the lab's instances of HAProxy: in this process, for rehearsals, and on sockets, for other
//! tools.

use std::io;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, split};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::shared_model::SharedModel;
use crate::adapter::haproxy::{Connect, Stream};

/// The size of the buffer of a connection within this process. A longer answer waits until it is read.
const BUFFER: usize = 64 << 10;

/// The instances of a lab, without sockets.
pub struct Instances(pub SharedModel);

#[async_trait]
impl Connect for Instances {
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        if !self.0.call(|world, now| world.accepts_commands(address, now)) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(BUFFER);
        tokio::spawn(serve(self.0.clone(), address.to_owned(), far));
        Ok(Box::new(near))
    }
}

/// Serves one connection: reads a line of commands, answers it, and ends the connection.
pub async fn serve(model: SharedModel, address: String, stream: impl AsyncRead + AsyncWrite + Send) {
    let (reader, mut writer) = split(stream);
    let mut line = String::new();
    if BufReader::new(reader).read_line(&mut line).await.is_err() {
        return;
    }
    let answer = model.change(|world, now| world.runtime_api(&address, &line, now));
    model.wait(answer.latency).await;
    if let Some(text) = answer.text {
        let _ = writer.write_all(text.as_bytes()).await;
        let _ = writer.shutdown().await;
    }
}

/// The runtime API of one instance on a loopback socket. Dropping this value closes it.
pub struct Socket {
    /// The address to use instead of the address in the plan: `tcp://127.0.0.1:PORT`.
    pub address: String,
    task: JoinHandle<()>,
}

impl Socket {
    /// Opens a free port for the instance with this address in the plan.
    ///
    /// # Errors
    /// Returns the I/O error if there is no free port.
    pub async fn open(model: SharedModel, instance: String) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = format!("tcp://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // An instance that is down closes each connection.
            while let Ok((stream, _)) = listener.accept().await {
                if model.call(|world, now| world.accepts_commands(&instance, now)) {
                    tokio::spawn(serve(model.clone(), instance.clone(), stream));
                }
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}
