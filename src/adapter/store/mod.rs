//! Implementations of the store: a local folder, a cluster's namespace, memory.

pub mod fs;
pub mod kubernetes;
pub mod memory;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use crate::base::arn::Arn;

/// Name of a load balancer's lock, from its ARN: the balancer's name and a hash, in letters, digits and hyphens.
fn lock_name(arn: &str) -> String {
    let hash = Sha256::digest(arn).iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let label = Arn::parse(arn).and_then(|arn| arn.name()).unwrap_or("load-balancer");
    let label: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
    format!("{label}-{hash:016x}")
}

/// Whether the text can be a run's id, and so a folder's name that stays inside the store.
fn is_run_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
