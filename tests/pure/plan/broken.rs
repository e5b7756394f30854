//! Plans with errors: every plan gives errors with a position, and no plan needs much time or causes a panic.
//!
//! A file in `tests/plans/broken` has one comment `# expect LINE CODE WORDS` for each expected error, in order.

use std::fmt::Write as _;
use std::path::PathBuf;

use cutover::base::finding::Source;
use cutover::plan::{Diagnostics, MAX_BYTES, lint, render};

fn broken_plans_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans/broken")
}

fn lint_errors(name: &str, bytes: &[u8]) -> Diagnostics {
    match lint(name, bytes) {
        Ok(_) => panic!("the lint must refuse {name}"),
        Err(found) => found,
    }
}

/// Asserts that every error has a code and a valid position, and that the rendering shows every error.
fn assert_well_formed(name: &str, found: &Diagnostics) {
    assert!(!found.errors.is_empty(), "{name}: a refusal must have a reason");
    for error in &found.errors {
        let place = error.place;
        assert!(place.line >= 1 && place.column >= 1, "{name}: {error:?}");
        assert!(place.offset + place.len <= found.text.len(), "{name}: {error:?} points past the end");
        assert!(
            found.text.is_char_boundary(place.offset) && found.text.is_char_boundary(place.offset + place.len),
            "{name}: {error:?}"
        );
        assert!(error.code.source() == Source::Lint, "{name}: {error:?}");
    }
    assert!(found.errors.is_sorted_by_key(|e| e.place), "{name}: the errors must be in the order of the text");
    for color in [false, true] {
        let drawn = render(found, color);
        assert!(found.errors.iter().all(|e| drawn.contains(e.code.name())), "{name}: {drawn}");
        assert!(
            color || !drawn.contains('\u{1b}'),
            "{name}: a rendering without colour must not have escape sequences"
        );
    }
}

#[test]
fn every_broken_plan_is_refused_with_the_expected_errors() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(broken_plans_folder()).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 45, "expected at least 45 broken plans, found {}", files.len());
    let mut wrong = String::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let found = lint_errors(&name, text.as_bytes());
        assert_well_formed(&name, &found);
        let expected: Vec<Vec<&str>> =
            text.lines().filter_map(|l| l.split_once("# expect ")).map(|(_, e)| e.splitn(3, ' ').collect()).collect();
        let fits = expected.len() == found.errors.len()
            && !expected.is_empty()
            && expected.iter().zip(&found.errors).all(|(e, f)| {
                let message = format!("{} {}", f.message, f.help.as_deref().unwrap_or_default());
                e[0] == f.place.line.to_string() && e[1] == f.code.name() && message.contains(e[2])
            });
        if !fits {
            writeln!(wrong, "{name} expects {expected:?} but has").unwrap();
            for f in &found.errors {
                writeln!(
                    wrong,
                    "  # expect {} {} {} | {}",
                    f.place.line,
                    f.code.name(),
                    f.message,
                    f.help.as_deref().unwrap_or("-")
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn hostile_bytes_are_refused_early() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
    let cases: Vec<(&str, Vec<u8>, usize, &str)> = vec![
        ("ten megabytes", b"a: b\n".repeat(2 * 1024 * 1024), 1, "more than 4194304 bytes"),
        ("one byte too many", vec![b'#'; MAX_BYTES + 1], 1, "more than 4194304 bytes"),
        ("as large as may be", vec![b'#'; MAX_BYTES], 1, "empty"),
        ("an alias bomb", bomb.as_bytes().to_vec(), 1, "anchor"),
        ("an alias of nothing", b"a: *x\n".to_vec(), 1, "alias"),
        ("a merge key", b"a:\n  <<: {b: 1}\n".to_vec(), 2, "merge"),
        ("brackets", vec![b'['; MAX_BYTES], 1, "cannot be parsed"),
        ("braces", b"{a: ".repeat(MAX_BYTES / 4), 1, "cannot be parsed"),
        ("nested lists", b"- ".repeat(MAX_BYTES / 2), 1, "cannot be parsed"),
        (
            "nested mappings",
            (0..400).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<Vec<_>>().concat().into_bytes(),
            33,
            "cannot be parsed",
        ),
        ("many values", format!("[{}]", "1,".repeat(2_000_000)).into_bytes(), 1, "cannot be parsed"),
        (
            "many keys",
            (0..300_000).map(|i| format!("k{i}: 1\n")).collect::<Vec<_>>().concat().into_bytes(),
            160_000,
            "cannot be parsed",
        ),
        ("one long key", [vec![b'k'; MAX_BYTES - 4], b": 1\n".to_vec()].concat(), 1, ""),
        ("one long value", [b"apiVersion: ".to_vec(), vec![b'v'; MAX_BYTES - 12]].concat(), 1, ""),
        ("not UTF-8", b"apiVersion: cutover.dev/v1alpha1\nkind: Cut\xffover\n".to_vec(), 2, "byte 42 (0xff)"),
        ("UTF-16", "kind: Cutover".encode_utf16().flat_map(u16::to_le_bytes).collect(), 1, ""),
        ("half a character", b"kind: \xe2\x82".to_vec(), 1, "not UTF-8"),
        ("an escape", b"kind: \"Cut\\e[2Jover\"\n".to_vec(), 1, ""),
        ("a NUL", b"kind: Cut\0over\n".to_vec(), 1, ""),
        ("nothing", Vec::new(), 1, "empty"),
        ("blanks", b"\n \n\n".to_vec(), 1, "empty"),
        ("a comment", b"# nothing yet\n".to_vec(), 1, "empty"),
        ("only a byte order mark", b"\xef\xbb\xbf".to_vec(), 1, ""),
        ("a word", b"hello".to_vec(), 1, "must be a mapping"),
        ("a list", b"- apiVersion: x\n".to_vec(), 1, "must be a mapping"),
        ("another document", b"kind: Cutover\n---\nkind: Cutover\n".to_vec(), 2, "more than one"),
        ("a tag", b"kind: !!python/object:os.system Cutover\n".to_vec(), 1, ""),
        ("a mapping as key", b"{a: b}: c\n".to_vec(), 1, ""),
        ("a tab", b"a:\n\tb: 1\n".to_vec(), 2, ""),
        ("carriage returns", b"kind: Cutover\r\rapiVersion: x\r".to_vec(), 1, ""),
        ("line separators", "kind: \u{2028}Cutover\u{85}x: \u{2029}y\n".as_bytes().to_vec(), 1, ""),
    ];
    let mut wrong = String::new();
    for (name, bytes, line, words) in cases {
        let found = lint_errors(name, &bytes);
        assert_well_formed(name, &found);
        let first = &found.errors[0];
        let message = format!("{} {}", first.message, first.help.as_deref().unwrap_or_default());
        if first.place.line != line || !message.contains(words) {
            writeln!(wrong, "{name}: {found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn only_the_first_of_many_errors_are_reported() {
    let many = (0..150_000).map(|i| format!("k{i}: 1\n")).collect::<Vec<_>>().concat();
    let found = lint_errors("many", many.as_bytes());
    assert_well_formed("many", &found);
    // The plan has 150,000 unknown fields, and lacks four required fields.
    assert_eq!((found.errors.len(), found.more), (100, 149_904));
    assert!(render(&found, false).ends_with("many: 150004 errors; nothing was changed\n"));
    // All errors are on one line, which makes the positions expensive.
    let line = format!("{{{}}}", (0..150_000).map(|i| format!("k{i}: 1, ")).collect::<Vec<_>>().concat());
    assert_well_formed("one line", &lint_errors("one line", line.as_bytes()));
}

/// Changes single bytes of a valid plan or cuts off the end: the lint must not panic, and positions must be in the
/// text.
#[test]
fn damaged_plans_do_not_panic() {
    let good = std::fs::read(format!("{}/plans/gitops.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for at in (0..good.len()).step_by(11) {
        for byte in *b":{[-\"\n\t&\xff" {
            let mut bad = good.clone();
            bad[at] = byte;
            if let Err(found) = lint("damaged", &bad) {
                assert_well_formed(&format!("byte {at} set to {byte:#x}"), &found);
            }
        }
        if let Err(found) = lint("cut", &good[..at]) {
            assert_well_formed(&format!("cut at {at}"), &found);
        }
    }
}

#[test]
fn renderings() {
    let mut drawn = String::new();
    for name in [
        "everything",
        "shares-sum",
        "unknown-field",
        "duplicate-key",
        "syntax-quote",
        "account-number",
        "step-two-verbs",
        "target-group-shared",
    ] {
        let name = format!("{name}.yaml");
        let found = lint_errors(&name, &std::fs::read(broken_plans_folder().join(&name)).unwrap());
        writeln!(drawn, "{}", render(&found, false)).unwrap();
    }
    insta::assert_snapshot!("renderings", drawn);
}

#[test]
fn diagnostics_as_json() {
    let found = lint_errors("shares-sum.yaml", &std::fs::read(broken_plans_folder().join("shares-sum.yaml")).unwrap());
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["source"], "shares-sum.yaml");
    let error = &json["errors"][0];
    assert_eq!(
        (&error["code"], error["line"].as_u64().is_some(), error["column"].as_u64().is_some()),
        (&"CUT021".into(), true, true)
    );
    assert!(error["message"].as_str().unwrap().contains("90") && error["help"].as_str().is_some());
}
