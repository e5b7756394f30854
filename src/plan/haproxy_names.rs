//! Decodes the addresses, names and globs of HAProxy.

use super::decode::{clip, note};
use super::diagnostic::Diagnostic;
use super::yaml::Node;
use crate::base::finding::Code;
use crate::base::haproxy;

pub(super) fn decode_runtime_address(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("an address", out)?;
    if !haproxy::is_address(text) {
        let message = format!("`{}` is not a valid address of HAProxy's runtime API", clip(text));
        let help = "write `tcp://HOST:PORT`, `unix:/PATH` for a socket on this machine, or `dns://NAME:PORT` for every \
                    address of a name; the port and the path are those of a `stats socket` line of haproxy.cfg";
        note(out, Code::CUT005, node.place, message).help(help);
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn decode_proxy_name(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("a name of a backend", out)?;
    if !haproxy::is_name(text) {
        note(out, Code::CUT007, node.place, format!("`{}` is not a valid name of a backend", clip(text)))
            .help("a name in haproxy.cfg has letters, digits, `-`, `_`, `.` and `:`");
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn decode_map_file(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("a path", out)?;
    if !text.starts_with('/') || text.len() < 2 || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == ';')
    {
        note(out, Code::CUT007, node.place, format!("`{}` is not the path of a map", clip(text)))
            .help("write the absolute path as in haproxy.cfg, such as `/etc/haproxy/shares.map`");
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn decode_server_glob(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("a glob of names of servers", out)?;
    if !haproxy::is_glob(text) {
        note(out, Code::CUT007, node.place, format!("`{}` is not a valid glob for the names of servers", clip(text)))
            .help("a glob has the characters of a name in haproxy.cfg, `*` for any characters and `?` for one");
        return None;
    }
    Some(text.to_owned())
}
