//! Certificate serial numbers and CRL numbers.

use super::digest::hex;
use std::{cmp::Ordering, fmt};

use super::time::Timestamp;

/// A certificate's serial number: a positive integer of at most 20 octets.
///
/// Kept left-padded, so that the order of the octets is numeric and [`Serial::row_key`] sorts like
/// the number. A value whose top bit is set takes 21 octets in DER; RFC 5280 §4.1.2.2 caps
/// *conforming* CAs at 20, but a certificate that exists must be revocable, so the value is what is
/// limited here.
///
/// *Warning:* stored state. The row key of every status row is made from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serial([u8; 20]);

/// Why a text or an INTEGER is not a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// No digits at all.
    #[error("is empty; give the serial number in hexadecimal")]
    Empty,
    /// Something that is no hexadecimal digit, and no colon between digits.
    #[error(
        "has {0:?}, which is not a hexadecimal digit; give the serial as `openssl x509 -serial` \
         prints it"
    )]
    Digit(char),
    /// More than 20 octets.
    #[error("is longer than 20 octets, the most that RFC 5280 §4.1.2.2 allows")]
    TooLong,
    /// Zero or negative.
    #[error("is not positive, as RFC 5280 §4.1.2.2 requires")]
    NotPositive,
    /// An INTEGER with superfluous leading octets.
    #[error("is not minimally encoded (X.690 §8.3.2)")]
    NotMinimal,
}

impl Serial {
    /// From hexadecimal text in any case; colons, a leading `0x` and leading zeros are allowed.
    pub fn from_hex(text: &str) -> Result<Self, SerialError> {
        let text = text.trim();
        let text = text.strip_prefix("0x").unwrap_or(text);
        let mut nibbles = Vec::with_capacity(40);
        for c in text.chars().filter(|&c| c != ':') {
            let digit = c.to_digit(16).ok_or(SerialError::Digit(c))?;
            if !(nibbles.is_empty() && digit == 0) {
                nibbles.push(digit as u8);
            }
        }
        if nibbles.len() > 40 {
            return Err(SerialError::TooLong);
        }
        if nibbles.is_empty() {
            return Err(if text.contains('0') {
                SerialError::NotPositive
            } else {
                SerialError::Empty
            });
        }
        let mut octets = [0; 20];
        for (place, nibble) in nibbles.iter().rev().enumerate() {
            octets[19 - place / 2] |= nibble << (4 * (place % 2));
        }
        Ok(Self(octets))
    }

    /// From the content octets of a DER INTEGER.
    pub fn from_integer(content: &[u8]) -> Result<Self, SerialError> {
        match content {
            [] => return Err(SerialError::Empty),
            // X.690 §8.3.2: the first nine bits are neither all zero nor all one.
            [0, next, ..] if next & 0x80 == 0 => return Err(SerialError::NotMinimal),
            [0xff, next, ..] if next & 0x80 != 0 => return Err(SerialError::NotMinimal),
            [0] => return Err(SerialError::NotPositive),
            [first, ..] if first & 0x80 != 0 => return Err(SerialError::NotPositive),
            _ => {}
        }
        let magnitude = content.strip_prefix(&[0]).unwrap_or(content);
        let mut octets = [0; 20];
        let start = 20usize
            .checked_sub(magnitude.len())
            .ok_or(SerialError::TooLong)?;
        octets[start..].copy_from_slice(magnitude);
        Ok(Self(octets))
    }

    /// From the 20 octets of [`Serial::octets`].
    pub fn from_octets(octets: [u8; 20]) -> Result<Self, SerialError> {
        if octets == [0; 20] {
            Err(SerialError::NotPositive)
        } else {
            Ok(Self(octets))
        }
    }

    /// A serial from 16 random octets, positive and of fixed length, as CAs issue them.
    pub fn from_random(random: [u8; 16]) -> Self {
        let mut octets = [0; 20];
        octets[4..].copy_from_slice(&random);
        octets[4] = octets[4] & 0x3f | 0x40;
        Self(octets)
    }

    /// All 20 octets, left-padded with zeros.
    pub fn octets(&self) -> &[u8; 20] {
        &self.0
    }

    /// The first 4 and the last 16 octets, as numbers.
    pub fn parts(&self) -> (u32, u128) {
        let low = self
            .0
            .last_chunk()
            .map_or(0, |low| u128::from_be_bytes(*low));
        (
            self.0
                .first_chunk()
                .map_or(0, |high| u32::from_be_bytes(*high)),
            low,
        )
    }

    /// The octets without leading zeros.
    fn magnitude(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|&&octet| octet == 0).count();
        &self.0[zeros..]
    }

    /// How many octets the content of the DER INTEGER has. A number whose first bit is set has a
    /// zero octet before it.
    pub fn integer_len(&self) -> usize {
        let (high, low) = self.parts();
        let bits = if high == 0 {
            128 - low.leading_zeros()
        } else {
            160 - high.leading_zeros()
        };
        bits as usize / 8 + 1
    }

    /// The content octets of the DER INTEGER: the 21-octet buffer, and how many of its last octets
    /// count.
    pub fn integer(&self) -> ([u8; 21], usize) {
        let mut content = [0; 21];
        content[1..].copy_from_slice(&self.0);
        (content, self.integer_len())
    }

    /// 40 lower-case hexadecimal digits: the sortable part of the row key.
    pub fn row_key(&self) -> String {
        hex(&self.0)
    }
}

impl Ord for Serial {
    fn cmp(&self, other: &Self) -> Ordering {
        // Faster than octet by octet.
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Serial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Serial {
    /// Whole octets in lower-case hexadecimal, without leading zero octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.magnitude()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// A CRL number (RFC 5280 §5.2.3). Only [`CrlNumber::next`] makes a new one, so numbers only rise.
///
/// *Warning:* stored state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct CrlNumber(u64);

impl CrlNumber {
    /// A number that was read from a CRL or a store.
    pub fn known(number: u64) -> Self {
        Self(number)
    }

    /// From the content octets of a DER INTEGER; none where it is negative, not minimal, or above
    /// 2^64 - 1.
    pub fn from_integer(content: &[u8]) -> Option<Self> {
        match content {
            [] => None,
            [0, next, ..] if next & 0x80 == 0 => None,
            [first, ..] if first & 0x80 != 0 => None,
            [0, rest @ ..] | rest if rest.len() <= 8 => Some(Self(
                rest.iter()
                    .fold(0, |number, &octet| number << 8 | u64::from(octet)),
            )),
            _ => None,
        }
    }

    /// The number of the CRL to be made now: above `previous`, and never below the seconds since
    /// 1970, so that it rises even if the record of previous numbers is lost.
    pub fn next(previous: Option<Self>, now: Timestamp) -> Option<Self> {
        let clock = now.seconds();
        match previous {
            None => Some(Self(clock)),
            Some(Self(previous)) => previous.checked_add(1).map(|least| Self(least.max(clock))),
        }
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_text_takes_any_case_colons_and_leading_zeros() {
        for text in ["0A2e", "0a:2E", "a2e", "0x0a2e", "00000a2e", " 0a2e "] {
            assert_eq!(
                Serial::from_hex(text).unwrap().to_string(),
                "0a2e",
                "{text}"
            );
        }
    }

    #[test]
    fn serial_text_that_is_none_says_why() {
        for (text, error) in [
            ("", SerialError::Empty),
            (":", SerialError::Empty),
            ("xyz", SerialError::Digit('x')),
            ("0", SerialError::NotPositive),
            (
                "01ffffffffffffffffffffffffffffffffffffffff",
                SerialError::TooLong,
            ),
        ] {
            assert_eq!(Serial::from_hex(text), Err(error), "{text}");
        }
    }

    #[test]
    fn serial_order_is_numeric() {
        let sorted = [
            "1",
            "7f",
            "80",
            "ff",
            "100",
            "ffffffffffffffffffffffffffffffff",
            "0100000000000000000000000000000000",
            "ffffffffffffffffffffffffffffffffffffffff",
        ];
        let serials: Vec<_> = sorted
            .iter()
            .map(|text| Serial::from_hex(text).unwrap())
            .collect();
        assert!(serials.is_sorted());
        assert!(serials.iter().map(Serial::row_key).is_sorted());
    }

    #[test]
    fn serial_integer_is_minimal_and_round_trips() {
        for (text, content) in [
            ("7f", vec![0x7f]),
            ("80", vec![0, 0x80]),
            ("0100", vec![1, 0]),
            ("80".repeat(16).as_str(), [vec![0], vec![0x80; 16]].concat()),
            ("7f".repeat(20).as_str(), vec![0x7f; 20]),
        ] {
            let serial = Serial::from_hex(text).unwrap();
            let (buffer, len) = serial.integer();
            assert_eq!(buffer[21 - len..], content);
            assert_eq!(Serial::from_integer(&content), Ok(serial));
        }
        assert_eq!(Serial::from_integer(&[0, 1]), Err(SerialError::NotMinimal));
        assert_eq!(Serial::from_integer(&[0xfb]), Err(SerialError::NotPositive));
        assert_eq!(Serial::from_integer(&[1; 21]), Err(SerialError::TooLong));
    }

    #[test]
    fn crl_number_rises_even_if_the_clock_went_back_or_the_record_is_lost() {
        let now = Timestamp::from_seconds(1_700_000_000).unwrap();
        let next = |previous: Option<u64>| {
            CrlNumber::next(previous.map(CrlNumber::known), now)
                .unwrap()
                .get()
        };
        assert_eq!(next(None), 1_700_000_000);
        assert_eq!(next(Some(1374)), 1_700_000_000);
        assert_eq!(next(Some(1_800_000_000)), 1_800_000_001);
        assert_eq!(CrlNumber::next(Some(CrlNumber::known(u64::MAX)), now), None);
    }
}
