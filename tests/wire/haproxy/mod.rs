//! Tier `haproxy`: the real HAProxy, `$CUTOVER_HAPROXY`, in front of real HTTP servers, with requests all the while.

mod clients;
mod emergency;
mod fleet;
mod lab;
mod map;
mod names;
mod shares;
mod trouble;
