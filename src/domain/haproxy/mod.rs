//! Represents HAProxy's servers as routes: names, what the runtime API answers, weights, and the commands that change
//! them. Terms of HAProxy belong here, not in `traffic`, `run` or `decide`. Do not open connections here.

mod answer;
pub mod attribute;
mod content;
mod map;
mod order;
mod script;
mod servers;

pub use crate::base::haproxy::{Backend, Group, is_haproxy, matches};
pub use answer::{Info, StatBackend, answers, is_dynamic, parse_info, parse_stat, problem};
pub use content::{ContentError, LIMITS, Servers, content, servers_of, weights};
pub use map::{Slot, map_content, map_limits, new_slots, parse_map};
pub use order::commands;
pub use script::script;
pub use servers::{Server, ServerHealth, parse_servers};
