//! What becomes of a request's path on its way to the handler.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What YARP's `EncodePath` does not let stand: everything but unreserved characters,
/// sub-delimiters, `:`, `@`, `/`. `%` is not among them.
const YARP: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What `System.Uri` escapes in a path; `%` only where it escapes nothing.
const URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// App Service's front end: the path is decoded, backslashes become slashes, and runs of slashes
/// become one.
pub fn front_end(raw: &str) -> String {
    let decoded = percent_decode_str(raw)
        .decode_utf8_lossy()
        .replace('\\', "/");
    let mut merged = String::with_capacity(decoded.len());
    for one in decoded.chars() {
        if one != '/' || !merged.ends_with('/') {
            merged.push(one);
        }
    }
    merged
}

/// ASP.NET Core's `Request.Path` where no front end decoded before: `%2F` stays.
pub fn aspnet(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.to_ascii_uppercase().find("%2F") {
        out += &percent_decode_str(&rest[..at]).decode_utf8_lossy();
        out += &rest[at..at + 3];
        rest = &rest[at + 3..];
    }
    out + &percent_decode_str(rest).decode_utf8_lossy()
}

/// `new Uri(request.GetDisplayUrl()).AbsolutePath`: the display URL holds the path decoded, so what
/// looks like a query or a fragment in it is one.
pub fn forwarded(path: &str) -> String {
    let path = path
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .replace('\\', "/");
    let mut escaped = String::with_capacity(path.len());
    for (at, one) in path.char_indices() {
        let hex = path
            .as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        match one {
            '%' if !hex => escaped += "%25",
            one => escaped.push(one),
        }
    }
    utf8_percent_encode(&without_dots(&escaped), URI).to_string()
}

/// Dot segments go.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.len() > 1 => parts.truncate(parts.len() - 1),
            ".." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// YARP: encoded again, an escape that survived included.
pub fn proxied(path: &str) -> String {
    utf8_percent_encode(path, YARP).to_string()
}

/// The query in forwarding mode: parsed, what has one name joined by commas, and written again.
pub fn requery(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = vec![];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        let (name, value) = (decode(name), decode(value));
        match pairs.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 = format!("{},{value}", known.1),
            None => pairs.push((name, value)),
        }
    }
    let encode =
        |text: &str| utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}
