//! Tier `haproxy`: the real HAProxy, `$CUTOVER_HAPROXY`, in front of real HTTP servers, with requests all the while.

mod contract;
mod emergency;
mod fleet;
mod map;
mod shares;
mod trouble;
