//! Parses the answer to `show servers state BACKEND`. The columns and their values: <https://docs.haproxy.org/2.6/management.html#9.3-show%20servers%20state>.

/// The health of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHealth {
    /// The server passes its checks.
    Healthy,
    /// The server was not checked yet. HAProxy already sends requests to it.
    Initial,
    /// The server fails its checks.
    Unhealthy,
    /// The server is in maintenance, drains or stops, with an explanation.
    Leaving(&'static str),
    /// The server has no health check.
    Unchecked,
}

/// A server of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name of the server.
    pub name: String,
    /// The address of the server; empty if unknown.
    pub address: String,
    /// The port of the server.
    pub port: u16,
    /// The weight that counts now, 0–256.
    pub weight: u32,
    /// The weight of the configuration, 0–256.
    pub initial_weight: u32,
    /// `srv_op_state`: 0 stopped, 1 starting, 2 running, 3 stopping.
    operation: u32,
    /// `srv_admin_state`: bits for maintenance (0x01–0x04, 0x20, 0x40) and drain (0x08, 0x10); 0 if neither.
    administration: u32,
    /// `srv_check_state`: bits, of which 0x02 is configured and 0x04 is enabled.
    check: u32,
    /// `srv_check_status`: 0 or 1 if no check has started yet. While a check is in progress, HAProxy shows no result of
    /// the earlier ones, so only the state of the server tells its health.
    status: u32,
}

/// Parses the answer to `show servers state BACKEND`.
///
/// # Errors
/// Returns what is missing or malformed.
pub fn parse_servers(answer: &str) -> Result<Vec<Server>, String> {
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    if lines.next().map(str::trim) != Some("1") {
        return Err("`show servers state` has a format that this version does not know".to_owned());
    }
    let header = lines.next().and_then(|line| line.strip_prefix('#')).ok_or("`show servers state` has no header")?;
    let columns: Vec<&str> = header.split_whitespace().collect();
    lines.map(|line| server(&columns, line)).collect()
}

fn server(columns: &[&str], line: &str) -> Result<Server, String> {
    let values: Vec<&str> = line.split_whitespace().collect();
    let text = |name: &str| {
        let value = columns.iter().position(|column| *column == name).and_then(|at| values.get(at));
        value.copied().ok_or_else(|| format!("`show servers state` has no column {name} in `{line}`"))
    };
    let number = |name: &str| {
        let value = text(name)?;
        value.parse::<u32>().map_err(|_| format!("`show servers state` has the value `{value}` in the column {name}"))
    };
    Ok(Server {
        name: text("srv_name")?.to_owned(),
        address: text("srv_addr")?.trim_matches('-').to_owned(),
        port: text("srv_port").ok().and_then(|port| port.parse().ok()).unwrap_or(0),
        weight: number("srv_uweight")?,
        initial_weight: number("srv_iweight")?,
        operation: number("srv_op_state")?,
        administration: number("srv_admin_state")?,
        check: number("srv_check_state")?,
        status: number("srv_check_status")?,
    })
}

impl Server {
    /// Whether HAProxy checks the health of the server.
    pub fn is_checked(&self) -> bool {
        self.check & 0x06 == 0x06
    }

    /// Returns the health of the server. A server at weight 0 is checked as any other server, although HAProxy's page of
    /// statistics calls it `DRAIN`.
    pub fn health(&self) -> ServerHealth {
        match self.operation {
            _ if self.administration & 0x67 != 0 => ServerHealth::Leaving("is in maintenance"),
            _ if self.administration & 0x18 != 0 => ServerHealth::Leaving("drains"),
            _ if !self.is_checked() => ServerHealth::Unchecked,
            0 => ServerHealth::Unhealthy,
            3 => ServerHealth::Leaving("is stopping"),
            _ if self.status <= 1 => ServerHealth::Initial,
            _ => ServerHealth::Healthy,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As HAProxy 2.6.12 answers.
    pub const ANSWER: &str = "1\n\
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
        srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
        bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
        srv_agent_addr srv_agent_port\n\
        3 webapp 1 a-1 127.0.0.1 2 0 20 100 1 15 3 4 6 0 0 0 - 18101 - 0 0 - - 0\n\
        3 webapp 2 a-2 127.0.0.1 0 0 10 50 1 8 2 0 6 0 0 0 - 18102 - 0 0 - - 0\n\
        3 webapp 3 b-1 127.0.0.1 2 0 0 0 1 15 3 4 6 0 0 0 - 18103 - 0 0 - - 0\n\
        3 webapp 4 x-1 127.0.0.1 2 0 1 1 1 1 0 2 0 0 0 0 - 18104 - 0 0 - - 0\n\n";

    #[test]
    fn servers_have_weights_and_health() {
        let servers = parse_servers(ANSWER).unwrap();
        let seen: Vec<_> = servers.iter().map(|s| (s.name.as_str(), s.weight, s.initial_weight, s.health())).collect();
        assert_eq!(
            seen,
            [
                ("a-1", 20, 100, ServerHealth::Healthy),
                ("a-2", 10, 50, ServerHealth::Unhealthy),
                ("b-1", 0, 0, ServerHealth::Healthy),
                ("x-1", 1, 1, ServerHealth::Unchecked),
            ],
            "a server at weight 0 is healthy if its checks pass"
        );
        assert_eq!(servers[0].port, 18101);
    }

    #[test]
    fn maintenance_and_drain_do_not_count_as_healthy() {
        let with = |change: fn(&mut Server)| {
            let mut server = parse_servers(ANSWER).unwrap().remove(0);
            change(&mut server);
            server.health()
        };
        for change in [
            |s: &mut Server| s.administration = 1,
            |s: &mut Server| s.administration = 8,
            |s: &mut Server| s.operation = 3,
        ] {
            assert!(matches!(with(change), ServerHealth::Leaving(_)));
        }
        assert_eq!(with(|s| (s.status, s.check) = (2, 7)), ServerHealth::Healthy, "a check is in progress");
        assert_eq!(with(|s| s.status = 1), ServerHealth::Initial, "HAProxy sends requests before the first check");
    }

    #[test]
    fn malformed_answers_are_errors() {
        for answer in ["", "2\n# be_id\n", "1\n3 webapp", "1\n# be_id srv_name\n3\n"] {
            assert!(parse_servers(answer).is_err(), "{answer:?}");
        }
        assert!(parse_servers(&ANSWER.replace(" 20 100 ", " x 100 ")).unwrap_err().contains("srv_uweight"));
    }
}
