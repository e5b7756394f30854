//! The names of the attributes of a [`LoadBalancer`](crate::domain::elb::balancer::LoadBalancer) that is a backend of
//! HAProxy.

/// The type of the load balancer.
pub const KIND: &str = "haproxy";
/// The version of HAProxy, such as `2.6.12`.
pub const VERSION: &str = "version";
/// The level of the socket: `user`, `operator` or `admin`.
pub const LEVEL: &str = "level";
/// The balancing algorithm, such as `roundrobin`.
pub const ALGORITHM: &str = "algorithm";
/// The name of the cookie that binds clients to servers; empty without such a cookie.
pub const COOKIE: &str = "cookie";
/// The names of the backup servers, separated by spaces.
pub const BACKUPS: &str = "backups";
