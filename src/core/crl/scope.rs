//! Which certificates, and which changes, a CRL is about; and the names that follow from it.

use std::fmt;

use crate::core::{
    serial::{CrlNumber, Serial},
    time::Timestamp,
};

/// What a CRL is about. CRLs of one scope replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All certificates of the issuer.
    Full,
    /// What changed since a full CRL (RFC 5280 §5.2.4).
    Delta,
    /// The certificates of one shard.
    Shard(Shard),
}

/// One of `count` parts of an issuer's certificates: those whose serial number's last octet, modulo
/// `count`, is `index`. Serial numbers have at least 64 random bits (BR §7.1), so parts are of one
/// size; and whoever issues a certificate can tell its part from its serial number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u8,
    count: u16,
}

/// Most shards of an issuer.
pub(crate) const MAX_SHARDS: u16 = 256;

impl Shard {
    /// All `count` shards, from the first. `count` is a power of two up to [`MAX_SHARDS`].
    pub fn all(count: u16) -> impl DoubleEndedIterator<Item = Self> {
        (0..=u8::MAX)
            .take(usize::from(count))
            .map(move |index| Self { index, count })
    }

    /// The shard of a certificate.
    pub fn of(serial: &Serial, count: u16) -> Self {
        let last = serial.octets()[19];
        Self {
            index: (u16::from(last) % count.max(1)) as u8,
            count,
        }
    }

    /// Whether the certificate with this serial number belongs to it.
    pub fn holds(self, serial: &Serial) -> bool {
        Self::of(serial, self.count) == self
    }

    /// Two hexadecimal digits.
    pub fn name(self) -> String {
        format!("{:02x}", self.index)
    }
}

impl Scope {
    /// What stands behind the issuer's name on the shelf, and in the URL: `.crl`, `-delta.crl`,
    /// `/00.crl` …
    pub fn file(self) -> String {
        match self {
            Self::Full => ".crl".to_owned(),
            Self::Delta => "-delta.crl".to_owned(),
            Self::Shard(shard) => format!("/{}.crl", shard.name()),
        }
    }

    /// What stands behind the number in the archive.
    pub fn archived(self) -> String {
        match self {
            Self::Full => ".crl".to_owned(),
            Self::Delta => "-delta.crl".to_owned(),
            Self::Shard(shard) => format!("-{}.crl", shard.name()),
        }
    }

    /// Whether it is about the certificate with this serial number.
    pub fn holds(self, serial: &Serial) -> bool {
        match self {
            Self::Full | Self::Delta => true,
            Self::Shard(shard) => shard.holds(serial),
        }
    }
}

impl fmt::Display for Scope {
    /// `full`, `delta`, `shard-00` …
    ///
    /// *Warning:* stored state. Row keys are made from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Delta => f.write_str("delta"),
            Self::Shard(shard) => write!(f, "shard-{}", shard.name()),
        }
    }
}

/// The full CRL that a delta CRL continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its number.
    pub number: CrlNumber,
    /// Its thisUpdate.
    pub this_update: Timestamp,
    /// The change set its index was level with.
    pub seq: u64,
}

/// Which certificates an issuer has signed at all, as the issuing distribution point says it (RFC
/// 5280 §5.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contains {
    /// Not said.
    #[default]
    All,
    /// End-entity certificates only.
    User,
    /// CA certificates only.
    Ca,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serial_has_exactly_one_shard() {
        for count in [1, 2, 16, 256] {
            assert_eq!(Shard::all(count).count(), usize::from(count));
            for last in 0..=255u8 {
                let serial = Serial::from_hex(&format!("0a2e{last:02x}")).unwrap();
                let holders: Vec<_> = Shard::all(count)
                    .filter(|shard| shard.holds(&serial))
                    .collect();
                assert_eq!(holders, [Shard::of(&serial, count)]);
            }
        }
    }

    #[test]
    fn names_are_as_documented() {
        let shard = Shard::of(&Serial::from_hex("0a2e1b").unwrap(), 16);
        let scope = Scope::Shard(shard);
        assert_eq!(
            (scope.to_string(), scope.file(), scope.archived()),
            ("shard-0b".into(), "/0b.crl".into(), "-0b.crl".into())
        );
        assert_eq!(Scope::Delta.file(), "-delta.crl");
    }
}
