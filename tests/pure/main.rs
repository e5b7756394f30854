//! What needs nothing: no clock, no socket, no process. What plans mean, what the pages say, the rules by themselves,
//! and the shape of this tree.

mod contracts;
mod corpus;
mod examples;
mod pages;
mod plan;
mod protocol;
mod rooms;
#[path = "../support/mod.rs"]
mod support;
mod tree;
mod verdicts;
