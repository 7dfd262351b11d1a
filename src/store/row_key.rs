//! Row keys, the same in every driver.
//!
//! *Warning:* stored state.

use crate::core::{crl::scope::Scope, serial::Serial};

/// The head's.
pub(crate) const HEAD: &str = "head";

/// A change set's: `c.` and 20 digits, so that keys sort like numbers.
pub(crate) fn change(seq: u64) -> String {
    format!("c.{seq:020}")
}

/// A certificate's.
pub(crate) fn status(serial: &Serial) -> String {
    format!("s.{}", serial.row_key())
}

/// Before the certificates' rows that come after this one's, or before all.
pub(crate) fn after(serial: Option<Serial>) -> String {
    serial.map_or_else(|| "s.".to_owned(), |serial| status(&serial))
}

/// Whose row has this key; none where no certificate's has.
pub(crate) fn serial(key: &str) -> Option<Serial> {
    let serial = Serial::from_hex(key.strip_prefix("s.")?).ok()?;
    // There is one key for a serial number: another spelling of it is another row.
    (status(&serial) == key).then_some(serial)
}

/// What is wrong where [`serial`] finds none.
pub(crate) fn not_a_serials(key: &str) -> String {
    format!(
        "the row {key:?} stands among the certificates' rows, and its key is no serial number's"
    )
}

/// The last checkpoint's.
pub(crate) const CHECKPOINT: &str = "p.checkpoint";

/// That of the last CRL of a scope.
pub(crate) fn scope(scope: Scope) -> String {
    format!("p.{scope}")
}

#[cfg(test)]
mod tests {
    use super::{serial as serial_of, status};
    use crate::core::serial::Serial;

    #[test]
    fn a_serial_has_one_row_key_and_no_other_spelling() {
        let serial = Serial::from_hex("0a2e").unwrap();
        let key = status(&serial);
        assert_eq!(serial_of(&key), Some(serial));
        for other in [
            "s.0a2e",
            "s.",
            "head",
            &key.to_uppercase(),
            &key.replace("2e", "2E"),
            &format!("{key}0"),
        ] {
            assert_eq!(serial_of(other), None, "{other}");
        }
    }
}
