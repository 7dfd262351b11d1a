//! SHA-256, and how octets are written down.

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal.
pub fn hex(octets: &[u8]) -> String {
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

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
