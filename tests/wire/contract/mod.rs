//! Tier `contract`: moto, boto3, the `aws` CLI and foreign parsers, in the virtual environment `$CUTOVER_VENV` of
//! `tests/requirements.txt`.

pub mod aws;
mod awscli;
mod cloudwatch;
pub mod moto;
mod parsers;
mod run;
