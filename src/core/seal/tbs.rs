//! The bytes to be signed, and what they become with a signature.

use bytes::Bytes;

use crate::core::{
    der::{DerError, Reader, tag, write},
    key::SignatureAlgorithm,
};

/// The bytes to be signed, with room before and behind for what the signature adds: a CRL may be
/// large.
#[derive(Clone, Debug)]
pub struct Tbs {
    buffer: Vec<u8>,
    /// Where they begin.
    start: usize,
}

/// Most octets of a tag and a length.
const HEADER: usize = 6;
/// Room for the signature and its algorithm.
const SIGNATURE_ROOM: usize = 700;

impl Tbs {
    /// A SEQUENCE whose content will have `len` octets and is written by `fill`.
    pub fn sequence(len: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut buffer = Vec::with_capacity(2 * HEADER + len + SIGNATURE_ROOM);
        buffer.resize(HEADER, 0);
        write::header(&mut buffer, tag::SEQUENCE, len);
        fill(&mut buffer);
        Self {
            buffer,
            start: HEADER,
        }
    }

    /// A SEQUENCE of `before`, a SEQUENCE with what `fill` writes if that is anything, and
    /// `behind`. What stands before the list is written when its length is known, so the list is
    /// gone through only once.
    pub fn around_list(before: &[u8], behind: &[u8], fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let room = 3 * HEADER + before.len();
        let mut buffer = vec![0; room];
        fill(&mut buffer);
        let mut tbs = Self {
            start: room,
            buffer,
        };
        if !tbs.bytes().is_empty() {
            tbs.enclose();
        }
        tbs.prepend(before);
        tbs.buffer.reserve(behind.len() + SIGNATURE_ROOM);
        tbs.buffer.extend_from_slice(behind);
        tbs.enclose();
        tbs
    }

    /// The bytes to be signed.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// There is room for it before the bytes.
    fn prepend(&mut self, part: &[u8]) {
        let end = self.start;
        self.start -= part.len();
        self.buffer[self.start..end].copy_from_slice(part);
    }

    /// Makes the bytes the content of a SEQUENCE.
    fn enclose(&mut self) {
        let mut header = Vec::with_capacity(HEADER);
        write::header(&mut header, tag::SEQUENCE, self.bytes().len());
        self.prepend(&header);
    }

    /// `SEQUENCE { tbs, algorithm, signature, … }`, in place.
    pub fn assemble(
        mut self,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        behind: &[u8],
    ) -> Bytes {
        self.buffer.extend_from_slice(&algorithm.identifier());
        self.buffer.extend_from_slice(&write::bit_string(signature));
        self.buffer.extend_from_slice(behind);
        self.enclose();
        Bytes::from(self.buffer).slice(self.start..)
    }
}

/// `SEQUENCE { tbs, algorithm, signature }`, taken apart: what a signer elsewhere made as a whole.
pub(super) struct Parts<'a> {
    pub(super) tbs: &'a [u8],
    /// The `AlgorithmIdentifier`.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Nothing may stand behind any of the three.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DerError> {
        let mut input = Reader::new(bytes);
        let mut outer = input.sequence("it is not a SEQUENCE")?;
        input.finish("octets behind it")?;
        let tbs = outer.value(tag::SEQUENCE, "what is signed is not a SEQUENCE")?;
        let algorithm = outer.value(tag::SEQUENCE, "signatureAlgorithm is not a SEQUENCE")?;
        let signature = outer.content(tag::BIT_STRING, "the signature is not a BIT STRING")?;
        let signature = signature
            .strip_prefix(&[0])
            .ok_or(outer.error("the signature is not whole octets"))?;
        outer.finish("octets behind the signature")?;
        Ok(Self {
            tbs: tbs.whole,
            algorithm: algorithm.whole,
            signature,
        })
    }
}
