//! Parsers of option values: steps, shares, services, speeds. Each error says how to write the value.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::app::exit::{Exit, Failure};
use crate::base::duration;
use crate::plan::model::{ClusterAccess, Plan, PortRef, ServiceRef, Shares, StateLocation, Step, StepKind};

/// A step, given by its number (counted from 1) or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRef {
    /// The number of the step, counted from 1.
    Number(usize),
    /// The `name` of the step in the plan.
    Name(String),
}

impl StepRef {
    /// Returns the number of the step; `None` if the plan does not have this step. A name that looks like a number is
    /// also found, and so is a `bind` step without a name by `bind`.
    pub fn find(&self, steps: &[Step]) -> Option<usize> {
        let by_name = |name: &str| steps.iter().find(|s| s.name.as_deref() == Some(name)).map(|s| s.number);
        match self {
            Self::Name(name) => by_name(name).or_else(|| {
                let bind = steps.iter().find(|s| name == "bind" && s.kind == StepKind::Bind)?;
                Some(bind.number)
            }),
            Self::Number(n) => {
                by_name(&n.to_string()).or_else(|| steps.iter().find(|s| s.number == *n).map(|s| s.number))
            }
        }
    }
}

/// Returns the number of the step that the command line names.
///
/// # Errors
/// Returns a failure if the plan does not have this step (exit 2).
pub fn step_number(plan: &Plan, reference: Option<&StepRef>) -> Result<Option<usize>, Failure> {
    let Some(reference) = reference else { return Ok(None) };
    let steps = &plan.strategy.steps;
    let names = || steps.iter().filter_map(|s| s.name.as_deref()).collect::<Vec<_>>().join(", ");
    reference.find(steps).map(Some).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("the plan has no step {reference}; the plan has the steps 1 to {}, named {}", steps.len(), names()),
        )
    })
}

/// Parses a reason, which the run journals.
///
/// # Errors
/// The reason is empty.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why, such as `agreed with sales`".to_owned()) } else { Ok(text.to_owned()) }
}

/// Parses the address of HAProxy's runtime API.
///
/// # Errors
/// The address has a different form.
pub fn runtime_api(text: &str) -> Result<String, String> {
    if crate::base::haproxy::is_address(text) {
        return Ok(text.to_owned());
    }
    Err("write tcp://HOST:PORT, or unix:/PATH of a socket on this machine".to_owned())
}

impl FromStr for StepRef {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.into()), Self::Number))
    }
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

/// Parses shares such as `a=100` or `a=50,c=50`: percentages that add up to 100.
pub fn shares(text: &str) -> Result<Shares, String> {
    let mut shares = Shares::new();
    for part in text.split(',') {
        let (cluster, percent) =
            part.split_once('=').ok_or_else(|| format!("`{part}` is not CLUSTER=PERCENT, such as `a=100`"))?;
        let percent: u32 = percent
            .trim_end_matches('%')
            .parse()
            .map_err(|_| format!("`{percent}` is not a whole number of percent"))?;
        if shares.insert(cluster.trim().to_owned(), percent).is_some() {
            return Err(format!("cluster `{cluster}` occurs twice"));
        }
    }
    let sum: u64 = shares.values().copied().map(u64::from).sum();
    if sum == 100 { Ok(shares) } else { Err(format!("the shares add up to {sum}; they must add up to 100")) }
}

/// Parses a service, `NAMESPACE/NAME:PORT`. The port is a number or a name.
pub fn service(text: &str) -> Result<ServiceRef, String> {
    let wrong = || format!("`{text}` is not NAMESPACE/NAME:PORT, such as `webapp/webapp:http`");
    let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
    let (name, port) = rest.split_once(':').ok_or_else(wrong)?;
    if namespace.is_empty() || name.is_empty() || port.is_empty() {
        return Err(wrong());
    }
    let port = port.parse().map_or_else(|_| PortRef::Name(port.into()), PortRef::Number);
    Ok(ServiceRef { namespace: namespace.into(), name: name.into(), port })
}

/// Parses a duration in the format of plans, or `0s`.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration::parse(text).map_err(|why| format!("`{text}` {why}")) }
}

/// Parses a speed, a number greater than 0.
pub fn speed(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("the speed must be greater than 0".into()) }
}

/// The stages of a rollback: ascending percentages, the last of which is 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RampStages(pub Vec<u32>);

/// Parses the stages of a rollback, such as `25,50,100`.
pub fn ramp_stages(text: &str) -> Result<RampStages, String> {
    let percent = |part: &str| {
        part.trim().trim_end_matches('%').parse().map_err(|_| format!("`{part}` is not a whole number of percent"))
    };
    let all = text.split(',').map(percent).collect::<Result<Vec<u32>, _>>()?;
    if !all.is_sorted_by(|a, b| a < b) || all.first() == Some(&0) || all.last() != Some(&100) {
        return Err("the percentages must be ascending and end with 100, such as `25,50,100`".into());
    }
    Ok(RampStages(all))
}

/// Parses a duration in the format of plans, such as `90s`, `10m` or `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|why| format!("`{text}` {why}"))
}

/// Parses the location of the state: `kubernetes:CONTEXT/NAMESPACE`, `eks:NAME/NAMESPACE` or `local`. A context may
/// contain slashes and colons, as ARNs do.
pub fn state(text: &str) -> Result<StateLocation, String> {
    let wrong = || format!("`{text}` must be `kubernetes:CONTEXT/NAMESPACE`, `eks:NAME/NAMESPACE` or `local`");
    if text == "local" {
        return Ok(StateLocation::Local);
    }
    let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (name, namespace) = rest
        .rsplit_once('/')
        .filter(|(name, namespace)| !name.is_empty() && !namespace.is_empty())
        .ok_or_else(wrong)?;
    let access = match kind {
        "kubernetes" => ClusterAccess::KubeContext(name.to_owned()),
        "eks" => ClusterAccess::Eks(name.to_owned()),
        _ => return Err(wrong()),
    };
    Ok(StateLocation::Kubernetes { access, namespace: namespace.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_step_without_a_name_is_found_as_every_display_calls_it() {
        let plan = crate::domain::fixture::plan();
        assert_eq!(step_number(&plan, Some(&StepRef::Name("bind".into()))).unwrap(), Some(1));
        assert!(step_number(&plan, Some(&StepRef::Name("unbind".into()))).is_err());
    }
}
