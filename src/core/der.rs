//! DER, strictly: a reader over borrowed bytes, and the few functions that write it.
//!
//! The two halves share nothing. What [`mod@write`] wrote is read back before it is signed: CRLs by
//! [`Reader`] and `x509-cert`, OCSP responses by [`Reader`] and `rasn-ocsp`, certificates by
//! `x509-cert`.

/// Tags of the types that appear in CRLs, certificates and OCSP messages (X.680 §8.4).
pub mod tag {
    #![allow(missing_docs, reason = "named as X.680 names the types")]
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[n]`, constructed.
    pub const fn context(n: u8) -> u8 {
        0xa0 | n
    }
    /// `[n]`, primitive.
    pub const fn context_primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// What is wrong with some DER, and at which octet of the whole input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at octet {at}")]
pub struct DerError {
    /// The fault, as a phrase.
    pub what: &'static str,
    /// Offset from the beginning of the outermost input.
    pub at: usize,
}

/// Reads DER values one after the other. Indefinite, over-long or non-minimal lengths, multi-octet
/// tags and lengths past the end are refused before anything is allocated; nesting is the caller's,
/// so it is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

/// One value: its content, and the whole of it with tag and length.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// Tag, length and content.
    pub whole: &'a [u8],
    /// The content octets.
    pub content: &'a [u8],
    at: usize,
}

impl<'a> Value<'a> {
    /// Reads on inside the value.
    pub fn reader(&self) -> Reader<'a> {
        Reader {
            rest: self.content,
            at: self.at + self.whole.len() - self.content.len(),
        }
    }

    /// An error about this value.
    pub fn error(&self, what: &'static str) -> DerError {
        DerError { what, at: self.at }
    }
}

impl<'a> Reader<'a> {
    /// Reads `input` from its beginning.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input, at: 0 }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error about what comes next.
    pub fn error(&self, what: &'static str) -> DerError {
        DerError { what, at: self.at }
    }

    /// The next value, whatever it is.
    #[inline]
    pub fn any(&mut self) -> Result<Value<'a>, DerError> {
        let [tag, first, ..] = *self.rest else {
            return Err(self.error("the data ends early"));
        };
        if tag & 0x1f == 0x1f {
            return Err(self.error("a tag of more than one octet"));
        }
        let (header, len) = if first < 0x80 {
            (2, usize::from(first))
        } else {
            self.long_length(first)?
        };
        let whole = header
            .checked_add(len)
            .and_then(|end| self.rest.get(..end))
            .ok_or(self.error("a length that runs past the end"))?;
        let value = Value {
            tag,
            whole,
            content: &whole[header..],
            at: self.at,
        };
        self.rest = &self.rest[whole.len()..];
        self.at += whole.len();
        Ok(value)
    }

    /// X.690 §10.1: definite form, in the fewest octets. Four octets of length are enough for
    /// anything here.
    fn long_length(&self, first: u8) -> Result<(usize, usize), DerError> {
        let count = usize::from(first & 0x7f);
        if count == 0 {
            return Err(self.error("an indefinite length, which DER forbids"));
        }
        if count > 4 {
            return Err(self.error("a length of more than four octets"));
        }
        let octets = self
            .rest
            .get(2..2 + count)
            .ok_or(self.error("the data ends early"))?;
        let len = octets
            .iter()
            .fold(0usize, |len, &octet| len << 8 | usize::from(octet));
        if octets[0] == 0 || len < 0x80 {
            return Err(self.error("a length that is not minimal, which DER forbids"));
        }
        Ok((2 + count, len))
    }

    /// The next value, which must have this tag.
    #[inline]
    pub fn value(&mut self, tag: u8, what: &'static str) -> Result<Value<'a>, DerError> {
        match self.rest.first() {
            Some(&found) if found == tag => self.any(),
            _ => Err(self.error(what)),
        }
    }

    /// The content of the next value, which must have this tag.
    #[inline]
    pub fn content(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], DerError> {
        self.value(tag, what).map(|value| value.content)
    }

    /// The next value if it has this tag.
    #[inline]
    pub fn optional(&mut self, tag: u8) -> Result<Option<Value<'a>>, DerError> {
        match self.rest.first() {
            Some(&found) if found == tag => self.any().map(Some),
            _ => Ok(None),
        }
    }

    /// Reads on inside the next value, a SEQUENCE.
    pub fn sequence(&mut self, what: &'static str) -> Result<Self, DerError> {
        self.value(tag::SEQUENCE, what).map(|value| value.reader())
    }

    /// Nothing may be left.
    pub fn finish(self, what: &'static str) -> Result<(), DerError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error(what))
        }
    }
}

/// One extension of a certificate, CRL, CRL entry or OCSP message.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionRef<'a> {
    /// The content octets of its object identifier.
    pub id: &'a [u8],
    /// Whether it is critical.
    pub critical: bool,
    /// The content of its OCTET STRING.
    pub value: &'a [u8],
}

/// Reads `Extensions` strictly: at least one, `critical` never encoded as FALSE, none twice.
pub(crate) fn extensions(mut list: Reader<'_>) -> Result<Vec<ExtensionRef<'_>>, DerError> {
    let mut items = list.sequence("extensions are not a SEQUENCE")?;
    list.finish("octets behind the extensions")?;
    if items.is_empty() {
        // RFC 5280 §4.1: SEQUENCE SIZE (1..MAX).
        return Err(items.error("an empty list of extensions"));
    }
    let mut found: Vec<ExtensionRef<'_>> = Vec::new();
    while !items.is_empty() {
        let at = items.error("an extension that stands twice");
        let extension = extension(&mut items)?;
        if found.iter().any(|other| other.id == extension.id) {
            return Err(at);
        }
        found.push(extension);
    }
    Ok(found)
}

/// Reads one `Extension`.
pub(crate) fn extension<'a>(items: &mut Reader<'a>) -> Result<ExtensionRef<'a>, DerError> {
    let mut item = items.sequence("an extension is not a SEQUENCE")?;
    let at = item.error("an extension whose object identifier is not DER");
    let id = item.content(tag::OID, "an extension without object identifier")?;
    if !is_object_identifier(id) {
        return Err(at);
    }
    let critical = match item.optional(tag::BOOLEAN)? {
        None => false,
        Some(flag) if flag.content == [0xff] => true,
        // X.690 §11.1 and §11.5: TRUE is FF, and a DEFAULT is not encoded.
        Some(flag) => return Err(flag.error("an extension whose critical flag is not DER")),
    };
    let value = item.content(tag::OCTET_STRING, "an extension without value")?;
    item.finish("octets behind an extension")?;
    Ok(ExtensionRef {
        id,
        critical,
        value,
    })
}

/// X.690 §8.19.2: subidentifiers in the fewest octets, the last of each without its first bit, and
/// at least one.
fn is_object_identifier(content: &[u8]) -> bool {
    let mut is_first = true;
    let is_minimal = content.iter().all(|&octet| {
        let is_padding = is_first && octet == 0x80;
        is_first = octet < 0x80;
        !is_padding
    });
    is_minimal && is_first && !content.is_empty()
}

/// Writing: functions from parts to bytes.
pub mod write {
    use super::tag;
    use crate::core::time::Timestamp;

    /// How many octets tag and length take for a content of `len` octets.
    pub fn header_len(len: usize) -> usize {
        match len {
            0..0x80 => 2,
            0x80..0x100 => 3,
            0x100..0x1_0000 => 4,
            0x1_0000..0x100_0000 => 5,
            _ => 6,
        }
    }

    /// Appends tag and length.
    pub fn header(out: &mut Vec<u8>, tag: u8, len: usize) {
        out.push(tag);
        let octets = (len as u32).to_be_bytes();
        match header_len(len) {
            2 => out.push(octets[3]),
            size => {
                let count = size - 2;
                out.push(0x80 | count as u8);
                out.extend_from_slice(&octets[4 - count..]);
            }
        }
    }

    /// A value from its content, given in parts.
    pub fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut out = Vec::with_capacity(header_len(len) + len);
        header(&mut out, tag, len);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out
    }

    /// A SEQUENCE of parts that are DER already.
    pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        value(tag::SEQUENCE, parts)
    }

    /// A non-negative INTEGER.
    pub fn integer(number: u64) -> Vec<u8> {
        unsigned(&number.to_be_bytes())
    }

    /// An INTEGER in the fewest octets, from a magnitude in any number of them, big-endian.
    pub fn unsigned(octets: &[u8]) -> Vec<u8> {
        let zeros = octets
            .iter()
            .take_while(|&&octet| octet == 0)
            .count()
            .min(octets.len().saturating_sub(1));
        let magnitude = octets.get(zeros..).unwrap_or_default();
        let sign: &[u8] = if magnitude.first().is_some_and(|first| first & 0x80 != 0) {
            &[0]
        } else {
            &[]
        };
        value(tag::INTEGER, &[sign, magnitude])
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(octets: &[u8]) -> Vec<u8> {
        value(tag::BIT_STRING, &[&[0], octets])
    }

    /// `Time`: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5, §5.1.2.4).
    pub fn time(time: Timestamp) -> Vec<u8> {
        let digits = time.digits();
        if time.is_utc_time() {
            value(tag::UTC_TIME, &[&digits[2..]])
        } else {
            value(tag::GENERALIZED_TIME, &[&digits])
        }
    }

    /// Octets of a whole GeneralizedTime.
    pub const TIME_LEN: usize = 17;

    /// A GeneralizedTime, whatever the year.
    pub fn generalized_time(time: Timestamp) -> [u8; TIME_LEN] {
        let mut out = [0; TIME_LEN];
        out[..2].copy_from_slice(&[tag::GENERALIZED_TIME, TIME_LEN as u8 - 2]);
        out[2..].copy_from_slice(&time.digits());
        out
    }

    /// PEM (RFC 7468) of some DER; empty only for a label that RFC 7468 does not allow.
    pub fn pem(label: &str, der: &[u8]) -> String {
        der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap_or_default()
    }

    /// One `Extension` around the DER of its value.
    pub fn extension(id: &[u8], critical: bool, inner: &[u8]) -> Vec<u8> {
        let critical: &[u8] = if critical {
            &[tag::BOOLEAN, 1, 0xff]
        } else {
            &[]
        };
        let around = |octets: &[u8]| header_len(octets.len()) + octets.len();
        let len = around(id) + critical.len() + around(inner);
        let mut out = Vec::with_capacity(header_len(len) + len);
        header(&mut out, tag::SEQUENCE, len);
        header(&mut out, tag::OID, id.len());
        out.extend_from_slice(id);
        out.extend_from_slice(critical);
        header(&mut out, tag::OCTET_STRING, inner.len());
        out.extend_from_slice(inner);
        out
    }
}

/// Content octets of the object identifiers we meet.
pub mod oid {
    #![allow(missing_docs, reason = "named as the RFCs name them")]
    pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
    pub const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];
    pub const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 0x18];
    pub const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
    pub const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
    pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    pub const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
    pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    pub const FRESHEST_CRL: &[u8] = &[0x55, 0x1d, 0x2e];
    pub const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
    pub const KP_SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    pub const KP_CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    pub const KP_OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
    pub const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    pub const OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    pub const OCSP_NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
    pub const OCSP_RESPONSE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 4];
    pub const OCSP_NOCHECK: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5];
    pub const OCSP_ARCHIVE_CUTOFF: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 6];
    pub const OCSP_PREFERRED_ALGORITHMS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 8];
    pub const OCSP_EXTENDED_REVOKE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 9];
    pub const CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 2];
    pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    pub const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
    pub const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    pub const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    pub const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_definite_minimal_and_inside_the_input() {
        for (bytes, what) in [
            (&[0x30][..], "ends early"),
            (&[0x30, 0x80, 0, 0], "indefinite"),
            (&[0x30, 0x81, 0x05, 0, 0, 0, 0, 0], "not minimal"),
            (&[0x30, 0x82, 0x00, 0x80], "not minimal"),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "past the end"),
            (
                &[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                "more than four",
            ),
            (&[0x30, 0xff], "more than four"),
            (&[0x3f, 0x81, 0x00], "more than one octet"),
        ] {
            let error = Reader::new(bytes).any().unwrap_err();
            assert!(error.what.contains(what), "{bytes:x?}: {error}");
        }
    }

    #[test]
    fn an_extensions_object_identifier_is_whole_and_minimal() {
        let read = |id: &[u8]| {
            extension(&mut Reader::new(&write::extension(id, false, &[5, 0]))).map(|_| ())
        };
        for id in [
            &[0x55, 0x1d, 0x14][..],
            &[0],
            &[0x2a, 0x86, 0x48],
            &[0x2a, 0x8f, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert!(read(id).is_ok(), "{id:x?}");
        }
        for id in [
            &[][..],
            &[0x55, 0x9d],
            &[0x80, 0x55, 0x1d],
            &[0x55, 0x80, 0x1d, 0x14],
            &[0xff],
        ] {
            assert!(
                read(id)
                    .unwrap_err()
                    .what
                    .contains("object identifier is not DER"),
                "{id:x?}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read_whatever_its_length() {
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 16_777_216] {
            let content = vec![7; len];
            let bytes = write::value(tag::OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(
                reader.content(tag::OCTET_STRING, "octets").unwrap(),
                content
            );
            reader.finish("more").unwrap();
        }
    }

    #[test]
    fn integers_are_minimal_and_never_negative() {
        assert_eq!(write::integer(0), [2, 1, 0]);
        assert_eq!(write::integer(127), [2, 1, 127]);
        assert_eq!(write::integer(128), [2, 2, 0, 128]);
        assert_eq!(
            write::integer(u64::MAX),
            [2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]
        );
    }
}
