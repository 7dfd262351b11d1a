//! An error told with its causes, the outermost first: what the doors print.
//!
//! An error's Display says its own sentence alone, and `source()` is what it came from. Where the
//! inner error is the predicate of the outer one's sentence ("the certificate x" – "has an empty
//! subject"), the outer one says it too; so what was said already is not said again.

use std::{error::Error, fmt};

/// An error and what it came from: "outer: inner: innermost".
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some errors of others end with a line break.
        let mut said = self.0.to_string().trim_end().to_owned();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let sentence = error.to_string();
            let sentence = sentence.trim_end();
            if !said.contains(sentence) {
                said = format!("{said}: {sentence}");
            }
            cause = error.source();
        }
        f.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use super::Chain;
    use crate::core::{
        certificate::{Certificate, CertificateError},
        serial::SerialError,
    };

    #[test]
    fn every_cause_is_told() {
        let error = Certificate::from_der(b"\x30").unwrap_err();
        assert_eq!(error.to_string(), "is not a certificate");
        let told = Chain(&error).to_string();
        assert!(told.starts_with("is not a certificate: "), "{told}");
    }

    #[test]
    fn a_predicate_is_said_once() {
        let error = CertificateError::Serial(SerialError::NotPositive);
        assert_eq!(
            Chain(&error).to_string(),
            "has a serial number that is not positive, as RFC 5280 §4.1.2.2 requires"
        );
    }
}
