//! Points in time in whole seconds, and the windows that CRLs and OCSP responses are valid for.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

use der::DateTime;

/// 9999-12-31T23:59:59Z, the last second that a GeneralizedTime can name.
const LAST: u64 = 253_402_300_799;

/// A second between 1970-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
///
/// Stored as seconds + 1 so that `Option<Timestamp>` takes eight octets: a replica holds millions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

/// Why a text or a DER value is not a time we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("{0:?} is not a time in UTC like 2026-01-17T00:27:48Z, from 1970 on")]
    Text(String),
    /// A fraction of a second.
    #[error("{0:?} has a fraction of a second; times are in whole seconds")]
    Fraction(String),
    /// Before 1970 or after 9999.
    #[error("the time is not between 1970 and 9999")]
    Range,
    /// Not a UTCTime `YYMMDDHHMMSSZ`, or a GeneralizedTime `YYYYMMDDHHMMSSZ`.
    #[error("the time is not in DER's form, with seconds and Z and without fraction")]
    Der,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(NonZeroU64::MIN);

    /// From seconds since 1970; none after the year 9999.
    pub const fn from_seconds(seconds: u64) -> Option<Self> {
        if seconds > LAST {
            return None;
        }
        match NonZeroU64::new(seconds + 1) {
            Some(inner) => Some(Self(inner)),
            None => None,
        }
    }

    /// Seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.0.get() - 1
    }

    /// This much later, but not after the year 9999.
    pub fn after(self, span: Duration) -> Self {
        let seconds = self.seconds().saturating_add(span.as_secs()).min(LAST);
        Self::from_seconds(seconds).unwrap_or(self)
    }

    /// This much earlier, but not before 1970.
    pub fn before(self, span: Duration) -> Self {
        Self::from_seconds(self.seconds().saturating_sub(span.as_secs())).unwrap_or(self)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.seconds().saturating_sub(earlier.seconds()))
    }

    /// The ASCII digits of a GeneralizedTime, `YYYYMMDDHHMMSSZ`; a UTCTime is its last 13 octets.
    pub fn digits(self) -> [u8; 15] {
        // Never out of range: both end with the year 9999.
        let civil = DateTime::from_unix_duration(Duration::from_secs(self.seconds()))
            .unwrap_or(DateTime::INFINITY);
        let mut digits = *b"00000000000000Z";
        let mut put = |at: usize, value: u16| {
            digits[at] += (value / 10) as u8;
            digits[at + 1] += (value % 10) as u8;
        };
        put(0, civil.year() / 100);
        put(2, civil.year() % 100);
        put(4, civil.month().into());
        put(6, civil.day().into());
        put(8, civil.hour().into());
        put(10, civil.minutes().into());
        put(12, civil.seconds().into());
        digits
    }

    /// RFC 5280 §5.1.2.4: UTCTime through 2049, GeneralizedTime from 2050.
    pub fn is_utc_time(self) -> bool {
        const Y2050: u64 = 2_524_608_000;
        self.seconds() < Y2050
    }

    /// From the content of a UTCTime, in RFC 5280's form.
    pub fn from_utc_time(content: &[u8]) -> Result<Self, TimeError> {
        let content: &[u8; 13] = content.try_into().map_err(|_| TimeError::Der)?;
        let mut general = *b"2000000000000Z_";
        // RFC 5280 §4.1.2.5.1: two-digit years from 50 on are 19YY.
        general[..2].copy_from_slice(if content[0] >= b'5' { b"19" } else { b"20" });
        general[2..].copy_from_slice(content);
        Self::from_generalized_time(&general)
    }

    /// From the content of a GeneralizedTime, in RFC 5280's form.
    pub fn from_generalized_time(content: &[u8]) -> Result<Self, TimeError> {
        let content: &[u8; 15] = content.try_into().map_err(|_| TimeError::Der)?;
        if content[14] != b'Z' || !content[..14].iter().all(u8::is_ascii_digit) {
            return Err(TimeError::Der);
        }
        let two = |at: usize| (content[at] - b'0') * 10 + (content[at + 1] - b'0');
        let year = u16::from(two(0)) * 100 + u16::from(two(2));
        let civil = DateTime::new(year, two(4), two(6), two(8), two(10), two(12))
            .map_err(|_| TimeError::Der)?;
        Self::from_seconds(civil.unix_duration().as_secs()).ok_or(TimeError::Range)
    }
}

/// Digits of many times: what was worked out for a day is kept, since certificates are revoked on
/// the same few days.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    days: Box<[(u64, [u8; 8]); SLOTS]>,
}

/// Days of almost three years, a power of two.
const SLOTS: usize = 1024;

const DAY: u64 = 24 * 3600;

impl Default for Calendar {
    fn default() -> Self {
        Self {
            days: Box::new([(u64::MAX, [0; 8]); SLOTS]),
        }
    }
}

impl Calendar {
    /// As [`Timestamp::digits`].
    pub(crate) fn digits(&mut self, time: Timestamp) -> [u8; 15] {
        let (day, second) = (time.seconds() / DAY, (time.seconds() % DAY) as u32);
        let slot = day as usize % SLOTS;
        let (known, date) = &mut self.days[slot];
        if *known != day {
            *known = day;
            date.copy_from_slice(&time.digits()[..8]);
        }
        let mut digits = *b"00000000000000Z";
        digits[..8].copy_from_slice(date);
        for (at, value) in [
            (8, second / 3600),
            (10, second / 60 % 60),
            (12, second % 60),
        ] {
            digits[at] = b'0' + (value / 10) as u8;
            digits[at + 1] = b'0' + (value % 10) as u8;
        }
        digits
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// RFC 3339 in UTC, in whole seconds.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if text.contains('.') {
            return Err(TimeError::Fraction(text.to_owned()));
        }
        let civil: DateTime = text.parse().map_err(|_| TimeError::Text(text.to_owned()))?;
        Self::from_seconds(civil.unix_duration().as_secs()).ok_or(TimeError::Range)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let part =
            |from: usize, to: usize| std::str::from_utf8(&digits[from..to]).unwrap_or_default();
        write!(f, "{}-{}-{}T", part(0, 4), part(4, 6), part(6, 8))?;
        write!(f, "{}:{}:{}Z", part(8, 10), part(10, 12), part(12, 14))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// By how much the clocks of two publishers may differ.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// From `thisUpdate` to `nextUpdate`; never empty or backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    this: Timestamp,
    next: Timestamp,
}

impl Window {
    /// None unless `this` is before `next`.
    pub fn new(this: Timestamp, next: Timestamp) -> Option<Self> {
        (this < next).then_some(Self { this, next })
    }

    /// thisUpdate.
    pub fn this(&self) -> Timestamp {
        self.this
    }

    /// nextUpdate.
    pub fn next(&self) -> Timestamp {
        self.next
    }

    /// nextUpdate - thisUpdate.
    pub fn length(&self) -> Duration {
        self.next.since(self.this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_text_is_rfc_3339_in_whole_seconds() {
        let time: Timestamp = "2026-01-17T00:27:48Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-17T00:27:48Z");
        assert!(matches!(
            "2026-01-17T00:27:48.5Z".parse::<Timestamp>(),
            Err(TimeError::Fraction(_))
        ));
        assert!(matches!(
            "yesterday".parse::<Timestamp>(),
            Err(TimeError::Text(_))
        ));
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
        assert!("2026-01-17T01:27:48+01:00".parse::<Timestamp>().is_err());
    }

    #[test]
    fn der_times_round_trip_and_refuse_fractions_and_missing_seconds() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2049-12-31T23:59:59Z",
            "2050-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(Timestamp::from_generalized_time(&time.digits()), Ok(time));
            if time.is_utc_time() {
                assert_eq!(Timestamp::from_utc_time(&time.digits()[2..]), Ok(time));
            } else {
                assert!(text >= "2050");
            }
        }
        for bad in [
            "20260117002748.5Z",
            "202601170027Z",
            "20260117002748",
            "20261317002748Z",
            "20260117002748+",
        ] {
            assert!(
                Timestamp::from_generalized_time(bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn option_of_timestamp_is_eight_octets() {
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }

    #[test]
    fn window_is_never_empty_or_backwards() {
        let at = |seconds| Timestamp::from_seconds(seconds).unwrap();
        assert!(Window::new(at(5), at(5)).is_none());
        assert!(Window::new(at(6), at(5)).is_none());
        assert_eq!(
            Window::new(at(5), at(8)).unwrap().length(),
            Duration::from_secs(3)
        );
    }
}
