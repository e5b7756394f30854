//! Suggests the known word that the author of an unknown word probably meant.

use strsim::osa_distance;

/// Returns the known word closest to `word`: equal except for case, or at most two edits away (one for short words,
/// none for the shortest). `None` if none is close.
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
}
