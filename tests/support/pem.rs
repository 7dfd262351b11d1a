//! PEM (RFC 7468), as strictly as it is to be written.

use base64::{Engine, engine::general_purpose::STANDARD};

/// One block.
pub fn write(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// Every block: its label, and what is in it.
pub fn blocks(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let inside: String = lines.by_ref().take_while(|line| *line != end).collect();
        found.push((label.to_owned(), STANDARD.decode(inside).expect("base64")));
    }
    found
}

/// What is in the first block, which must have this label.
pub fn only(text: &str, label: &str) -> Vec<u8> {
    let (found, der) = blocks(text).into_iter().next().expect("a PEM block");
    assert_eq!(found, label);
    der
}
