//! Just enough DER to write requests and to look at what is published. It shares nothing with the
//! product, so that one mistake is not made twice.

/// A value with its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

/// Reads one value; returns what is behind it.
pub fn read(bytes: &[u8]) -> (Tlv<'_>, &[u8]) {
    let (len, start) = match usize::from(bytes[1]) {
        short @ 0..0x80 => (short, 2),
        long => {
            let octets = &bytes[2..2 + (long & 0x7f)];
            (
                octets
                    .iter()
                    .fold(0, |len, &octet| len << 8 | usize::from(octet)),
                2 + octets.len(),
            )
        }
    };
    let (whole, rest) = bytes.split_at(start + len);
    assert_eq!(
        tlv(bytes[0], &[&whole[start..]]),
        whole,
        "the length is not DER's shortest"
    );
    (
        Tlv {
            tag: bytes[0],
            content: &whole[start..],
            whole,
        },
        rest,
    )
}

/// Reads the one value that `bytes` are.
pub fn only(bytes: &[u8]) -> Tlv<'_> {
    let (value, rest) = read(bytes);
    assert!(
        rest.is_empty(),
        "{} octets stand behind the value",
        rest.len()
    );
    value
}

/// The values inside a constructed one.
pub fn children(content: &[u8]) -> Vec<Tlv<'_>> {
    let mut rest = content;
    let mut found = vec![];
    while !rest.is_empty() {
        let (value, behind) = read(rest);
        found.push(value);
        rest = behind;
    }
    found
}

/// Writes a value.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        let octets = content.len().to_be_bytes();
        let octets = &octets[octets.iter().position(|&octet| octet != 0).unwrap()..];
        out.push(0x80 | octets.len() as u8);
        out.extend_from_slice(octets);
    }
    out.extend_from_slice(&content);
    out
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

/// An INTEGER with the shortest content for the positive number in `octets`.
pub fn unsigned(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    let octets = &octets[zeros..];
    match octets.first() {
        None => tlv(2, &[&[0]]),
        Some(first) if first & 0x80 != 0 => tlv(2, &[&[0], octets]),
        Some(_) => tlv(2, &[octets]),
    }
}

/// One extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The content octets of its object identifier.
    pub id: Vec<u8>,
    pub critical: bool,
    pub value: Vec<u8>,
}

pub fn extensions(list: &[u8]) -> Vec<Extension> {
    let one = |extension: Tlv<'_>| {
        let fields = children(extension.content);
        let critical = fields.len() == 3;
        if critical {
            assert_eq!(
                fields[1].whole,
                [1, 1, 0xff],
                "criticality FALSE must not be encoded"
            );
        }
        let value = fields.last().unwrap();
        assert_eq!((fields[0].tag, value.tag), (6, 4));
        Extension {
            id: fields[0].content.to_vec(),
            critical,
            value: value.content.to_vec(),
        }
    };
    children(only(list).content).into_iter().map(one).collect()
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The form of a time in DER, and its digits as `YYYYMMDDHHMMSSZ`.
pub fn time(value: Tlv<'_>) -> (u8, String) {
    let text = std::str::from_utf8(value.content).unwrap();
    let full = match (value.tag, text.len()) {
        (0x17, 13) => format!(
            "{}{text}",
            if text.as_bytes()[0] >= b'5' {
                "19"
            } else {
                "20"
            }
        ),
        (0x18, 15) => text.to_owned(),
        other => panic!("{text} is no DER time: {other:?}"),
    };
    assert!(
        full.ends_with('Z') && full[..14].bytes().all(|octet| octet.is_ascii_digit()),
        "{full}"
    );
    (value.tag, full)
}

/// `YYYYMMDDHHMMSSZ` as RFC 3339.
pub fn rfc3339(digits: &str) -> String {
    let part = |from: usize, to: usize| &digits[from..to];
    let date = format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8));
    format!("{date}T{}:{}:{}Z", part(8, 10), part(10, 12), part(12, 14))
}

/// `YYYYMMDDHHMMSSZ` as seconds since 1970.
pub fn seconds(digits: &str) -> u64 {
    let time = rfc3339(digits).parse::<rescind::facade::core::time::Timestamp>();
    time.unwrap().seconds()
}
