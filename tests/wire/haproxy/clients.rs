//! Clients in front of HAProxy, which send requests all the while and count the answers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The answer to a request, or its failure, with the time at which the request began.
type Answer = (Instant, String);

/// The requests that clients send all the while.
pub struct Clients {
    answers: Arc<(Mutex<Vec<Answer>>, Condvar)>,
    ends: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Clients {
    /// Starts clients that together send two hundred requests a second. Each request has a connection of its own.
    pub fn start(ports: &[u16]) -> Self {
        Self::asking(ports, || {
            |port| {
                let answer = request(port);
                // This is the rate of the requests, not a wait for anything.
                std::thread::sleep(Duration::from_millis(20));
                answer
            }
        })
    }

    /// Starts clients that keep a connection to each port and send the next request at once: many more than two hundred
    /// requests a second.
    pub fn without_pauses(ports: &[u16]) -> Self {
        Self::asking(ports, || {
            let mut connections = BTreeMap::new();
            move |port| {
                let answer = request_of(&mut connections, port);
                if answer.is_err() {
                    connections.remove(&port);
                }
                answer
            }
        })
    }

    /// Starts four clients. Each asks one port after the other.
    fn asking<A: FnMut(u16) -> std::io::Result<String> + Send + 'static>(ports: &[u16], new: impl Fn() -> A) -> Self {
        let (answers, ends) = (Arc::new((Mutex::new(Vec::new()), Condvar::new())), Arc::new(AtomicBool::new(false)));
        let client = |n: usize| {
            let (answers, ends, ports, mut ask) = (Arc::clone(&answers), Arc::clone(&ends), ports.to_vec(), new());
            std::thread::spawn(move || {
                for port in ports.iter().cycle().skip(n) {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    let began = Instant::now();
                    let answer = ask(*port).unwrap_or_else(|error| format!("failed: {error}"));
                    answers.0.lock().expect("the lock should be free").push((began, answer));
                    answers.1.notify_all();
                }
            })
        };
        let threads = (0..4).map(client).collect();
        Self { answers, ends, threads }
    }

    /// Waits for the answers to this number of requests that begin from now on, and returns the share of servers whose
    /// names begin with `b`, in percent.
    pub fn measure(&self, count: usize) -> f64 {
        let (lock, changed) = &*self.answers;
        let now = Instant::now();
        let mut answers = lock.lock().expect("the lock should be free");
        let before = answers.len();
        let of_b = loop {
            while answers.len() < before + count {
                answers = changed.wait(answers).expect("the lock should be free");
            }
            let mut new = answers.iter().filter(|(began, _)| *began >= now).map(|(_, name)| name.starts_with('b'));
            if new.clone().count() >= count {
                break new.by_ref().take(count).filter(|of_b| *of_b).count();
            }
            answers = changed.wait(answers).expect("the lock should be free");
        };
        let number = |count: usize| f64::from(u32::try_from(count).expect("the count should be small"));
        number(of_b) * 100.0 / number(count)
    }

    /// Ends the requests. Returns the number of all answers, and the failures.
    pub fn end(mut self) -> (usize, Vec<String>) {
        self.ends.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("the client should end");
        }
        let answers = self.answers.0.lock().expect("the lock should be free");
        (
            answers.len(),
            answers
                .iter()
                .filter(|(_, answer)| answer.starts_with("failed"))
                .map(|(_, failure)| failure.clone())
                .collect(),
        )
    }
}

fn request(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: webapp.example\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.strip_prefix("HTTP/1.1 200").and_then(|text| text.split_once("\r\n\r\n")) {
        Some((_, body)) => Ok(body.to_owned()),
        None => Err(std::io::Error::other(text.lines().next().unwrap_or("no answer").to_owned())),
    }
}

/// Sends a request on the connection to a port, which is made if there is none.
fn request_of(connections: &mut BTreeMap<u16, Connection>, port: u16) -> std::io::Result<String> {
    let connection = match connections.entry(port) {
        Entry::Occupied(open) => open.into_mut(),
        Entry::Vacant(free) => free.insert(Connection::new(port)?),
    };
    connection.request()
}

/// A connection that stays open after an answer.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn new(port: u16) -> std::io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)))
    }

    fn request(&mut self) -> std::io::Result<String> {
        self.0.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: webapp.example\r\n\r\n")?;
        let (status, mut length) = (self.line()?, 0);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(std::io::Error::other)?;
        if status.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(std::io::Error::other(status)) }
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
