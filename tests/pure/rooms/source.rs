//! The modules of a `src` folder: what each module declares, imports and mentions. Ignores code under `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, ItemUse, UseTree, Visibility};

/// Texts of source files by path inside `src`, such as `engine/hold.rs`.
pub type Texts = BTreeMap<String, String>;

/// The path of a module from the crate root.
pub type Name = Vec<String>;

/// A path in the code, as it is written.
#[derive(Debug, Clone)]
pub struct Mention {
    pub segments: Vec<String>,
    /// Whether the path begins with `::`, so that the first name is a crate.
    pub foreign: bool,
    pub line: usize,
}

/// One imported name of a `use`.
#[derive(Debug, Clone)]
pub struct Import {
    pub path: Mention,
    /// The name in this module; `None` means all names (`*`).
    pub name: Option<String>,
    /// Whether the import is exported again (`pub use`).
    pub again: bool,
}

/// A module outside test code.
#[derive(Debug, Default)]
pub struct Module {
    pub file: String,
    pub children: BTreeSet<String>,
    pub items: BTreeSet<String>,
    pub imports: Vec<Import>,
    pub mentions: Vec<Mention>,
}

impl Module {
    /// Whether the module defines this name, or the name is a keyword.
    pub fn has(&self, name: &str) -> bool {
        self.children.contains(name) || self.items.contains(name) || ["crate", "self", "super"].contains(&name)
    }
}

/// All modules of a crate.
#[derive(Debug, Default)]
pub struct Source {
    pub modules: BTreeMap<Name, Module>,
    /// Files that were read, and modules that are only for tests.
    read: BTreeSet<String>,
    for_tests: BTreeSet<String>,
}

impl Source {
    /// Reads every module that is reachable from `lib.rs`.
    pub fn of(texts: &Texts) -> Self {
        let mut source = Self::default();
        source.file(texts, "lib.rs", &Name::new());
        source
    }

    /// Returns the files without a `mod` line, which would not be checked.
    pub fn forgotten<'a>(&self, texts: &'a Texts) -> Vec<&'a String> {
        let known = |file: &&String| {
            self.read.contains(*file) || self.for_tests.iter().any(|stem| is_in_module_folder(file, stem))
        };
        texts.keys().filter(|file| !known(file) && file.as_str() != "main.rs").collect()
    }

    fn file(&mut self, texts: &Texts, file: &str, name: &Name) {
        let parsed = syn::parse_file(&texts[file]).unwrap_or_else(|e| panic!("{file}:{}: {e}", e.span().start().line));
        self.read.insert(file.to_owned());
        self.module(texts, file, name, &parsed.items);
    }

    fn module(&mut self, texts: &Texts, file: &str, name: &Name, items: &[Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items {
            if let Item::Mod(child) = item {
                let path: Name = name.iter().cloned().chain([child.ident.to_string()]).collect();
                match &child.content {
                    _ if is_test_only(&child.attrs) => drop(self.for_tests.insert(path.join("/"))),
                    Some((_, items)) => self.module(texts, file, &path, items),
                    None => self.file(texts, &file_of(texts, &path), &path),
                }
                if !is_test_only(&child.attrs) {
                    module.children.insert(child.ident.to_string());
                }
            } else {
                module.items.extend(item_name(item).map(ToString::to_string));
                Reader(&mut module).visit_item(item);
            }
        }
        self.modules.insert(name.clone(), module);
    }
}

fn is_in_module_folder(file: &str, stem: &str) -> bool {
    file.strip_prefix(stem).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn file_of(texts: &Texts, path: &Name) -> String {
    let stem = path.join("/");
    let choices = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
    choices.into_iter().find(|file| texts.contains_key(file)).unwrap_or_else(|| panic!("mod {stem} has no file"))
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<Ident>().is_ok_and(|word| word == "test"))
}

/// Returns the name that an item has in its module.
fn item_name(item: &Item) -> Option<&Ident> {
    Some(match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => return item.ident.as_ref(),
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    })
}

/// Adds what an item imports and mentions to a module.
struct Reader<'a>(&'a mut Module);

impl Reader<'_> {
    fn mention(&mut self, idents: Vec<Ident>, foreign: bool) {
        let Some(first) = idents.first() else { return };
        let line = first.span().start().line;
        self.0.mentions.push(Mention { segments: idents.iter().map(ToString::to_string).collect(), foreign, line });
    }

    /// Adds the paths in the tokens of a macro or an attribute, which are not parsed yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path), false);
                    }
                    path.push(ident);
                    colons = 0;
                }
                other => {
                    self.mention(std::mem::take(&mut path), false);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.mention(path, false);
    }

    fn leaves(&mut self, item: &ItemUse, tree: &UseTree, before: &[Ident]) {
        let foreign = item.leading_colon.is_some();
        let mut leaf = |idents: Vec<Ident>, name: Option<&Ident>| {
            let line = idents.last().map_or(0, |ident| ident.span().start().line);
            let path = Mention { segments: idents.iter().map(ToString::to_string).collect(), foreign, line };
            let again = !matches!(item.vis, Visibility::Inherited);
            self.0.imports.push(Import { path, name: name.map(ToString::to_string), again });
        };
        let with = |ident: &Ident| before.iter().chain([ident]).cloned().collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.leaves(item, &path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.leaves(item, tree, before)),
            UseTree::Glob(_) => leaf(before.to_vec(), None),
            UseTree::Name(name) if name.ident == "self" => leaf(before.to_vec(), before.last()),
            UseTree::Name(name) => leaf(with(&name.ident), Some(&name.ident)),
            UseTree::Rename(rename) if rename.ident == "self" => leaf(before.to_vec(), Some(&rename.rename)),
            UseTree::Rename(rename) => leaf(with(&rename.ident), Some(&rename.rename)),
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(i) => &i.attrs,
            Item::Enum(i) => &i.attrs,
            Item::Fn(i) => &i.attrs,
            Item::Impl(i) => &i.attrs,
            Item::Macro(i) => &i.attrs,
            Item::Static(i) => &i.attrs,
            Item::Struct(i) => &i.attrs,
            Item::Trait(i) => &i.attrs,
            Item::Type(i) => &i.attrs,
            Item::Use(i) => &i.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test_only(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        if !is_test_only(&method.attrs) {
            visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.leaves(item, &item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.mention(path.segments.iter().map(|s| s.ident.clone()).collect(), path.leading_colon.is_some());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.visit_path(attribute.path());
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    /// A `pub(super)` is not a dependency.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Returns the `.rs` files below a folder.
pub fn texts(folder: &Path) -> Texts {
    fn add(root: &Path, folder: &Path, all: &mut Texts) {
        for entry in std::fs::read_dir(folder).expect("the folder should be readable") {
            let path = entry.expect("the entry should be readable").path();
            if path.is_dir() {
                add(root, &path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("the file should be below the root").display().to_string();
                all.insert(name, std::fs::read_to_string(&path).expect("the source file should be readable"));
            }
        }
    }
    let mut all = Texts::new();
    add(folder, folder, &mut all);
    all
}
