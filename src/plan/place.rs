//! Finds the line of a plan for a finding about live resources. Such a finding contains names, but no place in the
//! plan's text.

use super::model::Plan;

/// Returns the line of the last word of `words`, as `plan.yaml, line 12`. Each word is searched after the previous
/// word. Returns `None` if the text does not contain the words in this order, for example because a template generated
/// the text.
pub fn of(plan: &Plan, words: &[&str]) -> Option<String> {
    let code = |line: &'_ str| line.split(" #").next().filter(|l| !l.trim_start().starts_with('#')).map(str::to_owned);
    let lines: Vec<_> = plan.text.lines().map(|line| code(line).unwrap_or_default()).collect();
    let (mut row, mut column) = (0, 0);
    for word in words {
        let found = (row..lines.len()).find_map(|at| {
            let begin = if at == row { column } else { 0 };
            Some((at, begin + find_word(&lines[at][begin..], word)?))
        });
        let (at, begin) = found?;
        (row, column) = (at, begin + word.len());
    }
    Some(format!("{}, line {}", plan.source, row + 1))
}

/// Returns the place of a word that is not a part of a longer name.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let (before, after) = (&text[..*at], &text[at + word.len()..]);
        !before.chars().next_back().is_some_and(in_name) && !after.chars().next().is_some_and(in_name)
    })
}

/// Finds a line with [`of`], but searches `words` only after the start of the workload's entry.
pub fn in_workload(plan: &Plan, workload: &str, words: &[&str]) -> Option<String> {
    let name = format!("name: {workload}");
    of(plan, &[&["workloads", &name], words].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn the_line_is_that_of_the_last_word_after_the_others() {
        let text = "metadata:\n  name: shop # loadBalancer: shop\nspec:\n  workloads:\n    - name: tickets\n      \
                    loadBalancer: shop-edge\n      # loadBalancer: shop\n    - name: seats\n      loadBalancer: shop\n";
        let plan = Plan { text: text.into(), source: "plan.yaml".into(), ..fixture::plan() };
        assert_eq!(of(&plan, &["loadBalancer", "shop"]).as_deref(), Some("plan.yaml, line 9"));
        assert_eq!(in_workload(&plan, "tickets", &["loadBalancer"]).as_deref(), Some("plan.yaml, line 6"));
        assert_eq!(of(&plan, &["seats", "shop-edge"]), None);
    }
}
