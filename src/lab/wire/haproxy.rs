//! HAProxy's runtime API: carries out a line of commands, and writes the answers as HAProxy 2.6 does
//! (<https://docs.haproxy.org/2.6/management.html#9.3>). Faults and latency belong to the model.

use std::fmt::Write as _;

use crate::lab::model::{LabTargetState, World};

/// The version that `show info` tells.
const VERSION: &str = "2.6.12";

/// Whether a line has a command that changes something.
pub fn mutating(line: &str) -> bool {
    line.split(';').any(|command| !matches!(command.split_whitespace().next(), None | Some("show" | "get" | "prepare")))
}

/// Carries out the commands of a line on an instance. Each answer ends with an empty line.
pub fn answer(world: &mut World, address: &str, line: &str) -> String {
    let mut text = String::new();
    for command in line.trim_end().split(';') {
        let words: Vec<&str> = command.split_whitespace().collect();
        text += &one(world, address, &words).unwrap_or_else(|refusal| refusal);
        text.push('\n');
    }
    world.apply_weights(address);
    text
}

/// Returns the answer to one command, or the text of the refusal.
fn one(world: &mut World, address: &str, words: &[&str]) -> Result<String, String> {
    match words {
        ["show", "info"] => Ok(info(world, address)),
        ["show", "cli", "level"] => Ok("admin\n".to_owned()),
        ["show", "stat", backend, ..] => stat(world, address, backend),
        ["show", "servers", "state", backend] => servers(world, address, backend),
        ["get", "weight", server] => {
            let (group, at) = find(world, address, server)?;
            let server = &world.groups[group].servers[at];
            Ok(format!("{} (initial {})\n", server.weight, server.configured))
        }
        ["set", "server", server, "weight", weight] => {
            let (group, at) = find(world, address, server)?;
            let weight = weight.parse::<u32>().ok().filter(|weight| *weight <= 256);
            world.groups[group].servers[at].weight =
                weight.ok_or("Absolute weight can only be between 0 and 256 inclusive.\n")?;
            Ok(String::new())
        }
        ["show", "map", file] => {
            let slots = &frontend(world, address, file)?.slots;
            let line =
                |(n, (key, backend)): (usize, &(String, String))| format!("{:#x} {key} {backend}\n", 4096 + n * 64);
            Ok(slots.iter().enumerate().map(line).collect())
        }
        ["set", "map", file, key, backend] => {
            let slots = &mut frontend(world, address, file)?.slots;
            let slot = slots.iter_mut().find(|(own, _)| own == key).ok_or("entry not found.\n")?;
            (*backend).clone_into(&mut slot.1);
            Ok(String::new())
        }
        ["prepare", "map", file] => {
            frontend(world, address, file)?;
            let process = process(world, address)?;
            let version = process.prepared.keys().next_back().map_or(1, |last| last + 1);
            process.prepared.insert(version, Vec::new());
            Ok(format!("New version created: {version}\n"))
        }
        ["add", "map", version, _, key, backend] => {
            prepared(world, address, version)?.push(((*key).to_owned(), (*backend).to_owned()));
            Ok(String::new())
        }
        ["clear", "map", version, _] => {
            prepared(world, address, version)?.clear();
            Ok(String::new())
        }
        ["commit", "map", version, file] => {
            let slots = std::mem::take(prepared(world, address, version)?);
            frontend(world, address, file)?.slots = slots;
            Ok(String::new())
        }
        _ => Err("Unknown command, but maybe one of the following ones is a better match:\n".to_owned()),
    }
}

fn process<'w>(world: &'w mut World, address: &str) -> Result<&'w mut crate::lab::model::Process, String> {
    world.processes.iter_mut().find(|process| process.address == address).ok_or_else(String::new)
}

fn prepared<'w>(world: &'w mut World, address: &str, version: &str) -> Result<&'w mut Vec<(String, String)>, String> {
    let number = version.strip_prefix('@').and_then(|number| number.parse().ok()).unwrap_or(0_u64);
    let found = process(world, address)?.prepared.get_mut(&number);
    found.ok_or_else(|| "Version number in the future, please use 'prepare map' before.\n".to_owned())
}

fn frontend<'w>(
    world: &'w mut World,
    address: &str,
    file: &str,
) -> Result<&'w mut crate::lab::model::Frontend, String> {
    let found = world.map_of(address, file).and_then(|at| world.balancers[at].haproxy.as_mut());
    found.ok_or_else(|| "Unknown map identifier. Please use #<id> or <file>.\n".to_owned())
}

/// Returns the group and the position of a server, `BACKEND/SERVER`.
fn find(world: &World, address: &str, server: &str) -> Result<(usize, usize), String> {
    let (backend, name) = server.split_once('/').ok_or("Require 'backend/server'.\n")?;
    let groups = groups(world, address, backend).map_err(|_| "No such backend.\n")?;
    let position = |group: &usize| {
        world.groups[*group].servers.iter().position(|server| server.name == name).map(|at| (*group, at))
    };
    groups.iter().find_map(position).ok_or_else(|| "No such server.\n".to_owned())
}

fn groups(world: &World, address: &str, backend: &str) -> Result<Vec<usize>, String> {
    let found = world.backend_groups(address, backend);
    if found.is_empty() { Err("Can't find backend.\n".to_owned()) } else { Ok(found) }
}

fn info(world: &World, address: &str) -> String {
    let now = world.time();
    let process = world.processes.iter().find(|process| process.address == address);
    process.map_or_else(String::new, |process| {
        format!(
            "Name: HAProxy\nVersion: {VERSION}\nPid: {}\nUptime_sec: {}\nStart_time_sec: {}\n",
            process.pid,
            now.as_second() - process.started.as_second(),
            process.started.as_second()
        )
    })
}

fn stat(world: &World, address: &str, backend: &str) -> Result<String, String> {
    let mut text = "# pxname,svname,bck,type,cookie,mode,algo,\n".to_owned();
    let groups = groups(world, address, backend).map_err(|_| "No such proxy.\n")?;
    for server in groups.iter().flat_map(|group| &world.groups[*group].servers) {
        let _ = writeln!(text, "{backend},{},0,2,,http,,", server.name);
    }
    let _ = writeln!(text, "{backend},BACKEND,0,1,,http,roundrobin,");
    Ok(text)
}

fn servers(world: &World, address: &str, backend: &str) -> Result<String, String> {
    let mut text = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
                    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
                    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl \
                    srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
        .to_owned();
    let groups = groups(world, address, backend)?;
    let all = groups.iter().flat_map(|group| world.groups[*group].servers.iter().map(|server| (*group, server)));
    for (number, (group, server)) in (1..).zip(all) {
        let (ip, port) = &server.target;
        let target = world.groups[group].targets.get(&server.target);
        // The operational state, the result of the last check, and whether checks are enabled.
        let (state, status, check) = match target.map(|target| &target.state) {
            Some(LabTargetState::Healthy) => (2, 15, 6),
            Some(LabTargetState::Registering | LabTargetState::Checking) => (2, 1, 6),
            Some(LabTargetState::Unchecked) => (2, 0, 0),
            _ => (0, 8, 6),
        };
        let _ = writeln!(
            text,
            "3 {backend} {number} {} {ip} {state} 0 {} {} 1 {status} 3 4 {check} 0 0 0 - {port} - 0 0 - - 0",
            server.name, server.weight, server.configured
        );
    }
    Ok(text)
}
