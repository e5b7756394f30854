//! Tier `kubectl`: the real one, which is `$CUTOVER_KUBECTL`, under the lab's clusters.

mod api;
mod terminal;

/// kubectl.
pub fn program() -> String {
    crate::programs::variable("CUTOVER_KUBECTL").to_str().expect("UTF-8").to_owned()
}
