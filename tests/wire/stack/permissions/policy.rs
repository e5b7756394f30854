//! Evaluates the policies in `examples` as IAM would, for the part of the policy language that the file uses; panics at
//! anything else.

use std::collections::BTreeSet;

use serde_json::Value;
use wildmatch::WildMatch;

use crate::stack::endpoint::{AwsRequest, Refusal};

/// The allow statements of a policy.
#[derive(Clone)]
pub struct Policy {
    statements: Vec<Value>,
    without: BTreeSet<String>,
    /// The rules without a tag of this tool. All other rules have the tag of header rules.
    untagged: Vec<String>,
}

/// A line of a policy: one action or one resource of a statement.
#[derive(Clone)]
pub struct Line {
    statement: usize,
    field: &'static str,
    value: String,
    /// The actions that the statement allows on this line.
    pub actions: Vec<String>,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.field, self.value)
    }
}

impl Policy {
    /// Returns the example policy with the names of one test.
    pub fn example(load_balancer: &str) -> Self {
        Self::of_files(&["examples/iam-policy.json"], load_balancer)
    }

    /// Returns the policies of these files together, with the names of one test.
    pub fn of_files(files: &[&str], load_balancer: &str) -> Self {
        let statements = files.iter().flat_map(|file| Self::statements_of(file, load_balancer)).collect();
        Self { statements, without: BTreeSet::new(), untagged: Vec::new() }
    }

    /// Returns the policy of a JSON document.
    pub fn of(policy: &Value) -> Self {
        let statements = policy["Statement"].as_array().expect("the statements should be a list").clone();
        Self { statements, without: BTreeSet::new(), untagged: Vec::new() }
    }

    /// Adds the rules that this tool did not make.
    pub fn with_rules_of_others(self, rules: &[String]) -> Self {
        Self { untagged: rules.to_vec(), ..self }
    }

    /// Returns every action and every resource of the statements. A resource that is alone in its statement is not a line
    /// of its own, because the statement needs it for each of its actions.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (number, statement) in self.statements.iter().enumerate() {
            let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            let line =
                |field, value: &String, actions| Line { statement: number, field, value: value.clone(), actions };
            lines.extend(actions.iter().map(|action| line("Action", action, vec![action.clone()])));
            let many = resources.iter().filter(|_| resources.len() > 1);
            lines.extend(many.map(|resource| line("Resource", resource, actions.clone())));
        }
        lines
    }

    /// Returns the policy without one line.
    pub fn without_line(&self, line: &Line) -> Self {
        let mut less = self.clone();
        let statement = &mut less.statements[line.statement];
        let left: Vec<_> = texts(&statement[line.field]).into_iter().filter(|value| *value != line.value).collect();
        statement[line.field] = left.into();
        less
    }

    fn statements_of(file: &str, load_balancer: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(file).expect("the policy should be readable");
        let text = text
            .replace("ap-northeast-2", "us-east-1")
            .replace("alpha-webapp", load_balancer)
            .replace("alpha-kr-", "stack-");
        let policy: Value = serde_json::from_str(&text).expect("the text should be JSON");
        policy["Statement"].as_array().expect("the statements should be a list").clone()
    }

    /// Returns the policy without one action.
    pub fn without(&self, action: &str) -> Self {
        let mut less = self.clone();
        less.without.insert(action.to_owned());
        less
    }

    /// Returns every action that the policy allows.
    pub fn actions(&self) -> BTreeSet<String> {
        self.statements.iter().flat_map(|s| texts(&s["Action"])).filter(|a| !self.without.contains(a)).collect()
    }

    /// Returns IAM's refusal of a request, or `None` if the request is allowed.
    pub fn refuses(&self, request: &AwsRequest) -> Option<Refusal> {
        let action = action(request);
        if action == "sts:GetCallerIdentity" {
            return None;
        }
        let resources = resources(request);
        let allowed = |resource: &String| self.statements.iter().any(|s| self.allows(s, &action, resource, request));
        let wrong = resources.iter().find(|r| !allowed(r))?;
        // The text has the wording of AWS.
        let text = format!(
            "User: arn:aws:iam::123456789012:user/{} is not authorized to perform: {action} on resource: {wrong} because no identity-based policy allows the {action} action",
            request.key
        );
        Some(Refusal(403, "AccessDenied", text.leak()))
    }

    fn allows(&self, statement: &Value, action: &str, resource: &str, request: &AwsRequest) -> bool {
        assert_eq!(statement["Effect"], "Allow");
        !self.without.contains(action)
            && texts(&statement["Action"]).iter().any(|a| a == action)
            && texts(&statement["Resource"]).iter().any(|pattern| WildMatch::new(pattern).matches(resource))
            && self.conditions(&statement["Condition"], request)
    }

    fn conditions(&self, all: &Value, request: &AwsRequest) -> bool {
        conditions(all, request, &|rule| self.untagged.iter().any(|untagged| untagged == rule))
    }
}

fn conditions(all: &Value, request: &AwsRequest, is_untagged: &dyn Fn(&str) -> bool) -> bool {
    all.as_object().into_iter().flatten().all(|(operator, keys)| {
        keys.as_object().expect("the keys should be an object").iter().all(|(key, wanted)| {
            let given = match key.as_str() {
                "aws:RequestedRegion" => vec!["us-east-1".to_owned()],
                "aws:TagKeys" => tag_keys(request),
                "aws:ResourceTag/cutover.dev/header-route" => {
                    let rule = request.parameters.get("RuleArn").into_iter();
                    rule.filter(|rule| !is_untagged(rule)).map(|_| "run".to_owned()).collect()
                }
                other => panic!("{other}"),
            };
            let like = |text: &String| texts(wanted).iter().any(|pattern| WildMatch::new(pattern).matches(text));
            match operator.as_str() {
                "StringEquals" => given.iter().any(|g| texts(wanted).contains(g)),
                "StringLike" => given.iter().any(like),
                "ForAllValues:StringLike" => given.iter().all(like),
                "Null" => given.is_empty() == (wanted == "true"),
                other => panic!("{other}"),
            }
        })
    })
}

/// Returns the IAM name of a request's action.
pub fn action(request: &AwsRequest) -> String {
    let (method, path) = request.action.split_once(' ').unwrap_or_default();
    let path: Vec<_> = path.split('/').skip(1).collect();
    let name = match (method, path.as_slice()) {
        ("GET", ["clusters", _]) => "DescribeCluster",
        ("GET", ["clusters", _, "addons"]) => "ListAddons",
        ("GET", ["clusters", _, "addons", _]) => "DescribeAddon",
        ("POST", ["clusters", _, "insights"]) => "ListInsights",
        ("GET", ["clusters", _, "insights", _]) => "DescribeInsight",
        ("GET", ["clusters", _, "pod-identity-associations"]) => "ListPodIdentityAssociations",
        ("GET", ["addons", "supported-versions"]) => "DescribeAddonVersions",
        ("GET", ["cluster-versions"]) => "DescribeClusterVersions",
        _ => &request.action,
    };
    format!("{}:{name}", request.service)
}

/// Returns the resources of a request that IAM checks.
fn resources(request: &AwsRequest) -> Vec<String> {
    let path: Vec<_> = request.action.split('/').skip(1).collect();
    match path.as_slice() {
        ["clusters", name, "addons", addon] => {
            return vec![format!("arn:aws:eks:us-east-1:123456789012:addon/{name}/{addon}/0a1b2c3d")];
        }
        ["clusters", name, ..] => return vec![format!("arn:aws:eks:us-east-1:123456789012:cluster/{name}")],
        _ => {}
    }
    if request.action == "GetRole" {
        let name = &request.parameters["RoleName"];
        return vec![format!("arn:aws:iam::123456789012:role/{name}")];
    }
    let of = |wanted: &dyn Fn(&str) -> bool| {
        request.parameters.iter().filter(|(k, _)| wanted(k)).map(|(_, v)| v.clone()).collect()
    };
    match request.action.as_str() {
        "ModifyListener" | "CreateRule" => of(&|k| k == "ListenerArn"),
        "ModifyRule" | "DeleteRule" => of(&|k| k == "RuleArn"),
        "AddTags" | "RemoveTags" => of(&|k| k.starts_with("ResourceArns.")),
        _ => vec!["*".to_owned()],
    }
}

fn tag_keys(request: &AwsRequest) -> Vec<String> {
    let key = |k: &str| k.starts_with("TagKeys.") || (k.starts_with("Tags.") && k.ends_with(".Key"));
    request.parameters.iter().filter(|(k, _)| key(k)).map(|(_, v)| v.clone()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => panic!("{other}"),
    }
}
