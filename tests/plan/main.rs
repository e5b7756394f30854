//! The plan file: what plans mean, what is said of wrong ones, and the weights that shares come to.

mod broken;
mod file;
mod gates;
mod hooks;
mod notifications;
mod shares;
