//! Generates the part of the break-glass script that restores the weights of HAProxy's backends, with the tools that such
//! a host has: bash, or socat.

use std::collections::BTreeMap;

use super::content::weights;
use crate::base::haproxy::Backend;
use crate::domain::traffic::RouteContent;

/// The maximum length of a line of commands. HAProxy reads a line into a buffer of 16 KiB by default (`tune.bufsize`).
const MAX_LINE: usize = 8_000;

/// Returns the shell commands that restore the content of each route. A route is restored completely before the next;
/// the variable `haproxy_failed` has the number of routes that were not restored. A content that this build cannot write
/// is left out.
pub fn script(routes: &[(Backend, &RouteContent)]) -> String {
    let command = |(backend, content): &(Backend, &RouteContent)| match backend.map_file() {
        Some(file) => Some(restore_map(backend, &file, content)),
        None => Some(restore(backend, &weights(backend, content).ok()?)),
    };
    routes.iter().filter_map(command).fold(HEAD.to_owned(), |text, command| text + &command)
}

/// Returns the command that restores the number of slots of each backend of a map.
fn restore_map(map: &Backend, file: &str, content: &RouteContent) -> String {
    let prefix = map.group("");
    let members = content.split.members.iter();
    let wanted: Vec<_> =
        members.map(|m| format!("{} {}", m.id.strip_prefix(&prefix).unwrap_or(&m.id), m.weight.unwrap_or(0))).collect();
    let words = [map.label(), map.address.clone(), file.to_owned(), wanted.join(" ")];
    format!("restore_map {}\n", words.map(|word| quote(&word)).join(" "))
}

/// Returns the command that restores a backend. Weights above 0 come first, so that at no time all weights are 0.
fn restore(backend: &Backend, weights: &BTreeMap<String, u32>) -> String {
    let mut ordered: Vec<_> = weights.iter().collect();
    ordered.sort_by_key(|(_, weight)| **weight == 0);
    let mut lines: Vec<String> = vec![String::new()];
    for (server, weight) in ordered {
        let command = format!("set server {}/{server} weight {weight}", backend.name);
        match lines.last_mut() {
            Some(line) if !line.is_empty() && line.len() + command.len() < MAX_LINE => {
                line.extend([";", &command]);
            }
            Some(line) if line.is_empty() => *line = command,
            _ => lines.push(command),
        }
    }
    let words = [backend.label(), backend.address.clone()].into_iter().chain(lines);
    format!("restore_haproxy {}\n", words.map(|word| quote(&word)).collect::<Vec<_>>().join(" "))
}

/// Quotes a text as one word of a shell command.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

const HEAD: &str = r#"
# HAProxy: the weights of the start of the run, through the runtime API. Addresses tcp:// need socat or bash. Addresses
# unix: need socat, on the host of that HAProxy. A reload of HAProxy forgets these weights again.
haproxy_failed=0
runtime() {
    case $1 in
    unix:*) printf '%s\n' "$2" | socat -t 10 - "UNIX-CONNECT:${1#unix:}" ;;
    *)
        at=${1#tcp://}
        if command -v socat >/dev/null; then
            printf '%s\n' "$2" | socat -t 10 - "TCP:$at,connect-timeout=5"
        else
            bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "%s\n" "$2" >&3 && cat <&3' "${at%:*}" "${at##*:}" "$2"
        fi
        ;;
    esac
}
# HAProxy answers an accepted command with an empty line.
restore_haproxy() {
    label=$1 address=$2
    shift 2
    for line in "$@"; do
        if ! answer=$(runtime "$address" "$line" 2>&1) || [ -n "$answer" ]; then
            echo "NOT RESTORED $label: ${answer:-no answer}" >&2
            haproxy_failed=$((haproxy_failed + 1))
            return
        fi
    done
    echo "restored    $label"
}
# Gives slots of backends that have too many to those that have too few.
restore_map() {
    label=$1 address=$2 file=$3 wanted=$4
    changes=$(runtime "$address" "show map $file" | awk -v file="$file" -v wanted="$wanted" '
        BEGIN { n = split(wanted, w, " "); for (i = 1; i < n; i += 2) open[w[i]] = w[i + 1] }
        NF >= 3 { key[++slots] = $2; value[slots] = $3; open[$3]-- }
        END {
            for (i = slots; i > 0; i--) {
                if (open[value[i]] >= 0) continue
                for (b in open) if (open[b] > 0) {
                    open[b]--; open[value[i]]++
                    printf "%sset map %s %s %s", (n2 % 50 ? ";" : n2 ? "\n" : ""), file, key[i], b
                    n2++
                    break
                }
            }
            if (n2) print ""
            for (b in open) if (open[b] != 0) print "the slots of " b " do not fit"
        }')
    old_ifs=$IFS IFS='
'
    set -f
    # shellcheck disable=SC2086
    set -- $changes
    IFS=$old_ifs
    set +f
    restore_haproxy "$label" "$address" "$@"
}

"#;

#[cfg(test)]
mod tests {
    use super::super::map::map_content;
    use super::*;

    #[test]
    fn map_is_restored_by_its_numbers_of_slots() {
        let map = Backend::of_map("unix:/run/haproxy/admin.sock", "/etc/haproxy/shares.map");
        let slots: Vec<_> = (0..100).map(|n| (n.to_string(), "webapp-a".to_owned())).collect();
        let managed = ["webapp-a".to_owned(), "webapp-b".to_owned()];
        let content = map_content(&map, &managed, &slots, String::new());
        let text = script(&[(map, &content)]);
        assert_eq!(
            text.lines().last().unwrap(),
            "restore_map '/etc/haproxy/shares.map on /run/haproxy/admin.sock' 'unix:/run/haproxy/admin.sock' \
             '/etc/haproxy/shares.map' 'webapp-a 100 webapp-b 0'"
        );
    }

    #[test]
    fn weights_above_zero_come_first() {
        let backend = Backend::parse("haproxy:tcp://10.0.1.10:9999/webapp").unwrap();
        let line = restore(&backend, &[("a-1".to_owned(), 0), ("b-1".to_owned(), 100)].into());
        assert_eq!(
            line.trim_end(),
            "restore_haproxy 'webapp on 10.0.1.10:9999' 'tcp://10.0.1.10:9999' \
             'set server webapp/b-1 weight 100;set server webapp/a-1 weight 0'"
        );
    }
}
