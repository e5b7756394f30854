//! The code that every surface shares (the command line, a scheduler's call, a controller, a page): connecting the
//! ports, finding, preparing, starting, following and steering runs, and the view of a run. A surface shows and asks
//! through [`surface::Surface`]. Code here uses no module of a surface, and does not decide what a run does next.

pub mod access;
pub mod break_glass;
pub mod comparison;
pub mod connect;
pub mod connections;
pub mod done;
pub mod drive;
pub mod due;
pub mod elsewhere;
pub mod exit;
pub mod find;
pub mod finished_waves;
pub mod follow;
pub mod identity;
pub mod live;
pub mod names;
pub mod notify;
pub mod owner;
pub mod prepare;
pub mod start;
pub mod state_store;
pub mod steer;
pub mod subscriber;
pub mod surface;
pub mod telemetry;
pub mod view;
pub mod waves;
