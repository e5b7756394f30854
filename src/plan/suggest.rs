//! Which of the known words was meant.

/// The known word closest to `word`, if it is close: equal but for case, or at most two edits away (one for short words,
/// none for the shortest).
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Cap: nobody types a field's name of this length, and the distance is quadratic.
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
        .map(|k| (if k.to_lowercase() == lower { 0 } else { distance(word, k) }, k))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replace = rows[i][j] + usize::from(x != y);
            let mut best = replace.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
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
