//! Finds the secrets that a kubeconfig gives to a credential plugin, which may print them. Do not run plugins here.

use kube::config::ExecConfig;

use crate::base::redact;

/// The ends of names of variables whose values are not secret.
const NAMES_OF_SETTINGS: [&str; 16] = [
    "PROFILE",
    "REGION",
    "REGIONS",
    "ENDPOINT",
    "ENDPOINTS",
    "_FILE",
    "PATH",
    "_DIR",
    "HOME",
    "CONFIG",
    "_URL",
    "_URI",
    "_ARN",
    "NAME",
    "_LEVEL",
    "_HOST",
];

/// Removes the values of `env`, and the arguments after an option that is named like a secret, from every text.
pub fn remember(exec: &ExecConfig) {
    for pair in exec.env.iter().flatten() {
        let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) else { continue };
        let name = name.to_ascii_uppercase();
        if !NAMES_OF_SETTINGS.iter().any(|end| name.ends_with(end)) {
            redact::remember_header(value);
        }
        if let Some((_, password)) = redact::user_and_password(value) {
            redact::remember(&password);
        }
    }
    let arguments: Vec<&String> = exec.args.iter().flatten().collect();
    for (index, argument) in arguments.iter().enumerate().filter(|(_, argument)| argument.starts_with('-')) {
        let (option, value) = argument.split_once('=').map_or((argument.as_str(), None), |(o, v)| (o, Some(v)));
        let option = option.to_ascii_lowercase();
        if ["token", "password", "secret", "passphrase"].iter().any(|secret| option.ends_with(secret)) {
            let value = value.or_else(|| arguments.get(index + 1).map(|next| next.as_str()));
            value.into_iter().for_each(redact::remember);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_env_and_arguments_are_removed() {
        let exec = serde_json::json!({
            "command": "plug", "args": ["get", "--client-secret", "Canary20Argument", "--token=Canary21Argument"],
            "env": [{"name": "MY_VALUE", "value": "Canary22Env"}, {"name": "AWS_REGION", "value": "mars-north-77"}],
        });
        remember(&serde_json::from_value(exec).expect("a plugin"));
        let text = "Canary20Argument Canary21Argument Canary22Env mars-north-77";
        assert_eq!(redact::clean(text), "[redacted] [redacted] [redacted] mars-north-77");
    }
}
