//! The network settings by each kind of connection: a real proxy, and servers whose certificate a private authority
//! signed, all on loopback. `help network` has the same table.

mod cells;
mod plugin;
mod secrets;
mod world;
