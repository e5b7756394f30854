//! Tier `contract`: moto, boto3, the `aws` CLI and other parsers, from the virtual environment `$CUTOVER_VENV` with
//! `tests/requirements.txt`.

pub mod aws;
mod awscli;
mod cloudwatch;
pub mod moto;
mod parsers;
mod platform;
mod run;
