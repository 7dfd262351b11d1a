//! Rules that hold within a file.

use std::collections::BTreeMap;

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use syn::{Expr, spanned::Spanned, visit::Visit};

use super::source::Source;

pub fn long_file(source: &Source, most: usize) -> Vec<String> {
    match source.text.lines().count() {
        count if count > most => vec![format!("{}: {count} lines", source.path)],
        _ => vec![],
    }
}

pub fn long_lines(source: &Source, most: usize) -> Vec<String> {
    let lines = source.text.lines().map(|line| line.chars().count());
    let long = lines.enumerate().filter(|(_, count)| *count > most);
    long.map(|(at, count)| format!("{}:{}: {count} characters", source.path, at + 1))
        .collect()
}

pub fn long_functions(source: &Source, most: usize) -> Vec<String> {
    let mut functions = Functions(Vec::new());
    functions.visit_file(&source.syntax);
    let long = functions.0.iter().filter(|(_, _, lines)| *lines > most);
    long.map(|(name, line, lines)| format!("{}:{line}: {name} has {lines} lines", source.path))
        .collect()
}

/// Name, line and length.
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        self.0
            .push((signature.ident.to_string(), first, last - first + 1));
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.add(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

/// A closure with a name is a function that has not been written.
pub fn bound_closures(source: &Source) -> Vec<String> {
    let mut closures = Closures(Vec::new());
    closures.visit_file(&source.syntax);
    let lines = closures.0.iter();
    lines
        .map(|line| format!("{}:{line}: a closure is bound", source.path))
        .collect()
}

/// Lines.
struct Closures(Vec<usize>);

impl Closures {
    fn bind(&mut self, value: &Expr, span: Span) {
        if holds_closure(value) {
            self.0.push(span.start().line);
        }
    }
}

impl<'a> Visit<'a> for Closures {
    fn visit_local(&mut self, local: &'a syn::Local) {
        if let Some(init) = &local.init {
            self.bind(&init.expr, local.let_token.span);
        }
        syn::visit::visit_local(self, local);
    }

    fn visit_expr_assign(&mut self, assign: &'a syn::ExprAssign) {
        self.bind(&assign.right, assign.span());
        syn::visit::visit_expr_assign(self, assign);
    }

    fn visit_expr_let(&mut self, condition: &'a syn::ExprLet) {
        self.bind(&condition.expr, condition.let_token.span);
        syn::visit::visit_expr_let(self, condition);
    }

    fn visit_expr_match(&mut self, choice: &'a syn::ExprMatch) {
        self.bind(&choice.expr, choice.match_token.span);
        syn::visit::visit_expr_match(self, choice);
    }

    fn visit_item_const(&mut self, item: &'a syn::ItemConst) {
        self.bind(&item.expr, item.const_token.span);
        syn::visit::visit_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'a syn::ItemStatic) {
        self.bind(&item.expr, item.static_token.span);
        syn::visit::visit_item_static(self, item);
    }
}

/// Whether a value is a closure or is made around one. What a function is merely called with ends
/// with the call.
fn holds_closure(value: &Expr) -> bool {
    match value {
        Expr::Closure(_) => true,
        Expr::Paren(inner) => holds_closure(&inner.expr),
        Expr::Group(inner) => holds_closure(&inner.expr),
        Expr::Reference(inner) => holds_closure(&inner.expr),
        Expr::Cast(inner) => holds_closure(&inner.expr),
        Expr::Repeat(inner) => holds_closure(&inner.expr),
        Expr::Tuple(tuple) => tuple.elems.iter().any(holds_closure),
        Expr::Array(array) => array.elems.iter().any(holds_closure),
        Expr::Struct(made) => made.fields.iter().any(|field| holds_closure(&field.expr)),
        Expr::Call(call) => keeps_arguments(&call.func) && call.args.iter().any(holds_closure),
        Expr::Block(inner) => ends_in_closure(&inner.block),
        Expr::If(choice) => {
            let otherwise = choice.else_branch.as_ref();
            ends_in_closure(&choice.then_branch)
                || otherwise.is_some_and(|(_, otherwise)| holds_closure(otherwise))
        }
        Expr::Match(choice) => choice.arms.iter().any(|arm| holds_closure(&arm.body)),
        _ => false,
    }
}

fn ends_in_closure(block: &syn::Block) -> bool {
    matches!(block.stmts.last(), Some(syn::Stmt::Expr(end, None)) if holds_closure(end))
}

/// `Some`, `Box::new`.
fn keeps_arguments(function: &Expr) -> bool {
    let Expr::Path(function) = function else {
        return false;
    };
    let name = function
        .path
        .segments
        .last()
        .map(|last| last.ident.to_string());
    name.is_some_and(|name| name == "new" || name.starts_with(char::is_uppercase))
}

/// Type names that stand for several things, and where.
pub fn names_of_several(sources: &[Source]) -> Vec<String> {
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for source in sources {
        let mut types = Types(Vec::new());
        types.visit_file(&source.syntax);
        for (name, span) in types.0 {
            let place = format!("{}:{}", source.path, span.start().line);
            places.entry(name).or_default().push(place);
        }
    }
    let several = places.iter().filter(|(_, places)| places.len() > 1);
    several
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect()
}

/// Name and place.
struct Types(Vec<(String, Span)>);

impl<'a> Visit<'a> for Types {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let name = match item {
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Union(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        self.0
            .extend(name.map(|name| (name.to_string(), name.span())));
        syn::visit::visit_item(self, item);
    }
}

/// Words of asynchronous code, and macros that print.
pub fn impure_words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    find_impure(source.text.parse().unwrap(), &mut found);
    found
        .into_iter()
        .map(|(word, line)| format!("{}:{line}: {word}", source.path))
        .collect()
}

fn find_impure(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => find_impure(group.stream(), found),
            TokenTree::Ident(word) => {
                let is_call = matches!(tokens.peek(), Some(TokenTree::Punct(sign))
                    if sign.as_char() == '!' && sign.spacing() == Spacing::Alone);
                let prints = is_call && PRINTING.iter().any(|name| word == name);
                if word == "async" || word == "await" || prints {
                    found.push((word.to_string(), word.span().start().line));
                }
            }
            _ => {}
        }
    }
}

/// Statements with more than `most` combinators in a row or inside each other. Blocks within, and
/// the fields of a value that is made, count for themselves.
pub fn crowded_statements(source: &Source, most: usize) -> Vec<String> {
    let mut statements = Statements(Vec::new());
    statements.visit_file(&source.syntax);
    let crowded = statements.0.iter().filter(|(_, count)| *count > most);
    crowded
        .map(|(line, count)| format!("{}:{line}: {count} combinators", source.path))
        .collect()
}

/// Line, and number of combinators.
struct Statements(Vec<(usize, usize)>);

impl<'a> Visit<'a> for Statements {
    fn visit_stmt(&mut self, statement: &'a syn::Stmt) {
        let mut combinators = Combinators(0);
        syn::visit::visit_stmt(&mut combinators, statement);
        self.0.push((statement.span().start().line, combinators.0));
        syn::visit::visit_stmt(self, statement);
    }

    fn visit_field_value(&mut self, field: &'a syn::FieldValue) {
        let mut combinators = Combinators(0);
        combinators.visit_expr(&field.expr);
        self.0.push((field.span().start().line, combinators.0));
        syn::visit::visit_field_value(self, field);
    }
}

/// Calls that take a function and so hide a branch or a loop.
const WITH_FUNCTION: [&str; 42] = [
    "map",
    "map_err",
    "map_or",
    "map_or_else",
    "and_then",
    "or_else",
    "then",
    "ok_or_else",
    "is_some_and",
    "is_none_or",
    "is_ok_and",
    "is_err_and",
    "unwrap_or_else",
    "inspect",
    "inspect_err",
    "filter",
    "filter_map",
    "flat_map",
    "fold",
    "try_fold",
    "reduce",
    "scan",
    "any",
    "all",
    "find",
    "find_map",
    "position",
    "rposition",
    "for_each",
    "try_for_each",
    "take_while",
    "skip_while",
    "map_while",
    "partition",
    "min_by_key",
    "max_by_key",
    "min_by",
    "max_by",
    "sort_by",
    "sort_by_key",
    "retain",
    "take_if",
];

/// Their siblings without one: the same branch with a value at hand, or one shape put into another.
/// What merely hands on (`collect`, `rev`, `cloned`, `ok`, `max`) reads as a word and does not count.
const WITH_VALUE: [&str; 10] = [
    "and",
    "or",
    "xor",
    "then_some",
    "ok_or",
    "unwrap_or",
    "transpose",
    "flatten",
    "zip",
    "chain",
];

struct Combinators(usize);

impl<'a> Visit<'a> for Combinators {
    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let mut names = WITH_FUNCTION.iter().chain(&WITH_VALUE);
        self.0 += usize::from(names.any(|name| call.method == name));
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_block(&mut self, _: &'a syn::Block) {}

    fn visit_field_value(&mut self, _: &'a syn::FieldValue) {}
}
