//! The simulated clients of a rehearsal: which route each request is for, and which clients keep cookies.

use std::sync::Arc;

use crate::lab::model::World;

/// A request that matches one route of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRequest {
    /// Name of the load balancer.
    pub load_balancer: Arc<str>,
    /// Port of the listener in the plan.
    pub port: u16,
    /// Value of the `Host` header.
    pub host: Arc<str>,
    /// URL path.
    pub path: Arc<str>,
}

/// Of this many requests, one is from a client that keeps cookies.
const COOKIE_CLIENT_RATIO: usize = 4;

/// Clients that send requests to all routes in turn, always in the same order.
#[derive(Debug)]
pub struct Clients {
    samples: Vec<Arc<SampleRequest>>,
    /// Cookies by route, then by client that keeps cookies.
    jars: Vec<Vec<Option<String>>>,
    sent: usize,
}

/// One request of one client.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The request that the client sends.
    pub sample: Arc<SampleRequest>,
    /// The group cookie that the client sends.
    pub cookie: Option<String>,
    jar: Option<(usize, usize)>,
}

impl Clients {
    /// Creates the number of clients that the scenario sets, for all managed routes of the lab.
    pub fn for_world(world: &World) -> Self {
        let samples = world.sample_requests().into_iter().map(|(load_balancer, port, host, path)| SampleRequest {
            load_balancer: load_balancer.into(),
            port,
            host: host.into(),
            path: path.into(),
        });
        Self::new(samples.collect(), usize::try_from(world.load().clients).unwrap_or(usize::MAX))
    }

    /// Creates `clients` clients that send these sample requests. Without samples, the clients send nothing.
    pub fn new(samples: Vec<SampleRequest>, clients: usize) -> Self {
        let jars = vec![vec![None; (clients / COOKIE_CLIENT_RATIO).max(1)]; samples.len()];
        Self { samples: samples.into_iter().map(Arc::new).collect(), jars, sent: 0 }
    }

    /// Returns the next request of a client; `None` if there are no sample requests.
    pub fn next_visit(&mut self) -> Option<Visit> {
        let routes = self.samples.len();
        let route = self.sent.checked_rem(routes)?;
        let round = self.sent / routes;
        self.sent += 1;
        let jar = round
            .is_multiple_of(COOKIE_CLIENT_RATIO)
            .then_some((route, (round / COOKIE_CLIENT_RATIO) % self.jars[route].len()));
        let cookie = jar.and_then(|(route, jar)| self.jars[route][jar].clone());
        Some(Visit { sample: Arc::clone(&self.samples[route]), cookie, jar })
    }

    /// Stores the cookie of a response if the client keeps cookies.
    pub fn store_cookie(&mut self, visit: &Visit, cookie: String) {
        if let Some((route, jar)) = visit.jar {
            self.jars[route][jar] = Some(cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> SampleRequest {
        SampleRequest { load_balancer: "lb".into(), port: 80, host: "h".into(), path: path.into() }
    }

    #[test]
    fn clients_visit_routes_in_turn_and_one_in_four_keeps_its_cookie() {
        let mut clients = Clients::new(vec![sample("/a"), sample("/b")], 32);
        let visits = 2 * 32;
        for n in 0..visits {
            let visit = clients.next_visit().expect("clients with samples should have a next visit");
            assert_eq!(
                (visit.sample.path.as_ref(), visit.cookie.is_none()),
                (if n % 2 == 0 { "/a" } else { "/b" }, true)
            );
            clients.store_cookie(&visit, format!("{n}"));
        }
        let cookies: Vec<String> = (0..visits).filter_map(|_| clients.next_visit()?.cookie).collect();
        assert_eq!(cookies.len(), visits / COOKIE_CLIENT_RATIO);
        assert_eq!(cookies[..3], ["0", "1", "8"]);
    }

    #[test]
    fn a_lab_without_routes_has_no_visits() {
        assert!(Clients::new(vec![], 32).next_visit().is_none());
    }
}
