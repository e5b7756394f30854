//! Who runs this process: `alice@mac`.

/// The user and the machine's name, as far as the environment and the system tell.
pub fn owner() -> (String, String) {
    let variable = |names: &[&str]| names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let user = variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "someone".into());
    let host = hostname().or_else(|| variable(&["HOSTNAME", "COMPUTERNAME"])).unwrap_or_else(|| "somewhere".into());
    (format!("{user}@{host}"), host)
}

/// Linux keeps it in a file; elsewhere the environment must do.
fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}
