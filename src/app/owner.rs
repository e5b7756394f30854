//! Who runs this process: `alice@mac`.

/// The user and the machine's name, as far as the environment and the system tell.
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
