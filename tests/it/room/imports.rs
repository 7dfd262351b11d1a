//! What a file imports: its `use` trees, and the paths in its code. Comments and texts do not
//! count, code of tests does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{UseTree, visit::Visit};

use super::source::Source;

/// One path that a file names.
pub struct Import {
    file: String,
    module: String,
    /// The module that it stands in: the file's, or one inside.
    at: Vec<String>,
    line: usize,
    /// From `crate` on where it is one of ours, from the crate on where it is foreign.
    pub path: String,
    way: Way,
    /// The file that it leads to, if it is one of ours.
    target: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In the code.
    Path,
    Use,
    Alias,
    Glob,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.path)
    }
}

/// All of them.
pub struct Imports {
    all: Vec<Import>,
    modules: BTreeSet<String>,
}

impl Imports {
    pub fn of(sources: &[Source]) -> Self {
        let modules = modules(sources);
        let mut handed_on = BTreeMap::new();
        let mut imports = Vec::new();
        for source in sources {
            let mut reader = Reader {
                source,
                modules: &modules,
                at: split(&source.module),
                handed_on: &mut handed_on,
                imports: Vec::new(),
            };
            reader.visit_file(&source.syntax);
            imports.append(&mut reader.imports);
        }
        let files: BTreeSet<_> = sources.iter().map(|source| &*source.module).collect();
        for import in &mut imports {
            import.path = followed(import, &modules, &handed_on);
            import.target = target(&import.path, &modules, &handed_on, &files);
        }
        Self {
            all: imports,
            modules,
        }
    }

    /// Those after which a name no longer says which file it leads to: a glob of another file, and
    /// an alias of the crate or of a folder. `use super::*` of tests stays.
    pub fn veils(&self) -> impl Iterator<Item = &Import> {
        self.all.iter().filter(|import| match import.way {
            Way::Path | Way::Use => false,
            Way::Alias => self.is_folder(import),
            Way::Glob => Self::module(import).is_some_and(|module| {
                let own = scopes(import).any(|scope| scope == module);
                (self.is_folder(import) || self.modules.contains(&module)) && !own
            }),
        })
    }

    fn is_folder(&self, import: &Import) -> bool {
        Self::module(import).is_some_and(|module| {
            let below = format!("{module}/");
            module.is_empty() || self.modules.iter().any(|inner| inner.starts_with(&below))
        })
    }

    /// The module that the path is, if it is one; empty for the root.
    fn module(import: &Import) -> Option<String> {
        match &*import.path {
            "crate" => Some(String::new()),
            path => Some(path.strip_prefix("crate::")?.replace("::", "/")),
        }
    }

    /// Importing folder, imported folder, and the import.
    pub fn between_folders(&self) -> impl Iterator<Item = (&str, &str, &Import)> {
        self.all.iter().filter_map(|import| {
            let from = first(&import.module, "/");
            let to = first(import.path.strip_prefix("crate::")?, "::");
            (from != to && !from.is_empty()).then_some((from, to, import))
        })
    }

    /// Importing file, imported file, and the import. What a `mod.rs` hands on is the file's that
    /// has it.
    pub fn between_files(&self) -> impl Iterator<Item = (&str, &str, &Import)> {
        self.all.iter().filter_map(|import| {
            let (from, to) = (&*import.module, import.target.as_deref()?);
            (from != to && !from.is_empty()).then_some((from, to, import))
        })
    }

    /// Folder, crate, and the path that begins with it.
    pub fn of_crates(&self) -> impl Iterator<Item = (&str, &str, &Import)> {
        let foreign = self.all.iter().filter(|import| import.target.is_none());
        foreign.map(|import| {
            let name = first(&import.path, "::");
            (first(&import.module, "/"), name, import)
        })
    }
}

fn first<'a>(path: &'a str, separator: &str) -> &'a str {
    path.split(separator).next().unwrap_or_default()
}

fn split(module: &str) -> Vec<String> {
    module
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The modules whose names an import sees: those of its file around it, and what a `tests` takes
/// from its parent by `use super::*`.
fn scopes(import: &Import) -> impl Iterator<Item = String> {
    let own = split(&import.module).len();
    let outermost = match import.at.get(..own) {
        Some([.., last]) if last == "tests" => own - 1,
        _ => own,
    };
    (outermost..=import.at.len())
        .rev()
        .map(|len| import.at[..len].join("/"))
}

/// A path whose first name is no longer one that its file has given: `s::fs` is `std::fs` after
/// `use std as s`.
fn followed(
    import: &Import,
    modules: &BTreeSet<String>,
    handed_on: &BTreeMap<(String, String), String>,
) -> String {
    let mut path = import.path.clone();
    // Renamed so often, at most.
    for _ in 0..4 {
        let name = first(&path, "::");
        let meant = scopes(import).find_map(|scope| {
            let inner = format!("{scope}/{name}");
            let ours = modules.contains(inner.trim_start_matches('/'));
            match handed_on.get(&(scope, name.to_owned())) {
                None if ours => Some(
                    format!("crate/{inner}")
                        .replace("//", "/")
                        .replace('/', "::"),
                ),
                meant => meant.cloned(),
            }
        });
        match meant {
            Some(meant) if name != "crate" && first(&meant, "::") != name => {
                path = meant + &path[name.len()..];
            }
            _ => break,
        }
    }
    path
}

/// The file that a path of ours leads to.
fn target(
    path: &str,
    modules: &BTreeSet<String>,
    handed_on: &BTreeMap<(String, String), String>,
    files: &BTreeSet<&str>,
) -> Option<String> {
    let mut path = path.to_owned();
    // Handed on through so many folders, at most.
    for _ in 0..4 {
        let parts: Vec<_> = path.strip_prefix("crate::")?.split("::").collect();
        let len = (0..=parts.len())
            .rev()
            .find(|len| *len == 0 || modules.contains(&parts[..*len].join("/")))?;
        let module = parts[..len].join("/");
        let next = parts
            .get(len)
            .map(|name| (module.clone(), (*name).to_owned()));
        match next.and_then(|next| handed_on.get(&next)) {
            Some(other) if other.starts_with("crate::") && *other != path => path = other.clone(),
            _ => {
                let len = (0..=len)
                    .rev()
                    .find(|len| files.contains(&*parts[..*len].join("/")));
                return Some(len.map_or(module, |len| parts[..len].join("/")));
            }
        }
    }
    None
}

/// Every module, those inside of files too.
fn modules(sources: &[Source]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for source in sources {
        modules.insert(source.module.clone());
        for item in &source.syntax.items {
            if let syn::Item::Mod(inner) = item {
                let name = format!("{}/{}", source.module, inner.ident);
                modules.insert(name.trim_start_matches('/').to_owned());
            }
        }
    }
    modules
}

struct Reader<'a> {
    source: &'a Source,
    modules: &'a BTreeSet<String>,
    /// The module that is being read.
    at: Vec<String>,
    /// Module and name, and what the name there stands for.
    handed_on: &'a mut BTreeMap<(String, String), String>,
    imports: Vec<Import>,
}

impl Reader<'_> {
    /// The path from the crate's root, if it is one of ours.
    fn resolved(&self, path: &[String]) -> Vec<String> {
        let mut at = self.at.clone();
        let ours = match path.first().map(String::as_str) {
            Some("crate" | "rescind") => Some(vec![]),
            Some("self") => Some(at),
            Some("super") => {
                at.pop();
                Some(at)
            }
            Some(name) => {
                at.push(name.to_owned());
                self.modules.contains(&at.join("/")).then_some(at)
            }
            None => None,
        };
        let Some(mut ours) = ours else {
            return path.to_vec();
        };
        for part in &path[1..] {
            match part.as_str() {
                "super" => drop(ours.pop()),
                "self" => {}
                _ => ours.push(part.clone()),
            }
        }
        ours.insert(0, "crate".to_owned());
        ours
    }

    fn add(&mut self, path: &[String], span: Span, way: Way) -> String {
        let path = self.resolved(path).join("::");
        // A name alone in the code is no path.
        if way != Way::Path || path.contains("::") {
            self.imports.push(Import {
                file: self.source.path.clone(),
                module: self.source.module.clone(),
                at: self.at.clone(),
                line: span.start().line,
                path: path.clone(),
                way,
                target: None,
            });
        }
        path
    }

    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let joined = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => self.tree(&joined(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
            UseTree::Glob(glob) => {
                self.add(before, glob.star_token.spans[0], Way::Glob);
            }
            UseTree::Name(name) if name.ident == "self" => {
                let called = before.last().cloned().unwrap_or_default();
                self.leaf(before, name.ident.span(), called, Way::Use);
            }
            UseTree::Name(name) => {
                self.leaf(
                    &joined(&name.ident),
                    name.ident.span(),
                    name.ident.to_string(),
                    Way::Use,
                );
            }
            UseTree::Rename(rename) => {
                let path = match rename.ident == "self" {
                    true => before.to_vec(),
                    false => joined(&rename.ident),
                };
                let called = rename.rename.to_string();
                self.leaf(&path, rename.ident.span(), called, Way::Alias);
            }
        }
    }

    fn leaf(&mut self, path: &[String], span: Span, called: String, way: Way) {
        let path = self.add(path, span, way);
        self.handed_on.insert((self.at.join("/"), called), path);
    }

    /// Paths in the tokens of a macro, as far as they say that they are ours.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut begin = Span::call_site();
        // Something behind the last, so that it ends too.
        let end = TokenTree::Punct(proc_macro2::Punct::new(';', proc_macro2::Spacing::Alone));
        for token in tokens.into_iter().chain([end]) {
            match &token {
                TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    if path.is_empty() {
                        begin = name.span();
                    }
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                _ => {}
            }
            if path.len() > 1 {
                self.add(&path, begin, Way::Path);
            }
            path.clear();
            colons = 0;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) => {
                    begin = name.span();
                    path.push(name.to_string());
                }
                _ => {}
            }
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.at.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'a syn::ItemExternCrate) {
        let name = match item.ident == "self" {
            true => "crate".to_owned(),
            false => item.ident.to_string(),
        };
        let called = item.rename.as_ref().map(|(_, called)| called.to_string());
        let called = called.unwrap_or_else(|| name.clone());
        self.leaf(&[name], item.ident.span(), called, Way::Alias);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add(&names, path.segments[0].ident.span(), Way::Path);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    /// `#[derive(serde::Serialize)]`.
    fn visit_meta_list(&mut self, list: &'a syn::MetaList) {
        self.tokens(list.tokens.clone());
        syn::visit::visit_meta_list(self, list);
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}
}
