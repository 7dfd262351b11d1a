//! `docs/settings.md`: an introduction by hand, and tables made from the settings' own text.

use std::{fs, path::Path};

use rescind::facade::config::settings::{SETTINGS, Setting};

/// Every setting stands in `docs/settings.md` with its default and meaning, in the order of the
/// code, and no other.
#[test]
fn settings_page_is_made_from_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let made = page_of(introduction(&page), SETTINGS);
    if std::env::var_os("RESCIND_WRITE_GOLDEN").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert!(
            page == made,
            "docs/settings.md is not what src/config/settings.rs says. To write it anew:\n\
             RESCIND_WRITE_GOLDEN=1 cargo test --test it settings_page\n{}",
            first_difference(&page, &made)
        );
    }
}

/// What stands before the first table.
fn introduction(page: &str) -> &str {
    page.split("## `[").next().unwrap_or_default()
}

fn page_of(introduction: &str, settings: &[Setting]) -> String {
    let mut page = introduction.trim_end().to_owned();
    let mut last = "";
    for setting in settings {
        let (section, key) = setting.key.rsplit_once('.').unwrap();
        if section != last {
            page += &format!(
                "\n\n## `{}`\n\n| key | default | meaning |\n| --- | --- | --- |",
                heading(section)
            );
            last = section;
        }
        let default = match setting.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        page += &format!("\n| `{key}` | {default} | {} |", setting.about);
    }
    page + "\n"
}

/// As TOML has it: `[[…]]` for lists.
fn heading(section: &str) -> String {
    match section {
        "issuer" | "alias" => format!("[[{section}]]"),
        _ => format!("[{section}]"),
    }
}

fn first_difference(page: &str, made: &str) -> String {
    let lines = page.lines().zip(made.lines());
    let differing = lines.enumerate().find(|(_, (is, should))| is != should);
    differing.map_or("one is longer".to_owned(), |(at, (is, should))| {
        format!("line {}: {is}\nshould be: {should}", at + 1)
    })
}

#[test]
fn settings_page_is_checked() {
    let setting = |key, default, about| Setting {
        key,
        default,
        about,
    };
    let settings = [
        setting("http.listen", "x:1", "where"),
        setting("issuer.name", "", "who"),
    ];
    let made = page_of("# Settings\n\nWords.\n\n", &settings);
    assert_eq!(
        made,
        "# Settings\n\nWords.\n\n## `[http]`\n\n\
         | key | default | meaning |\n| --- | --- | --- |\n| `listen` | `x:1` | where |\n\n\
         ## `[[issuer]]`\n\n\
         | key | default | meaning |\n| --- | --- | --- |\n| `name` | none | who |\n"
    );
    assert_eq!(page_of(introduction(&made), &settings), made);
    let old = made.replace("x:1", "x:2");
    assert_ne!(page_of(introduction(&old), &settings), old);
    assert!(first_difference(&old, &made).starts_with("line 9: "));
}
