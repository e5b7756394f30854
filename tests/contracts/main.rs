//! What is proven on what: the table `tests/contracts.yaml`, the page made of it, and the lab's column of `tests/kube_contract`.

#[path = "../kube_contract/mod.rs"]
mod cases;
mod examples;
mod kube;
mod table;
