//! Reads AWS profiles, for settings that the SDK does not return and for the reasons why it found no credentials.
//!
//! Do not load credentials here.

use std::fs;
use std::path::PathBuf;

/// The texts of `~/.aws/config` and `~/.aws/credentials`, and the selected profile.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    config: String,
    credentials: String,
    /// The variable that selects a profile, and the name.
    selected: Option<(&'static str, String)>,
}

impl Profiles {
    /// Reads the files. `given` returns variables that are not empty.
    pub fn of(given: &impl Fn(&str) -> Option<String>) -> Self {
        let read = |variable: &str, name: &str| {
            let path = given(variable).or_else(|| given("HOME").map(|home| format!("{home}/.aws/{name}")));
            path.and_then(|path| fs::read_to_string(expand_home(&path, given)).ok()).unwrap_or_default()
        };
        Self {
            config: read("AWS_CONFIG_FILE", "config"),
            credentials: read("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            selected: selection(given),
        }
    }

    /// Returns the variable that selects the profile; `None` if none is set.
    pub fn variable(&self) -> Option<&'static str> {
        self.selected.as_ref().map(|(variable, _)| *variable)
    }

    /// Returns the name of the profile that is used.
    pub fn name(&self) -> &str {
        self.selected.as_ref().map_or("default", |(_, name)| name)
    }

    /// Returns whether one of the files has this profile.
    pub fn exists(&self, profile: &str) -> bool {
        sections(&self.config).any(|section| config_profile(section) == Some(profile))
            || sections(&self.credentials).any(|section| section == profile)
    }

    /// Returns whether `~/.aws/config` has a section with this name that lacks the word `profile`. AWS ignores such a
    /// section.
    pub fn lacks_prefix(&self, profile: &str) -> bool {
        sections(&self.config).any(|section| section == profile && config_profile(section).is_none())
    }

    /// Returns whether `~/.aws/config` has this section, such as `sso-session corp`.
    pub fn has_section(&self, name: &str) -> bool {
        sections(&self.config).any(|section| section.split_whitespace().eq(name.split_whitespace()))
    }

    /// Returns a setting of a profile: of `~/.aws/config`, else of `~/.aws/credentials`.
    pub fn setting(&self, profile: &str, key: &str) -> Option<String> {
        let of_config = setting(&self.config, key, |section| config_profile(section) == Some(profile));
        of_config.or_else(|| setting(&self.credentials, key, |section| section == profile))
    }

    /// Returns the used profile, then its `source_profile`, and so on. Ends before a profile that is already in the
    /// list.
    pub fn chain(&self) -> Vec<String> {
        let mut all = vec![self.name().to_owned()];
        while let Some(next) = all.last().and_then(|last| self.setting(last, "source_profile")) {
            if all.contains(&next) {
                break;
            }
            all.push(next);
        }
        all
    }
}

/// Returns the profile of `AWS_PROFILE`, else of `AWS_DEFAULT_PROFILE`, which the AWS CLI also reads.
pub fn selected_profile(given: &impl Fn(&str) -> Option<String>) -> Option<String> {
    selection(given).map(|(_, name)| name)
}

fn selection(given: &impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find_map(|variable| Some((variable, given(variable)?)))
}

/// Replaces `~/` by the home folder.
pub(super) fn expand_home(path: &str, given: &impl Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), given("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn section(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.split(']').next().map(str::trim)
}

fn sections(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(section)
}

/// Returns the name of the profile in a section of `~/.aws/config`; `None` if the section is not a profile.
fn config_profile(section: &str) -> Option<&str> {
    match section.strip_prefix("profile") {
        Some(rest) if rest.starts_with(char::is_whitespace) => Some(rest.trim()),
        _ => (section == "default").then_some(section),
    }
}

fn setting(text: &str, key: &str, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = section(line) {
            here = is_wanted(name);
        } else if here
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.split(" #").next().unwrap_or_default().trim();
            return (!value.is_empty()).then(|| value.to_owned());
        }
    }
    None
}

#[cfg(test)]
impl Profiles {
    /// Creates profiles from the texts of both files, with the profile of `AWS_PROFILE`.
    pub fn for_test(config: &str, credentials: &str, selected: &str) -> Self {
        let selected = Some(("AWS_PROFILE", selected.to_owned()));
        Self { config: config.to_owned(), credentials: credentials.to_owned(), selected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_is_read_from_its_profile() {
        let text = "[default]\nregion = a\nca_bundle=/d.pem\n[profile  prod]\n# x\nca_bundle = /p.pem # why\n[sso-session prod]\nca_bundle = /s.pem\n";
        let all = Profiles::for_test(text, "[prod]\nca_bundle = /no.pem\ncredential_process = x\n", "prod");
        assert_eq!(all.setting("default", "ca_bundle").as_deref(), Some("/d.pem"));
        assert_eq!(all.setting("prod", "ca_bundle").as_deref(), Some("/p.pem"));
        assert_eq!(all.setting("prod", "credential_process").as_deref(), Some("x"));
        assert_eq!(all.setting("other", "ca_bundle"), None);
    }

    #[test]
    fn section_without_the_word_profile_is_not_a_profile() {
        let all = Profiles::for_test("[default]\n[dev]\nregion = a\n[profile x]\n", "[y]\n", "dev");
        assert!(all.exists("x") && all.exists("y") && all.exists("default") && !all.exists("dev"));
        assert!(all.lacks_prefix("dev") && !all.lacks_prefix("x") && !all.lacks_prefix("default"));
    }

    #[test]
    fn chain_ends_before_a_loop() {
        let all = Profiles::for_test("[profile a]\nsource_profile = b\n[profile b]\nsource_profile = a\n", "", "a");
        assert_eq!(all.chain(), ["a", "b"]);
    }

    #[test]
    fn aws_default_profile_is_read_if_aws_profile_is_not_set() {
        let given = |name: &str| (name == "AWS_DEFAULT_PROFILE").then(|| "prod".to_owned());
        assert_eq!(selected_profile(&given).as_deref(), Some("prod"));
    }
}
