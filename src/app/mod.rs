//! What the command line, a scheduler's call, a controller and a page share: wiring of the ports, finding and preparing runs, beginning,
//! following and steering them, their view. What a surface shows and asks comes in through [`surface::Surface`]; no room of a surface is used.

pub mod audience;
pub mod begin;
pub mod drive;
pub mod due;
pub mod exit;
pub mod find;
pub mod follow;
pub mod identity;
pub mod names;
pub mod notify;
pub mod owner;
pub mod place;
pub mod prepare;
pub mod steer;
pub mod surface;
pub mod telemetry;
pub mod view;
pub mod world;
