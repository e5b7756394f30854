//! The simulated clients of a rehearsal: which route each request is for, and which clients keep cookies.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::time::later;
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

/// How long a client that keeps cookies stays, in seconds of the lab's time. Then another client takes its place, which
/// has no cookie.
const STAY_SECONDS: std::ops::Range<u64> = 60..1200;

/// Clients that send requests to all routes in turn, always in the same order. Clients that keep cookies come and go:
/// with the same seed and the same times, always in the same way.
#[derive(Debug)]
pub struct Clients {
    samples: Vec<Arc<SampleRequest>>,
    /// The clients that keep cookies, by route.
    jars: Vec<Vec<CookieJar>>,
    sent: usize,
    random: fastrand::Rng,
}

/// The place of one client that keeps its cookie.
#[derive(Debug, Clone, Default)]
struct CookieJar {
    cookie: Option<String>,
    /// When the client leaves; `None` before the first client.
    leaves: Option<Timestamp>,
}

/// One request of one client.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The request that the client sends.
    pub sample: Arc<SampleRequest>,
    /// The group cookie that the client sends.
    pub cookie: Option<String>,
    /// The place of the client in `jars`, and when the client leaves.
    jar: Option<(usize, usize, Option<Timestamp>)>,
}

impl Clients {
    /// Creates the number of clients that the scenario sets, for all managed routes of the lab.
    pub fn for_world(world: &World, seed: u64) -> Self {
        let samples = world.sample_requests().into_iter().map(|(load_balancer, port, host, path)| SampleRequest {
            load_balancer: load_balancer.into(),
            port,
            host: host.into(),
            path: path.into(),
        });
        Self::new(samples.collect(), usize::try_from(world.load().clients).unwrap_or(usize::MAX), seed)
    }

    /// Creates `clients` clients that send these sample requests. Without samples, the clients send nothing.
    pub fn new(samples: Vec<SampleRequest>, clients: usize, seed: u64) -> Self {
        let jars = vec![vec![CookieJar::default(); (clients / COOKIE_CLIENT_RATIO).max(1)]; samples.len()];
        let random = fastrand::Rng::with_seed(seed);
        Self { samples: samples.into_iter().map(Arc::new).collect(), jars, sent: 0, random }
    }

    /// Returns the next request of a client at this time; `None` if there are no sample requests.
    pub fn next_visit(&mut self, now: Timestamp) -> Option<Visit> {
        let routes = self.samples.len();
        let route = self.sent.checked_rem(routes)?;
        let round = self.sent / routes;
        self.sent += 1;
        let sample = Arc::clone(&self.samples[route]);
        if !round.is_multiple_of(COOKIE_CLIENT_RATIO) {
            return Some(Visit { sample, cookie: None, jar: None });
        }
        let place = (round / COOKIE_CLIENT_RATIO) % self.jars[route].len();
        let jar = &mut self.jars[route][place];
        if jar.leaves.is_none_or(|leaves| leaves <= now) {
            let stay = Duration::from_secs(self.random.u64(STAY_SECONDS));
            *jar = CookieJar { cookie: None, leaves: Some(later(now, stay)) };
        }
        Some(Visit { sample, cookie: jar.cookie.clone(), jar: Some((route, place, jar.leaves)) })
    }

    /// Stores the cookie of a response if the client keeps cookies and is still there.
    pub fn store_cookie(&mut self, visit: &Visit, cookie: String) {
        if let Some((route, place, leaves)) = visit.jar
            && self.jars[route][place].leaves == leaves
        {
            self.jars[route][place].cookie = Some(cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> SampleRequest {
        SampleRequest { load_balancer: "lb".into(), port: 80, host: "h".into(), path: path.into() }
    }

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    /// Sends a request of each client, stores a cookie with this name for each that has none, and returns the cookies
    /// that were sent.
    fn visit_all(clients: &mut Clients, visits: usize, now: Timestamp, name: &str) -> Vec<String> {
        let mut sent = Vec::new();
        for n in 0..visits {
            let visit = clients.next_visit(now).expect("clients with samples should have a next visit");
            assert_eq!(visit.sample.path.as_ref(), if n % 2 == 0 { "/a" } else { "/b" });
            sent.extend(visit.cookie.clone());
            if visit.cookie.is_none() {
                clients.store_cookie(&visit, format!("{name}{n}"));
            }
        }
        sent
    }

    #[test]
    fn clients_visit_routes_in_turn_and_one_in_four_keeps_its_cookie() {
        let mut clients = Clients::new(vec![sample("/a"), sample("/b")], 32, 1);
        let visits = 2 * 32;
        assert!(visit_all(&mut clients, visits, at(0), "").is_empty());
        let cookies = visit_all(&mut clients, visits, at(1), "");
        assert_eq!(cookies.len(), visits / COOKIE_CLIENT_RATIO);
        assert_eq!(cookies[..3], ["0", "1", "8"]);
    }

    #[test]
    fn clients_with_cookies_come_and_go() {
        let play = |seed| {
            let mut clients = Clients::new(vec![sample("/a"), sample("/b")], 400, seed);
            let visits = 2 * 400;
            visit_all(&mut clients, visits, at(0), "old");
            let mut old = |minutes: u64| {
                let sent = visit_all(&mut clients, visits, at(minutes * 60), "new");
                sent.iter().filter(|cookie| cookie.starts_with("old")).count()
            };
            [old(0), old(5), old(10), old(20)]
        };
        let [first, five, ten, last] = play(1);
        assert_eq!((first, last), (200, 0), "every client has left after the longest stay");
        assert!(first > five && five > ten && ten > 0, "{first} {five} {ten}");
        assert_eq!(play(1), play(1), "the same seed gives the same clients");
        assert_ne!(play(1), play(2));
    }

    #[test]
    fn a_late_response_gives_no_cookie_to_the_next_client() {
        let mut clients = Clients::new(vec![sample("/a")], 4, 1);
        let visit = clients.next_visit(at(0)).expect("a visit");
        for _ in 1..COOKIE_CLIENT_RATIO {
            clients.next_visit(at(0)).expect("a visit");
        }
        let next = clients.next_visit(at(STAY_SECONDS.end)).expect("a visit of the next client");
        clients.store_cookie(&visit, "late".into());
        assert_eq!((next.cookie, clients.jars[0][0].cookie.clone()), (None, None));
    }

    #[test]
    fn a_lab_without_routes_has_no_visits() {
        assert!(Clients::new(vec![], 32, 1).next_visit(at(0)).is_none());
    }
}
