//! Interprets the answers of the runtime API: `show info`, `show stat`, and the texts of refusals
//! (<https://docs.haproxy.org/2.6/management.html#9.3>).

use crate::domain::traffic::Unreadable;

/// The parts of `show info` that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The version, such as `2.6.12-1+deb12u4`.
    pub version: String,
    /// The process id of the worker.
    pub pid: u32,
    /// The time at which the worker started, in seconds since 1970, from HAProxy 2.4 on.
    pub started: Option<u64>,
}

/// The parts of `show stat` that matter for a backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatBackend {
    /// The mode: `http` or `tcp`.
    pub mode: String,
    /// The balancing algorithm, such as `roundrobin`; empty if HAProxy does not tell.
    pub algorithm: String,
    /// The name of the cookie that binds clients to servers; empty without such a cookie.
    pub cookie: String,
    /// The names of the backup servers.
    pub backups: Vec<String>,
}

/// Parses the answer to `show info`.
///
/// # Errors
/// Returns what is missing.
pub fn parse_info(answer: &str) -> Result<Info, String> {
    let field = |name: &str| {
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(|text| text.trim().to_owned())
    };
    let pid = field("Pid").and_then(|pid| pid.parse().ok()).ok_or("`show info` has no valid Pid")?;
    let started = field("Start_time_sec").and_then(|time| time.parse().ok());
    Ok(Info { version: field("Version").unwrap_or_default(), pid, started })
}

impl Info {
    /// Returns a text that differs after a reload or restart of HAProxy.
    pub fn process(&self) -> String {
        match self.started {
            Some(started) => format!("pid {} started at {started}", self.pid),
            None => format!("pid {}", self.pid),
        }
    }
}

/// Parses the answer to `show stat` for one backend.
///
/// # Errors
/// Returns what is missing.
pub fn parse_stat(answer: &str) -> Result<StatBackend, String> {
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    let header = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or("`show stat` has no header")?;
    let columns: Vec<&str> = header.split(',').collect();
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    let value = |row: &[String], name: &str| {
        let at = columns.iter().position(|column| *column == name);
        at.and_then(|at| row.get(at)).cloned().unwrap_or_default()
    };
    let backend = rows.iter().find(|row| value(row, "svname") == "BACKEND").ok_or("`show stat` has no backend")?;
    let servers = rows.iter().filter(|row| value(row, "type") == "2");
    Ok(StatBackend {
        mode: value(backend, "mode"),
        algorithm: value(backend, "algo"),
        cookie: value(backend, "cookie"),
        backups: servers.filter(|row| value(row, "bck") == "1").map(|row| value(row, "svname")).collect(),
    })
}

/// Splits a line of CSV. A quoted cell may contain commas and doubled quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut all, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    all.push(cell);
    all
}

/// Whether weights other than 0 and 100 % work with an algorithm at run time; `None` if that depends on `hash-type`,
/// which HAProxy does not tell (<https://docs.haproxy.org/2.6/configuration.html#4.2-balance>).
pub fn is_dynamic(algorithm: &str) -> Option<bool> {
    match algorithm {
        "roundrobin" | "leastconn" | "random" | "first" => Some(true),
        "static-rr" => Some(false),
        _ => None,
    }
}

/// Splits what HAProxy sent into the answers to the commands of one line. Each answer ends with an empty line. Returns
/// fewer answers than commands if HAProxy ended the connection early.
pub fn answers(text: &str) -> Vec<String> {
    let (mut all, mut answer) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        answer.push_str(line);
        if line == "\n" {
            all.push(std::mem::take(&mut answer));
        }
    }
    all
}

/// Returns why HAProxy refused a command; `None` if the answer is not a refusal.
pub fn problem(answer: &str) -> Option<Unreadable> {
    let text = answer.trim();
    let first = text.lines().next().unwrap_or_default();
    Some(match first {
        text if text.starts_with("Permission denied") => Unreadable::Denied(
            "the socket has not the level admin, so weights cannot be written: add `level admin` to its `stats socket` \
             line"
                .to_owned(),
        ),
        "Can't find backend." | "No such backend." | "No such proxy." => {
            Unreadable::NotFound("HAProxy has no such backend".to_owned())
        }
        "No such server." => Unreadable::NotFound("HAProxy has no such server".to_owned()),
        text if text.starts_with("Unknown command") => {
            Unreadable::Setup("this HAProxy is too old: it does not know a command that cutover needs".to_owned())
        }
        text if text.starts_with("Backend is using a static LB algorithm") => Unreadable::Setup(
            "the balancing algorithm of the backend is static and takes only the shares 0 and 100 %: use `balance \
             roundrobin`, `leastconn` or `random`"
                .to_owned(),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_names_the_process() {
        let info = parse_info("Name: HAProxy\nVersion: 2.6.12\nPid: 22508\nUptime_sec: 9\nStart_time_sec: 1796\n\n");
        assert_eq!(info, Ok(Info { version: "2.6.12".into(), pid: 22508, started: Some(1796) }));
        assert!(parse_info("Name: HAProxy\n\n").is_err());
    }

    #[test]
    fn stat_has_algorithm_cookie_and_backups() {
        let answer = "# pxname,svname,bck,type,last_chk,cookie,mode,algo,\n\
            webapp,a-1,0,2,\"no, \"\"not\"\" yet\",a1,http,,\nwebapp,a-2,1,2,,,http,,\n\
            webapp,BACKEND,0,1,,SRV,http,source,\n\n";
        let found = parse_stat(answer).unwrap();
        assert_eq!((found.algorithm.as_str(), found.cookie.as_str(), found.mode.as_str()), ("source", "SRV", "http"));
        assert_eq!(found.backups, ["a-2"]);
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        assert_eq!(answers("\n\nNo such server.\n\n"), ["\n", "\n", "No such server.\n\n"]);
        assert_eq!(answers("Pid: 7\n\n1\n# srv"), ["Pid: 7\n\n"]);
    }

    #[test]
    fn each_refusal_has_its_own_message() {
        assert!(matches!(problem("Permission denied\n\n"), Some(Unreadable::Denied(_))));
        assert!(matches!(problem("Can't find backend.\n\n"), Some(Unreadable::NotFound(_))));
        assert!(matches!(problem("Unknown command, but maybe\n  show\n\n"), Some(Unreadable::Setup(_))));
        assert!(matches!(problem("Unknown command: 'set', but maybe\n  show\n\n"), Some(Unreadable::Setup(_))));
        let statically = "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n\n";
        assert!(matches!(problem(statically), Some(Unreadable::Setup(why)) if why.contains("roundrobin")));
        assert_eq!(problem("\n"), None);
    }
}
