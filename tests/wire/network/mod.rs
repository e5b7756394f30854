//! The network settings with each kind of connection: a real proxy, and servers whose certificate was signed by a
//! private authority, all on loopback. `cutover help network` has the same table.

mod canaries;
mod cells;
mod certificate;
mod office;
mod origin;
mod plugin;
mod profiles;
mod secrets;
mod servers;
mod settings;
mod socks;
mod table;
