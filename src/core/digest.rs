//! SHA-256, and how octets are written down.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    octets
        .iter()
        .flat_map(|octet| {
            [
                DIGITS[usize::from(octet >> 4)],
                DIGITS[usize::from(octet & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

/// A SHA-256. As text, 64 lower-case hexadecimal digits.
///
/// *Warning:* stored state, as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// One that was computed elsewhere.
    pub const fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// From 64 hexadecimal digits in any case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut octets = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != octets.len() {
            return None;
        }
        for (octet, &[high, low]) in octets.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *octet = (digit(high)? << 4 | digit(low)?) as u8;
        }
        Some(Self(octets))
    }

    /// As it was stored. What is no digest stands for one that nothing has, so that damage is found
    /// wherever it is compared, and healed like anything else that differs.
    pub(crate) fn stored(text: &str) -> Self {
        Self::from_hex(text).unwrap_or_else(|| Self::of(text.as_bytes()))
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::stored(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_64_hexadecimal_digits_and_nothing_else() {
        let digest = Digest::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::from_hex(text), Some(digest));
        assert_eq!(Digest::from_hex(&text.to_uppercase()), Some(digest));
        for wrong in [
            "",
            &text[1..],
            &text[2..],
            &format!("{text}00"),
            &text.replace("e3", "+3"),
            &text.replace("e3", "é"),
        ] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        // What is damaged is read, and equals nothing.
        let damaged: Digest = serde_json::from_str("\"00\"").unwrap();
        assert!(damaged != digest && damaged.to_string() != "00");
    }
}
