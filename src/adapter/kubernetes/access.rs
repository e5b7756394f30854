//! Names the access to a cluster, for commands that a person can paste: the context and the name of the cluster in EKS.
//!
//! Do not open connections here.

use futures::future::{Ready, ready};
use http::{Response, StatusCode};
use kube::config::ExecConfig;
use tower::BoxError;
use tower::util::AndThenLayer;

use super::NoToken;
use crate::base::arn;
use crate::base::text::shell_word;

/// The longest name of a cluster in EKS, in characters.
const MAX_EKS_NAME: usize = 100;

/// The access to a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The context of the kubeconfig; `None` if no kubeconfig is used.
    pub context: Option<String>,
    /// The name of the cluster in EKS, if it is known.
    pub eks: Option<String>,
    /// The region of the cluster in EKS, if it is known.
    pub region: Option<String>,
}

impl Access {
    /// Returns the access that a context describes. `cluster` is the name of the context's cluster entry.
    pub fn of_context(context: &str, cluster: &str, exec: Option<&ExecConfig>) -> Self {
        let arn = [context, cluster].into_iter().find(|name| eks_name_of_arn(name).is_some());
        let words = words(exec);
        let named = arn.and_then(eks_name_of_arn).or_else(|| eks_name_of_plugin(&words));
        let region = arn.map(arn::region).or_else(|| option(&words, &["--region"]));
        Self {
            context: Some(context.to_owned()),
            eks: named.map(str::to_owned),
            region: region.filter(|region| is_word(region)).map(str::to_owned),
        }
    }

    /// Returns the access to a cluster by its name in EKS.
    pub fn of_eks(name: &str, region: Option<&str>) -> Self {
        Self { context: None, eks: Some(name.to_owned()), region: region.map(str::to_owned) }
    }

    /// Returns the reason for status 401, and the commands that find the cause.
    pub fn not_accepted(&self) -> String {
        let place = match (&self.context, &self.eks) {
            (Some(context), _) => format!(" of the context {context}"),
            (None, Some(eks)) => format!(" for the EKS cluster {eks}"),
            (None, None) => String::new(),
        };
        let context = self.context.as_ref();
        let whoami = context.map(|context| format!("`kubectl --context {} auth whoami`", shell_word(context)));
        let region = self.region.as_ref().map(|region| format!(" --region {region}")).unwrap_or_default();
        let entries = self.eks.as_ref();
        let entries = entries.map(|eks| format!("`aws eks list-access-entries --cluster-name {eks}{region}`"));
        let commands: Vec<String> = whoami.into_iter().chain(entries).collect();
        let commands = if commands.is_empty() { String::new() } else { format!(", and {}", commands.join(" and ")) };
        format!(
            "the Kubernetes API does not accept the credentials{place} (401); check the clock of this machine{commands}"
        )
    }
}

/// The result of the check of a response.
type Checked<B> = Ready<Result<Response<B>, BoxError>>;

/// Returns a layer that fails requests whose credentials the API server does not accept.
pub fn refuse_unauthorized<B>(access: &Access) -> AndThenLayer<impl Fn(Response<B>) -> Checked<B> + Clone + use<B>> {
    let why = access.not_accepted();
    AndThenLayer::new(move |response: Response<B>| {
        ready(match response.status() {
            StatusCode::UNAUTHORIZED => Err(NoToken(why.clone()).into()),
            _ => Ok(response),
        })
    })
}

fn eks_name_of_arn(text: &str) -> Option<&str> {
    arn::resource(text).strip_prefix("cluster/").filter(|name| is_eks_name(name))
}

/// Returns the words of a plugin's command and arguments. An argument can be a command of a shell.
fn words(exec: Option<&ExecConfig>) -> Vec<&str> {
    let all = exec.into_iter().flat_map(|exec| exec.command.iter().chain(exec.args.iter().flatten()));
    all.flat_map(|text| text.split_whitespace()).map(|word| word.trim_matches(['"', '\''])).collect()
}

/// Returns the cluster for which a plugin creates a token: `aws eks get-token` or `aws-iam-authenticator token`.
fn eks_name_of_plugin<'a>(words: &[&'a str]) -> Option<&'a str> {
    let ends_with = |program: &str| words.iter().any(|word| word.rsplit(['/', '\\']).next() == Some(program));
    let name = if words.contains(&"get-token") {
        option(words, &["--cluster-name"])
    } else if ["aws-iam-authenticator", "heptio-authenticator-aws"].into_iter().any(ends_with) {
        option(words, &["-i", "--cluster-id"])
    } else {
        None
    };
    name.filter(|name| is_eks_name(name))
}

/// Returns the value of an option: `--name value` or `--name=value`.
fn option<'a>(words: &[&'a str], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| match word.split_once('=') {
        Some((name, value)) if names.contains(&name) => Some(value),
        _ if names.contains(word) => words.get(index + 1).copied(),
        _ => None,
    })
}

fn is_eks_name(name: &str) -> bool {
    name.len() <= MAX_EKS_NAME && is_word(name)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn access(context: &str, cluster: &str, command: &str, args: &[&str]) -> Access {
        let exec = serde_json::from_value(json!({"command": command, "args": args})).expect("a plugin");
        Access::of_context(context, cluster, Some(&exec))
    }

    fn eks(command: &str, args: &[&str]) -> Option<String> {
        access("blue", "blue", command, args).eks
    }

    #[test]
    fn eks_name_is_read_from_the_arguments_of_the_plugin() {
        let shop = Some("shop-b".to_owned());
        assert_eq!(eks("aws", &["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "shop-b"]), shop);
        assert_eq!(eks("aws-vault", &["exec", "p", "--", "aws", "eks", "get-token", "--cluster-name=shop-b"]), shop);
        assert_eq!(eks("sh", &["-c", "aws eks get-token --cluster-name 'shop-b' | tee log"]), shop);
        assert_eq!(eks("/opt/bin/aws-iam-authenticator", &["token", "-i", "shop-b"]), shop);
        assert_eq!(eks("aws-iam-authenticator", &["token", "--cluster-id=shop-b"]), shop);
        for (command, args) in [
            ("aws", vec!["eks", "get-token", "--cluster-name", "$CLUSTER"]),
            ("aws", vec!["eks", "get-token", "--cluster-name"]),
            ("gke-gcloud-auth-plugin", vec!["-i", "shop-b"]),
            ("plug", vec!["--cluster-name", "shop-b"]),
        ] {
            assert_eq!(eks(command, &args), None, "{command} {args:?}");
        }
    }

    #[test]
    fn eks_name_is_read_from_an_arn_before_the_arguments() {
        let arn = "arn:aws:eks:eu-west-1:123456789012:cluster/shop-b";
        let found = access("blue", arn, "aws", &["eks", "get-token", "--cluster-name", "other", "--region", "x"]);
        assert_eq!((found.eks.as_deref(), found.region.as_deref()), (Some("shop-b"), Some("eu-west-1")));
        assert_eq!(Access::of_context(arn, "c", None).eks.as_deref(), Some("shop-b"));
        assert_eq!(Access::of_context("blue", "c", None).eks, None);
    }

    #[test]
    fn refused_credentials_have_commands_that_can_be_pasted() {
        let args = ["eks", "get-token", "--cluster-name", "shop-b", "--region", "eu-west-1"];
        let why = access("my blue", "c", "aws", &args).not_accepted();
        assert_eq!(
            why,
            "the Kubernetes API does not accept the credentials of the context my blue (401); check the clock of this \
             machine, and `kubectl --context 'my blue' auth whoami` and `aws eks list-access-entries --cluster-name \
             shop-b --region eu-west-1`"
        );
        let why = Access::of_context("kind-a", "kind-a", None).not_accepted();
        assert!(why.ends_with("and `kubectl --context kind-a auth whoami`"), "{why}");
        let why = Access::of_eks("shop-b", None).not_accepted();
        assert!(why.ends_with("and `aws eks list-access-entries --cluster-name shop-b`"), "{why}");
    }
}
