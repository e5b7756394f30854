use super::*;
use crate::cli::help::TOPICS;

fn plain(markdown: &str, width: usize) -> String {
    text(markdown, width, &Style::plain())
}

#[test]
fn text_is_wrapped_and_indented_below_its_heading() {
    let page = plain("# One: two\n\nA `cutover status` that\nis long enough to need another line.\n\n## Next\n", 40);
    assert_eq!(page, "One: two\n\n  A `cutover status` that is long enough\n  to need another line.\n\nNext\n");
}

#[test]
fn wrapped_lines_of_an_item_are_aligned_with_its_text() {
    let page = plain("- one that is so long that it does not fit the line\n- two\n\n1. first\n2. second\n", 40);
    let wanted = "  • one that is so long that it does not\n    fit the line\n  • two\n\n  1. first\n  2. second\n";
    assert_eq!(page, wanted);
}

#[test]
fn code_is_not_wrapped_and_topic_links_become_commands() {
    let line = "x".repeat(60);
    let page = plain(&format!("```sh\n{line}\n```\n\nSee [it](glossary.md), [this](https://example.com).\n"), 60);
    assert_eq!(page, format!("    {line}\n\n  See `cutover help glossary`, this <https://example.com>.\n"));
}

#[test]
fn table_columns_share_the_width() {
    let page = plain(
        "| exit | meaning |\n|---|---|\n| 0 | done |\n| 130 | a `meaning` of more than one line, at this width |\n",
        40,
    );
    let wanted = "  exit  meaning\n  ────  ────────────────────────────────\n  0     done\n  130   a `meaning` of more than one\n        line, at this width\n";
    assert_eq!(page, wanted);
}

#[test]
fn topics_have_no_accidental_numbered_list() {
    for topic in TOPICS {
        let lists = Parser::new(topic.markdown).filter_map(|event| match event {
            Event::Start(Tag::List(first)) => first,
            _ => None,
        });
        assert!(lists.into_iter().all(|first| first == 1), "{}", topic.name);
    }
}

#[test]
fn every_topic_fits_its_width_except_code_and_long_words() {
    for topic in TOPICS {
        for width in [80, 100, 120] {
            for line in plain(topic.markdown, width).lines().filter(|line| !line.starts_with("    ")) {
                let columns = console::measure_text_width(line);
                let longest = line.split_whitespace().map(console::measure_text_width).max().unwrap_or(0);
                assert!(columns <= width || longest > 23, "{}: {columns} of {width} columns: {line}", topic.name);
            }
        }
    }
}
