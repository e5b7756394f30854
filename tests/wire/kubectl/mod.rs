//! Tier `kubectl`: the real kubectl, `$CUTOVER_KUBECTL`, against the lab's clusters.

mod api;
mod terminal;

/// Returns the path of kubectl.
pub fn program() -> String {
    crate::programs::variable("CUTOVER_KUBECTL").to_str().expect("the path should be UTF-8").to_owned()
}
