//! Resolves each path in a module to the file that defines it, or to another crate.

use std::collections::BTreeSet;

use super::source::{Import, Mention, Module, Name, Source};

/// A dependency: one file uses another file or a crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: String,
    pub line: usize,
    pub to: To,
    /// Whether this is a `pub use` of something below the file's own folder: a declaration, like `mod`.
    pub declares: bool,
}

/// The target of a dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    File(String),
    /// A path of another crate.
    Crate(String),
}

/// Returns every dependency of a crate, except those of a file on itself.
pub fn arrows(source: &Source) -> BTreeSet<Arrow> {
    let mut all = BTreeSet::new();
    for (name, module) in &source.modules {
        let imports = module.imports.iter().map(|import| (&import.path, Some(import.again)));
        for (mention, again) in imports.chain(module.mentions.iter().map(|mention| (mention, None))) {
            // In `use aws_config;`, a single name that the module does not define is a crate.
            let whole = |path: &Mention| again.is_some() && path.segments.len() == 1 && !module.has(&path.segments[0]);
            let to = if whole(mention) {
                Some(To::Crate(mention.segments[0].clone()))
            } else {
                resolve(source, name, mention, 0)
            };
            let Some(to) = to else { continue };
            let own = module.file.strip_suffix("mod.rs").unwrap_or(&module.file);
            let declares =
                again == Some(true) && matches!(&to, To::File(file) if file.starts_with(own.trim_end_matches(".rs")));
            if to != To::File(module.file.clone()) {
                all.insert(Arrow { from: module.file.clone(), line: mention.line, to, declares });
            }
        }
    }
    all
}

/// Returns the target of a path; `None` for the module itself, or for a name of the language.
fn resolve(source: &Source, module: &Name, mention: &Mention, depth: usize) -> Option<To> {
    let segments = &mention.segments;
    let first = segments.first()?;
    // Wrong imports may form a circle, which rustc reports.
    if mention.foreign || depth > 20 {
        return Some(To::Crate(segments.join("::")));
    }
    let here = source.modules.get(module)?;
    let ups = segments.iter().take_while(|s| *s == "super").count();
    match first.as_str() {
        "crate" => find_definition(source, &Name::new(), &segments[1..], depth),
        "self" => find_definition(source, module, &segments[1..], depth),
        "super" => find_definition(source, &module[..module.len().checked_sub(ups)?].to_vec(), &segments[ups..], depth),
        "Self" => None,
        // A single name is more likely a variable than a module.
        child if here.children.contains(child) && segments.len() > 1 => {
            find_definition(source, module, segments, depth)
        }
        name => match find_import(here, name) {
            Some(import) if import.path.segments.first() != Some(first) || import.path.segments.len() > 1 => {
                resolve(source, module, &expand_import(import, &segments[1..]), depth + 1)
            }
            _ if here.items.contains(name) || segments.len() == 1 => None,
            _ => Some(To::Crate(segments.join("::"))),
        },
    }
}

fn find_import<'a>(module: &'a Module, name: &str) -> Option<&'a Import> {
    module.imports.iter().find(|import| import.name.as_deref() == Some(name))
}

/// Returns the path with the import's name replaced by the imported path.
fn expand_import(import: &Import, rest: &[String]) -> Mention {
    let segments = import.path.segments.iter().chain(rest).cloned().collect();
    Mention { segments, ..import.path.clone() }
}

/// Returns the file that defines the target of a path below a module. A name that cannot be found belongs to the last
/// module of the path.
fn find_definition(source: &Source, module: &Name, rest: &[String], depth: usize) -> Option<To> {
    let here = source.modules.get(module)?;
    let Some(next) = rest.first() else { return Some(To::File(here.file.clone())) };
    if here.children.contains(next) {
        let child = module.iter().chain([next]).cloned().collect();
        return find_definition(source, &child, &rest[1..], depth);
    }
    if here.items.contains(next) {
        return Some(To::File(here.file.clone()));
    }
    if let Some(import) = find_import(here, next) {
        // A name that a file imports from another crate and exports again belongs to this file.
        let own = |to| if matches!(to, To::Crate(_)) { To::File(here.file.clone()) } else { to };
        return resolve(source, module, &expand_import(import, &rest[1..]), depth + 1).map(own);
    }
    let globs = here.imports.iter().filter(|import| import.name.is_none());
    let found = globs.filter_map(|glob| {
        resolve(source, module, &glob.path, depth + 1).filter(|_| defines(source, module, glob, next))
    });
    Some(found.into_iter().next().unwrap_or_else(|| To::File(here.file.clone())))
}

/// Whether the module of a glob import has this name.
fn defines(source: &Source, module: &Name, glob: &Import, name: &str) -> bool {
    let path = &glob.path.segments;
    let base: Name = match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => module.iter().chain(&path[1..]).cloned().collect(),
        _ => module.iter().chain(path).cloned().collect(),
    };
    source.modules.get(&base).is_some_and(|module| module.items.contains(name) || find_import(module, name).is_some())
}
