//! Everything that the command line, a scheduler's call, a controller and a page share: connecting the ports, finding,
//! preparing, starting, following and steering runs, and their view. A surface shows and asks through
//! [`surface::Surface`]. Nothing here uses a module of a surface, and nothing here decides what a run does next.

pub mod audience;
pub mod connect;
pub mod drive;
pub mod due;
pub mod exit;
pub mod find;
pub mod follow;
pub mod identity;
pub mod names;
pub mod notify;
pub mod owner;
pub mod prepare;
pub mod start;
pub mod state_store;
pub mod steer;
pub mod surface;
pub mod telemetry;
pub mod view;
