//! Resolves the names of instances.

use std::collections::BTreeSet;
use std::io;
use std::net::ToSocketAddrs;

/// Returns the address of the runtime API for each address that `NAME:PORT` has now, sorted.
///
/// # Errors
/// Returns the error of the resolver, also if the name has no address.
pub fn addresses(name: &str) -> io::Result<Vec<String>> {
    let found: BTreeSet<String> = name.to_socket_addrs()?.map(|address| format!("tcp://{address}")).collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found.into_iter().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_one_instance() {
        assert_eq!(addresses("127.0.0.1:9999").unwrap(), ["tcp://127.0.0.1:9999"]);
        // RFC 6761: the name never has an address.
        assert!(addresses("haproxy.invalid:9999").is_err());
    }
}
