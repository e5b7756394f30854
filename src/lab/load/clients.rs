//! The clients of a rehearsal: who asks next, for what, and who keeps the cookie that it was given.

use std::sync::Arc;

use crate::lab::model::World;

/// A request that reaches one route of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Name of the load balancer.
    pub load_balancer: Arc<str>,
    /// The listener's port as the plan knows it.
    pub port: u16,
    /// Host.
    pub host: Arc<str>,
    /// Path.
    pub path: Arc<str>,
}

/// One request in this many is from a client that keeps cookies.
const KEEPERS: usize = 4;

/// A population that visits every route in turn, and always in the same order.
#[derive(Debug)]
pub struct Clients {
    samples: Vec<Arc<Sample>>,
    /// By route, and by client among those that keep cookies.
    jars: Vec<Vec<Option<String>>>,
    sent: usize,
}

/// One request of one client.
#[derive(Debug, Clone)]
pub struct Visit {
    /// What it asks for.
    pub sample: Arc<Sample>,
    /// The cookie that it kept.
    pub cookie: Option<String>,
    jar: Option<(usize, usize)>,
}

impl Clients {
    /// As many clients as the world's scenario says, of all its routes.
    pub fn of(world: &World) -> Self {
        let samples = world.reachable().into_iter().map(|(load_balancer, port, host, path)| Sample {
            load_balancer: load_balancer.into(),
            port,
            host: host.into(),
            path: path.into(),
        });
        Self::new(samples.collect(), usize::try_from(world.load().clients).unwrap_or(usize::MAX))
    }

    /// So many clients of these routes; without routes, nobody ever asks.
    pub fn new(samples: Vec<Sample>, clients: usize) -> Self {
        let jars = vec![vec![None; (clients / KEEPERS).max(1)]; samples.len()];
        Self { samples: samples.into_iter().map(Arc::new).collect(), jars, sent: 0 }
    }

    /// Who asks next.
    pub fn visit(&mut self) -> Option<Visit> {
        let routes = self.samples.len();
        let route = self.sent.checked_rem(routes)?;
        let round = self.sent / routes;
        self.sent += 1;
        let jar = round.is_multiple_of(KEEPERS).then_some((route, (round / KEEPERS) % self.jars[route].len()));
        let cookie = jar.and_then(|(route, jar)| self.jars[route][jar].clone());
        Some(Visit { sample: Arc::clone(&self.samples[route]), cookie, jar })
    }

    /// Hands a visitor the cookie that it was given; most throw it away.
    pub fn keep(&mut self, visit: &Visit, cookie: String) {
        if let Some((route, jar)) = visit.jar {
            self.jars[route][jar] = Some(cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> Sample {
        Sample { load_balancer: "lb".into(), port: 80, host: "h".into(), path: path.into() }
    }

    #[test]
    fn routes_are_visited_in_turn_and_one_client_in_four_keeps_its_cookie() {
        let mut clients = Clients::new(vec![sample("/a"), sample("/b")], 32);
        let visits = 2 * 32;
        for n in 0..visits {
            let visit = clients.visit().expect("there are routes");
            assert_eq!(
                (visit.sample.path.as_ref(), visit.cookie.is_none()),
                (if n % 2 == 0 { "/a" } else { "/b" }, true)
            );
            clients.keep(&visit, format!("{n}"));
        }
        let kept: Vec<String> = (0..visits).filter_map(|_| clients.visit()?.cookie).collect();
        assert_eq!(kept.len(), visits / KEEPERS);
        assert_eq!(kept[..3], ["0", "1", "8"]);
    }

    #[test]
    fn a_world_without_routes_has_no_visitors() {
        assert!(Clients::new(vec![], 32).visit().is_none());
    }
}
