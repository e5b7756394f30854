//! Tier `contract`: moto, boto3, the `aws` CLI and the parsers of others, in the virtual environment of `tests/requirements.txt`, which is `$CUTOVER_VENV`.

pub mod aws;
mod awscli;
mod cloudwatch;
pub mod moto;
mod parsers;
mod run;
