//! Suggests the known word that the author of an unknown word probably meant.

use strsim::osa_distance;

use crate::base::text::list;

/// Returns the known word closest to `word`: equal except for case, or at most two edits away (one edit for short
/// words, no edit for the shortest words); `None` if no known word is close.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The length is limited, because the cost is quadratic. No field has such a long name.
    if word.len() > 64 {
        return None;
    }
    let limit = match word.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    };
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (if k.to_lowercase() == lower { 0 } else { osa_distance(word, k) }, k))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Returns the existing name that was probably meant: the result of `closest`, otherwise the closest name that
/// differs in at most a third of the characters, contains the word, or is contained in the word.
pub fn near_name<'a>(word: &str, existing: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if let Some(near) = closest(word, existing.clone()) {
        return Some(near);
    }
    let limit = word.chars().count() / 3;
    let contains = |name: &str| word.len() > 2 && (name.contains(word) || (name.len() > 2 && word.contains(name)));
    existing
        .into_iter()
        .filter(|name| name.len() <= 64 && word.len() <= 64)
        .map(|name| (osa_distance(word, name), name))
        .filter(|(distance, name)| *distance <= limit || contains(name))
        .min()
        .map(|(_, name)| name)
}

/// Returns a text that suggests an existing name for an unknown one: the name that was probably meant, otherwise the
/// list of existing names. The text is empty if there are no names.
pub fn instead_of(word: &str, existing: &[String]) -> String {
    match near_name(word, existing.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if existing.is_empty() => String::new(),
        None => format!("there are: {}", list(existing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        let known = ["setWeight", "setShares", "pause", "bind", "name", "to"];
        for (word, want) in [
            ("setweight", Some("setWeight")),
            ("set_weight", Some("setWeight")),
            ("setWieght", Some("setWeight")),
            ("puase", Some("pause")),
            ("binds", Some("bind")),
            ("analysis", None),
            ("TO", Some("to")),
            ("at", None),
        ] {
            assert_eq!(closest(word, known), want, "{word}");
        }
    }

    #[test]
    fn a_name_that_exists_is_suggested_or_all_are_listed() {
        let existing = ["alpha-webapp", "alpha-api", "shop"].map(str::to_owned);
        assert_eq!(instead_of("alpha-webap", &existing), "did you mean `alpha-webapp`?");
        assert_eq!(instead_of("webapp", &existing), "did you mean `alpha-webapp`?");
        assert_eq!(instead_of("alpha-web-app-1", &existing), "did you mean `alpha-webapp`?");
        assert_eq!(instead_of("beta", &existing), "there are: alpha-webapp, alpha-api, shop");
        assert_eq!(instead_of("beta", &[]), "");
    }
}
