//! Every rule can fail.

use super::*;

#[track_caller]
fn finds(found: &[String], expected: &[&str]) {
    assert_eq!(found, expected);
}

#[test]
fn imports_are_read_not_words() {
    let text = "
        //! Like crate::http::words.
        use crate::{core::{time::Timestamp, serial::{self, Serial}}, server as s};
        use super::super::stories::revoke::{self};
        /// See [`crate::http::api`].
        fn f() -> crate::ca::Ca { println!(\"crate::cli\", crate::local::sqlite::X) }
        mod tests { use super::super::super::azure::Azure; fn g() { self::h(); super::f() } }
    ";
    let source = Source::parse("store/index.rs", text);
    let allowed: [(&str, &[&str]); 1] = [("store", &["core"])];
    let found = outside_of(&allowed, &[source]);
    finds(
        &found,
        &[
            "store -> server: store/index.rs:3: crate::server",
            "store -> stories: store/index.rs:4: crate::stories::revoke",
            "store -> ca: store/index.rs:6: crate::ca::Ca",
            "store -> local: store/index.rs:6: crate::local::sqlite::X",
            "store -> azure: store/index.rs:7: crate::azure::Azure",
        ],
    );
}

#[test]
fn what_a_folder_hands_on_is_its_file_s() {
    let sources = [
        Source::parse("core/crl/mod.rs", "mod read;\npub use read::Crl;"),
        Source::parse("core/crl/read.rs", "pub struct Crl;"),
        Source::parse("core/ocsp/get.rs", "use crate::core::crl::Crl;"),
        Source::parse("core/crlf.rs", ""),
    ];
    let found = together(&[("core/ocsp", "core/crl")], &sources);
    finds(
        &found,
        &["core/ocsp/get -> core/crl/read: core/ocsp/get.rs:1: crate::core::crl::Crl"],
    );
    finds(&together(&[("core/ocsp", "core/cr")], &sources), &[]);
}

/// A name that a file has given is followed to what it stands for.
#[test]
fn given_names_are_followed() {
    let text = "
        use crate as c; use super::super as up; use crate::core; use std as s; use s::fs as f;
        extern crate axum as a;
        fn g() { c::http::x(); up::server::y(); core::crl::z(); f::read(); a::serve() }
        mod tests { use super::*; fn h() { c::cli::x() } }
    ";
    let crl = Source::parse("core/crl.rs", "");
    let sources = [Source::parse("store/index.rs", text), crl];
    let imports = Imports::of(&sources);
    let folders: Vec<_> = imports.between_folders().map(|(_, to, _)| to).collect();
    assert_eq!(folders, ["core", "http", "server", "core", "cli"]);
    let files: Vec<_> = imports.between_files().map(|(_, to, _)| to).collect();
    assert!(files.contains(&"core/crl"));
    let crates: Vec<_> = imports
        .of_crates()
        .map(|(.., import)| &*import.path)
        .collect();
    assert!(crates.contains(&"std::fs::read") && crates.contains(&"axum::serve"));
}

#[test]
fn veils() {
    let text = "
        use crate as c;
        use crate::{self as d, *};
        use super::super as up;
        use super::super::*;
        use super::*;
        use crate::http::*;
        use crate::http as h;
        use crate::http::api::*;
        use crate::http::{self, api as fine};
        use axum::*;
        fn f() { use State::*; }
        enum State { A }
        mod tests { use super::*; }
    ";
    let sources = [
        Source::parse("store/index.rs", text),
        Source::parse("store/index/tests.rs", "use super::*;"),
        Source::parse("http/api.rs", ""),
    ];
    finds(
        &veiled(&sources),
        &[
            "store/index.rs:2: crate",
            "store/index.rs:3: crate",
            "store/index.rs:3: crate",
            "store/index.rs:4: crate",
            "store/index.rs:5: crate",
            "store/index.rs:6: crate::store",
            "store/index.rs:7: crate::http",
            "store/index.rs:8: crate::http",
            "store/index.rs:9: crate::http::api",
        ],
    );
}

#[test]
fn crates() {
    let source = Source::parse(
        "stories/x.rs",
        "use axum::Router;\nfn f() { axum::serve() }",
    );
    let found = strangers(&[("axum", &["http"])], &[source]);
    finds(
        &found,
        &[
            "stories -> axum: stories/x.rs:1: axum::Router",
            "stories -> axum: stories/x.rs:2: axum::serve",
        ],
    );
}

#[test]
fn dependencies_without_a_folder() {
    let manifest = "
        [dependencies]
        axum = '1'
        new-one = { version = '1' }
        bytes = '1'
        [target.'cfg(unix)'.dependencies]
        niced = '1'
        [dev-dependencies]
        any = '1'
    ";
    let source = Source::parse("http/x.rs", "#[derive(axum::A)] struct B;");
    let known_in: [(&str, &[&str]); 2] = [("axum", &["http", "cli"]), ("bytes", &[])];
    finds(
        &homeless(&known_in, &["bytes", "old"], manifest, &[source]),
        &[
            "bytes is in 2 lists",
            "new_one is in 0 lists",
            "niced is in 0 lists",
            "old is no dependency",
            "cli does not use axum",
        ],
    );
}

#[test]
fn knots() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")];
    let graph: Graph = edges
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into_iter()
        .collect();
    finds(&graph.knots(), &["a b c"]);
    assert!(graph.to_string().starts_with("a -> b 1\n"));
}

#[test]
fn knots_of_parts() {
    let sources = [
        Source::parse("core/crl/mod.rs", "use super::ocsp::get::A;"),
        Source::parse("core/crl/read.rs", "use super::B;"),
        Source::parse("core/ocsp/get.rs", "use crate::core::crl::read::B;"),
    ];
    finds(&parts_of("core", &sources).knots(), &["core/crl core/ocsp"]);
    finds(&parts_of("stories", &sources).knots(), &[]);
}

#[test]
fn purity() {
    let text = "use std::{fs, time::Instant};\n// async\nasync fn f() { Instant::now(); }";
    finds(
        &impure(&[Source::parse("core/x.rs", text)]),
        &[
            "core/x.rs:1: std::fs",
            "core/x.rs:1: std::time::Instant",
            "core/x.rs:3: std::time::Instant::now",
            "core/x.rs:3: async",
        ],
    );
}

#[test]
fn purity_under_other_names() {
    let text = "
        use std::time::{Duration, SystemTime as S, UNIX_EPOCH};
        use std as s;
        fn f() { s::thread::spawn(g) }
        fn g() { std::process::exit(1) }
        fn h() { vec![dbg!(1)]; println!(\"async\") }
        use std::eprintln as say;
        use std::{fmt, *};
        fn fine(print: bool) -> bool { print != true }
    ";
    finds(
        &impure(&[Source::parse("core/x.rs", text)]),
        &[
            "core/x.rs:2: std::time::SystemTime",
            "core/x.rs:2: std::time::UNIX_EPOCH",
            "core/x.rs:3: std",
            "core/x.rs:4: std::thread::spawn",
            "core/x.rs:5: std::process::exit",
            "core/x.rs:7: std::eprintln",
            "core/x.rs:8: std",
            "core/x.rs:6: dbg",
            "core/x.rs:6: println",
        ],
    );
}

#[test]
fn lengths() {
    let text = "impl A {\n    fn f() {\n        g()\n    }\n}\nfn g() {}\n";
    let source = Source::parse("x.rs", text);
    finds(
        &rules::long_functions(&source, 2),
        &["x.rs:2: f has 3 lines"],
    );
    finds(&rules::long_file(&source, 5), &["x.rs: 6 lines"]);
    finds(&rules::long_file(&source, 6), &[]);
    finds(&rules::long_lines(&source, 11), &["x.rs:2: 12 characters"]);
}

#[test]
fn closures() {
    let text = "fn f() {
        let g = |x| x;
        let h = &move || 1;
        let i = Some(|| 1);
        let j = Box::new(|| 1) as Box<dyn Fn() -> u8>;
        let (k, l) = (1, [|| 1]);
        let m;
        m = |x| x;
        let n = N { f: || 1 };
        let o = match a { 1 => |x| x, _ => { |x| x } };
        if let p = || 1 {}
        match || 1 { q => q() }
        const R: fn() -> u8 = || 1;
        a.map(|x| x);
        let s = map(a, |x| x);
        let t = a.find(|x| *x);
        let u = Some(a.any(|x| x));
        let v = { a.retain(|x| x); 1 };
        w = b.map(|x| x);
    }";
    let found = rules::bound_closures(&Source::parse("x.rs", text));
    let lines = [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13];
    let expected = lines.map(|line| format!("x.rs:{line}: a closure is bound"));
    assert_eq!(found, expected);
}

#[test]
fn combinators() {
    let text = "fn f() {
        a.map(|x| x.map(y)).filter(z).collect();
        b.map(|x| { c.or(d); });
        a.find(b).unwrap_or(c).transpose().cloned();
        A { b: c.map(d).or(e), f: g.any(h) }
    }";
    finds(
        &rules::crowded_statements(&Source::parse("x.rs", text), 1),
        &[
            "x.rs:2: 3 combinators",
            "x.rs:4: 3 combinators",
            "x.rs:5: 2 combinators",
        ],
    );
}

#[test]
fn names() {
    let sources = [
        Source::parse("a.rs", "struct One;\nmod inner { enum Two { One } }"),
        Source::parse("b.rs", "type One = u8;\nimpl A for B { type Two = u8; }"),
    ];
    finds(&rules::names_of_several(&sources), &["One: a.rs:1, b.rs:1"]);
}
