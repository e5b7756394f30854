//! Writes a plan for a backend, or a table of slots, of HAProxy.

use crate::base::haproxy::Backend;
use crate::domain::elb::balancer::LiveRoute;

/// The steps of the plan: the share of the new servers in percent, and the duration of the following bake.
const STEPS: [(u8, &str); 4] = [(1, "10m"), (25, "20m"), (50, "20m"), (100, "1h")];

/// A backend on its instances, or a table of slots, and the sets of servers or the backends that lose and get the
/// traffic.
pub struct HaproxyRequest {
    /// The backend, or the map, on each instance.
    pub backends: Vec<Backend>,
    /// The glob of the servers, or the backend, that has the traffic now.
    pub from: String,
    /// The glob of the servers, or the backend, that will get the traffic.
    pub to: String,
    /// The name of the plan; the name of the backend, or of the map's file, by default.
    pub name: Option<String>,
}

/// Returns the plan. `read` has the route of each backend, in the same order.
///
/// # Errors
/// Returns what is wrong on which instance: a glob without servers, or servers of `from` without traffic.
pub fn plan_text(request: &HaproxyRequest, read: &[LiveRoute]) -> Result<String, String> {
    let HaproxyRequest { backends, from, to, name } = request;
    for (backend, route) in backends.iter().zip(read) {
        let split = &route.content.split;
        if let Some(glob) = [from, to].into_iter().find(|glob| split.weight(&backend.group(glob)).is_none()) {
            return Err(format!("{}: no server matches `{glob}`", backend.label()));
        }
        if !split.carries(&backend.group(from)) {
            let what = if backend.map_file().is_some() { "backend" } else { "servers" };
            let label = backend.label();
            return Err(format!("{label}: no traffic goes to the {what} `{from}`; are --from and --to swapped?"));
        }
    }
    let Some(first) = backends.first() else { return Err("no instance of HAProxy was named".to_owned()) };
    let instances: Vec<_> = backends.iter().map(|backend| format!("\"{}\"", backend.address)).collect();
    let (a, b) = clusters(from, to);
    let steps: Vec<String> = STEPS
        .iter()
        .map(|(share, bake)| format!("      - setWeight: {share}\n      - pause: {{duration: {bake}}}\n"))
        .collect();
    let steps = steps.concat();
    let file = first.map_file();
    let route = match &file {
        Some(file) => format!(
            "map: # a share is a number of slots
              file: {file}
              backends: {{{a}: {from}, {b}: {to}}}"
        ),
        None => format!(
            "backend: {}
            servers: {{{a}: \"{from}\", {b}: \"{to}\"}}",
            first.name
        ),
    };
    let stem = file.as_deref().and_then(|file| file.rsplit('/').next()?.split('.').next());
    let workload = label(stem.unwrap_or(&first.name), "haproxy");
    let name = name.clone().unwrap_or_else(|| workload.clone());
    Ok(format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: {name}
spec:
  clusters:
    - name: {a}
    - name: {b}
  workloads:
    - name: {workload}
      routes:
        - haproxy:
            instances: [{}] # all instances move as one step
            {route}
  strategy:
    from: {a}
    to: {b}
    steps:
{steps}",
        instances.join(", ")
    ))
}

/// Returns the names of the clusters: the letters and digits of the globs, if they differ.
fn clusters(from: &str, to: &str) -> (String, String) {
    let (a, b) = (label(from, "old"), label(to, "new"));
    if a == b { ("old".to_owned(), "new".to_owned()) } else { (a, b) }
}

/// Returns a name that the plan accepts: lower-case letters, digits and hyphens.
fn label(text: &str, otherwise: &str) -> String {
    let kept: String =
        text.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    if kept.is_empty() || kept.len() > 63 { otherwise.to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::traffic::{Member, Split};

    fn request() -> HaproxyRequest {
        let backend = |address: &str| Backend { address: address.to_owned(), name: "web_app".to_owned() };
        let backends = vec![backend("tcp://10.0.1.10:9999"), backend("unix:/run/haproxy/admin.sock")];
        HaproxyRequest { backends, from: "a-*".into(), to: "b-*".into(), name: None }
    }

    fn read(request: &HaproxyRequest, weights: [u16; 2]) -> Vec<LiveRoute> {
        let route = |backend: &Backend| {
            let members = [&request.from, &request.to].into_iter().zip(weights);
            let members = members.map(|(glob, weight)| Member::new(backend.group(glob), Some(weight))).collect();
            let content = fixture::forward(&[]).with_split(&Split { members });
            fixture::route(9999, None, content)
        };
        request.backends.iter().map(route).collect()
    }

    #[test]
    fn plan_of_two_instances_is_valid() {
        let request = request();
        let text = plan_text(&request, &read(&request, [100, 0])).unwrap();
        let plan = crate::plan::lint("plan.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!((plan.name.as_str(), plan.workloads[0].routes.len()), ("web-app", 2));
        assert_eq!((plan.strategy.from.as_str(), plan.strategy.to.as_str()), ("a", "b"));
    }

    #[test]
    fn plan_of_a_map_is_valid() {
        let backends = vec![Backend::of_map("tcp://10.0.1.10:9999", "/etc/haproxy/shares.map")];
        let request = HaproxyRequest { backends, from: "webapp-a".into(), to: "webapp-b".into(), name: None };
        let text = plan_text(&request, &read(&request, [100, 0])).unwrap();
        let plan = crate::plan::lint("plan.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!((plan.name.as_str(), plan.workloads[0].routes.len()), ("shares", 1));
        assert_eq!((plan.strategy.from.as_str(), plan.strategy.to.as_str()), ("webapp-a", "webapp-b"));
        let live = read(&request, [0, 100]);
        assert!(plan_text(&request, &live).unwrap_err().contains("no traffic goes to the backend `webapp-a`"));
    }

    #[test]
    fn swapped_or_missing_servers_are_named_with_their_instance() {
        let mut request = request();
        let swapped = plan_text(&request, &read(&request, [0, 100])).unwrap_err();
        assert!(swapped.contains("web_app on 10.0.1.10:9999") && swapped.contains("swapped"), "{swapped}");
        let live = read(&request, [100, 0]);
        request.to = "c-*".into();
        assert!(plan_text(&request, &live).unwrap_err().contains("no server matches `c-*`"));
    }

    #[test]
    fn clusters_have_names_that_a_plan_accepts() {
        assert_eq!(clusters("A_1*", "*"), ("a-1".to_owned(), "new".to_owned()));
        assert_eq!(clusters("*", "?"), ("old".to_owned(), "new".to_owned()));
        assert_eq!(clusters("a-*", "a.*"), ("old".to_owned(), "new".to_owned()));
    }
}
