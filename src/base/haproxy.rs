//! Parses the ids of HAProxy's backends and sets of servers. All knowledge of these ids belongs here; what a backend does
//! belongs in [`domain::haproxy`](crate::domain::haproxy).

/// The prefix of the ids of everything on HAProxy.
pub const PREFIX: &str = "haproxy:";

/// The beginning of the name of a map in an id. A name of a backend has no `@`.
const MAP: &str = "map@";

/// Whether a text can be the name of a backend or a server
/// (<https://docs.haproxy.org/2.6/configuration.html#4-Proxies>: letters, digits, `-`, `_`, `.`, `:`).
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

/// Whether a text can be a glob of the names of servers.
pub fn is_glob(text: &str) -> bool {
    is_name(&text.replace(['*', '?'], "x"))
}

/// Whether an id names something on HAProxy.
pub fn is_haproxy(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// A backend of one HAProxy instance, which is one route. Its id is `haproxy:ADDRESS/BACKEND`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The address of the runtime API: `tcp://HOST:PORT` or `unix:PATH`.
    pub address: String,
    /// The name of the backend.
    pub name: String,
}

/// The servers of a backend whose names match a glob, which are one member of the route. The id of the group is
/// `haproxy:ADDRESS/BACKEND/GLOB`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The backend.
    pub backend: Backend,
    /// The glob of the names of the servers, or the name of one server.
    pub glob: String,
}

impl Backend {
    /// Parses the id of a route; `None` if the text is not such an id.
    pub fn parse(id: &str) -> Option<Self> {
        let (address, name) = id.strip_prefix(PREFIX)?.rsplit_once('/')?;
        (is_address(address) && !name.is_empty()).then(|| Self { address: address.to_owned(), name: name.to_owned() })
    }

    /// Returns the id of the route.
    pub fn id(&self) -> String {
        format!("{PREFIX}{}/{}", self.address, self.name)
    }

    /// Returns the id of a group of this backend.
    pub fn group(&self, glob: &str) -> String {
        format!("{}/{glob}", self.id())
    }

    /// Returns a map in place of a backend: a table whose slots name backends.
    pub fn of_map(address: &str, file: &str) -> Self {
        let name = format!("{MAP}{}", file.replace('%', "%25").replace('/', "%2F"));
        Self { address: address.to_owned(), name }
    }

    /// Returns the path of the file of a map; `None` for a backend.
    pub fn map_file(&self) -> Option<String> {
        Some(self.name.strip_prefix(MAP)?.replace("%2F", "/").replace("%25", "%"))
    }

    /// Returns the name in messages, such as `webapp on 10.0.1.10:9999`.
    pub fn label(&self) -> String {
        format!("{} on {}", self.map_file().unwrap_or_else(|| self.name.clone()), self.place())
    }

    /// Returns the address without its scheme.
    pub fn place(&self) -> &str {
        let address = self.address.strip_prefix("tcp://").unwrap_or(&self.address);
        address.strip_prefix("unix:").unwrap_or(address)
    }
}

impl Group {
    /// Returns the name of the backend that has the servers of the group, and the glob of their names. The groups of a
    /// map are whole backends.
    pub fn servers(&self) -> (&str, &str) {
        if self.backend.name.starts_with(MAP) { (&self.glob, "*") } else { (&self.backend.name, &self.glob) }
    }

    /// Parses the id of a group; `None` if the text is not such an id.
    pub fn parse(id: &str) -> Option<Self> {
        let (backend, glob) = id.rsplit_once('/')?;
        Some(Self { backend: Backend::parse(backend)?, glob: glob.to_owned() }).filter(|group| !group.glob.is_empty())
    }
}

/// Whether a text is an address of a runtime API: `tcp://HOST:PORT` or `unix:PATH`.
pub fn is_address(text: &str) -> bool {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    match (text.strip_prefix("tcp://"), text.strip_prefix("unix:")) {
        (Some(address), _) => {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
        }
        (None, Some(path)) => path.starts_with('/') && path.len() > 1,
        (None, None) => false,
    }
}

/// Whether a name matches a glob, in which `*` stands for any characters and `?` for one character.
pub fn matches(glob: &str, name: &str) -> bool {
    match glob.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(&glob[1..], &name[at..]))
        }
        Some(wanted) => {
            let mut rest = name.chars();
            rest.next().is_some_and(|c| wanted == '?' || c == wanted)
                && matches(&glob[wanted.len_utf8()..], rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_address_backend_and_servers() {
        for address in ["tcp://10.0.1.10:9999", "unix:/run/haproxy/admin.sock", "tcp://[::1]:9999"] {
            let backend = Backend { address: address.to_owned(), name: "webapp".to_owned() };
            assert_eq!(Backend::parse(&backend.id()), Some(backend.clone()));
            let group = Group { backend: backend.clone(), glob: "a-*".to_owned() };
            assert_eq!(Group::parse(&backend.group("a-*")), Some(group));
        }
        for id in ["arn:aws:x", "haproxy:webapp", "haproxy:tcp://10.0.1.10/webapp", "haproxy:unix:run/webapp"] {
            assert_eq!(Backend::parse(id), None, "{id}");
        }
    }

    #[test]
    fn map_is_named_by_its_file() {
        let map = Backend::of_map("tcp://10.0.1.10:9999", "/etc/haproxy/a%2Fb.map");
        assert_eq!(Backend::parse(&map.id()), Some(map.clone()));
        assert_eq!(map.map_file().as_deref(), Some("/etc/haproxy/a%2Fb.map"));
        let group = Group::parse(&map.group("webapp-a")).unwrap();
        assert_eq!((group.backend.clone(), group.servers()), (map, ("webapp-a", "*")));
    }

    #[test]
    fn globs_match_names_of_servers() {
        for (glob, name) in [("a-*", "a-1"), ("*", ""), ("a-?", "a-1"), ("*-a-*", "x-a-b"), ("a", "a")] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [("a-*", "b-1"), ("a-?", "a-12"), ("a", "ab"), ("", "a")] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }
}
