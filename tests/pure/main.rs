//! Tests that need no clock, socket or process: the meaning of plans, the help pages, rules, and the structure of the
//! repository.

mod contracts;
mod corpus;
mod examples;
mod pages;
mod permissions;
mod plan;
mod protocol;
mod rooms;
mod runbook;
#[path = "../support/mod.rs"]
mod support;
mod tree;
mod verdicts;
