//! The lab's wire: what real clients speak to, as functions from request to answer.

pub mod kube;
