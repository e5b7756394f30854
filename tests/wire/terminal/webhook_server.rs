//! A webhook server on loopback that stores its requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The requests to a webhook server, each with path and body. `/hang` never gets a response, `/busy` gets an error at
/// the first attempt.
#[derive(Clone, Default)]
pub struct WebhookServer(Arc<Mutex<Vec<(String, Value)>>>);

impl WebhookServer {
    /// Starts a server; returns it and its URL.
    pub fn start() -> (Self, String) {
        let hooks = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port should exist");
        let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
        let seen = hooks.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = seen.clone();
                std::thread::spawn(move || seen.serve(stream.expect("the connection should be accepted")));
            }
        });
        (hooks, url)
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("the connection should be cloned"));
        loop {
            let (mut line, mut length) = (String::new(), 0);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                let header = line.lines().last().unwrap_or_default().to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("the length should be valid");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body should be readable");
            let tries = {
                let mut seen = self.0.lock().expect("no thread should have panicked");
                seen.push((path.clone(), serde_json::from_slice(&body).expect("the text should be JSON")));
                seen.iter().filter(|(p, _)| *p == path).count()
            };
            if path == "/hang" {
                // Wait until the client closes the connection.
                let _ = reader.read(&mut [0]);
                return;
            }
            let status = if path == "/busy" && tries == 1 { "503 Service Unavailable" } else { "200 OK" };
            let mut stream = &stream;
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").expect("the response should be sent");
        }
    }

    /// Returns the field `of` of each request to a path.
    pub fn at(&self, path: &str, of: &str) -> Vec<String> {
        let seen = self.0.lock().expect("no thread should have panicked");
        seen.iter()
            .filter(|(p, _)| p == path)
            .map(|(_, body)| body[of].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Returns the bodies of all requests to a path.
    pub fn all(&self, path: &str) -> Vec<Value> {
        let seen = self.0.lock().expect("no thread should have panicked");
        seen.iter().filter(|(p, _)| p == path).map(|(_, body)| body.clone()).collect()
    }
}
