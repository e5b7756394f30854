//! Determines the owner of this process, such as `alice@mac`.

/// Returns the owner (`user@host`) and the host, from the environment and the system.
pub fn owner() -> (String, String) {
    let variable = |names: &[&str]| names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let user = variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "someone".into());
    let system = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = Some(system)
        .filter(|name| !name.is_empty())
        .or_else(|| variable(&["HOSTNAME", "COMPUTERNAME"]))
        .unwrap_or_else(|| "somewhere".into());
    (format!("{user}@{host}"), host)
}
