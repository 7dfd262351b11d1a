//! The seal: `Draft → Linted → Signed → Checked`.
//!
//! A document is drafted, read back and linted, signed, and checked; each step takes the value of
//! the step before, and there is no other way to make one. Only [`Linted`] reaches a signer, only
//! [`Checked`] reaches the world.
//!
//! A draft has no bytes to sign, and what was signed has no bytes to publish:
//!
//! ```compile_fail,E0599
//! fn sign(draft: rescind::core::seal::Draft<rescind::core::crl::Crl>) {
//!     draft.to_be_signed();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn publish(signed: rescind::core::seal::Signed<rescind::core::crl::Crl>) {
//!     signed.bytes();
//! }
//! ```
//!
//! Nobody else can make a checked document, or one that pretends to be linted:
//!
//! ```compile_fail,E0451
//! use rescind::core::{crl::Crl, seal::Checked};
//! fn forge(crl: Crl) -> Checked<Crl> {
//!     rescind::core::seal::Checked { document: crl, bytes: vec![].into() }
//! }
//! ```
//!
//! ```compile_fail,E0451
//! fn forge(crl: rescind::core::crl::Crl) -> rescind::core::seal::Linted<rescind::core::crl::Crl> {
//!     rescind::core::seal::Linted { document: crl, tbs: todo!(), algorithm: todo!() }
//! }
//! ```

use std::fmt;

use bytes::Bytes;

use super::{
    der::{tag, write},
    key::{PublicKey, SignatureAlgorithm},
};

/// A kind of document that is drafted, linted, signed and checked.
pub trait Document {
    /// What the draft was made from, to lint it against.
    type Source<'a>;
    /// What the signed document is compared with before it goes out.
    type Before<'a>;

    /// Reads the bytes back with a parser that did not write them, and names all that is wrong.
    fn lint(&self, tbs: &[u8], source: &Self::Source<'_>) -> Findings;

    /// Names all that must not differ from what was there before, and does.
    fn compare(&self, tbs: &[u8], before: &Self::Before<'_>) -> Findings;

    /// What stands behind the signature: nothing in CRLs and certificates, the certificates in OCSP
    /// responses.
    fn assemble(&self, tbs: Tbs, algorithm: SignatureAlgorithm, signature: &[u8]) -> Bytes {
        tbs.assemble(algorithm, signature, &[])
    }
}

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

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub lint: &'static str,
    /// Where it is written.
    pub clause: &'static str,
    /// What was found.
    pub detail: String,
}

/// All that is wrong with a document; empty is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds a finding.
    pub fn add(&mut self, lint: &'static str, clause: &'static str, detail: impl Into<String>) {
        self.0.push(Finding {
            lint,
            clause,
            detail: detail.into(),
        });
    }

    /// Adds a finding unless `good`.
    pub fn require(
        &mut self,
        good: bool,
        lint: &'static str,
        clause: &'static str,
        detail: impl Into<String>,
    ) {
        if !good {
            self.add(lint, clause, detail);
        }
    }

    fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::error::Error for Findings {}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |finding: &Finding| {
            format!("{} ({}): {}", finding.lint, finding.clause, finding.detail)
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("; "))
    }
}

/// A document that one client reads at once, and nobody keeps: it may go out on the proof that its
/// key is the right one (see [`Proven`]). Nothing else implements this.
pub trait Fleeting: Document {}

/// How a key pair makes a signature; none where it refuses.
pub type Sign<K> = fn(&K, SignatureAlgorithm, &[u8]) -> Option<Vec<u8>>;

/// A key pair in memory that was seen to sign what a public key verifies.
///
/// The rule: everything that is published or kept has its own signature verified. What is
/// [`Fleeting`] relies on the proof instead, because a verification takes three times as long as a
/// P-256 signature. The proof and the signatures cannot come apart: the pair and the way it signs
/// are inside, and this is the only way to them. What is left is a fault of the machine in the
/// midst of a signature; it spoils one answer, and its reader notices.
///
/// Only what is fleeting can be had without a verification:
///
/// ```compile_fail,E0277
/// use rescind::core::{crl::Crl, seal::{Linted, Proven}};
/// fn hurry<K>(key: Proven<K>, crl: Linted<Crl>) {
///     key.seal_fleeting(crl);
/// }
/// ```
pub struct Proven<K> {
    pair: K,
    sign: Sign<K>,
    algorithm: SignatureAlgorithm,
    public: PublicKey,
}

impl<K> fmt::Debug for Proven<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proven({})", self.algorithm)
    }
}

impl<K> Proven<K> {
    /// Signs a probe, and verifies it; none where the pair is not that of `public`.
    pub fn new(pair: K, sign: Sign<K>, public: PublicKey) -> Option<Self> {
        // No OCTET STRING is an OCSP response, a CRL or a certificate.
        const PROBE: &[u8] = b"\x04\x21rescind proves that keys fit here";
        let algorithm = public.default_algorithm();
        let signature = sign(&pair, algorithm, PROBE)?;
        public
            .verifies(algorithm, PROBE, &signature)
            .then_some(Self {
                pair,
                sign,
                algorithm,
                public,
            })
    }

    /// The key that verifies.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<D: Document>(&self, linted: Linted<D>) -> Option<Signed<D>> {
        if linted.algorithm != self.algorithm {
            return None;
        }
        let signature = (self.sign)(&self.pair, self.algorithm, linted.tbs.bytes())?;
        Some(linted.signed(signature))
    }

    /// Signs, verifies, and puts the two together.
    pub fn seal<D: Document>(
        &self,
        linted: Linted<D>,
        before: &D::Before<'_>,
    ) -> Result<Checked<D>, CheckError> {
        self.sign(linted)
            .ok_or(CheckError::Refused(self.algorithm))?
            .check(&self.public, before)
    }

    /// Signs, and relies on the proof that the signature verifies.
    pub fn seal_fleeting<D: Fleeting>(&self, linted: Linted<D>) -> Result<Checked<D>, CheckError> {
        let signed = self
            .sign(linted)
            .ok_or(CheckError::Refused(self.algorithm))?;
        Ok(signed.assembled())
    }
}

/// Drafted: bytes that nobody has looked at.
#[derive(Debug)]
pub struct Draft<D> {
    document: D,
    tbs: Tbs,
    algorithm: SignatureAlgorithm,
}

/// Read back and found right; may be signed.
#[derive(Debug)]
pub struct Linted<D> {
    document: D,
    tbs: Tbs,
    algorithm: SignatureAlgorithm,
    /// Whether the bytes, which do not change any more, were compared with what was there before.
    is_compared: bool,
}

/// Signed, but nobody has verified by whom.
#[derive(Debug)]
pub struct Signed<D> {
    document: D,
    tbs: Tbs,
    algorithm: SignatureAlgorithm,
    is_compared: bool,
    signature: Vec<u8>,
}

/// Verified and compared with what was there before; may be published.
#[derive(Debug)]
pub struct Checked<D> {
    document: D,
    bytes: Bytes,
}

/// Why a signed document is not fit to go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The signature is not that of the expected key.
    #[error(
        "the signature does not verify under the certificate's key: the key signed with is another \
         one"
    )]
    Signature,
    /// There is no signature.
    #[error("the key refused to sign with {0}")]
    Refused(SignatureAlgorithm),
    /// It contradicts what was published before.
    #[error(transparent)]
    Compare(#[from] Findings),
}

impl<D: Document> Draft<D> {
    /// Drafting is free; all rules are behind it.
    pub(super) fn new(document: D, tbs: Tbs, algorithm: SignatureAlgorithm) -> Self {
        Self {
            document,
            tbs,
            algorithm,
        }
    }

    /// Reads the draft back and lints it; all findings are told at once.
    pub fn lint(self, source: &D::Source<'_>) -> Result<Linted<D>, Findings> {
        self.document.lint(self.tbs.bytes(), source).into_result()?;
        Ok(Linted {
            document: self.document,
            tbs: self.tbs,
            algorithm: self.algorithm,
            is_compared: false,
        })
    }
}

impl<D: Document> Linted<D> {
    /// What the signer signs.
    pub fn to_be_signed(&self) -> &[u8] {
        self.tbs.bytes()
    }

    /// What the signer signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// What differs from what was there before, and must not.
    pub fn differences(&self, before: &D::Before<'_>) -> Findings {
        self.document.compare(self.tbs.bytes(), before)
    }

    /// Compares with what was there before, so that the key is not used for what would be refused
    /// afterwards.
    pub fn compare(self, before: &D::Before<'_>) -> Result<Self, Findings> {
        self.document
            .compare(self.tbs.bytes(), before)
            .into_result()?;
        Ok(Self {
            is_compared: true,
            ..self
        })
    }

    /// Takes the signer's answer. ECDSA signatures are DER here (RFC 3279 §2.2.3).
    pub fn signed(self, signature: Vec<u8>) -> Signed<D> {
        let Self {
            document,
            tbs,
            algorithm,
            is_compared,
        } = self;
        Signed {
            document,
            tbs,
            algorithm,
            is_compared,
            signature,
        }
    }
}

impl<D: Document> Signed<D> {
    /// Verifies the signature over the linted bytes, compares them with what was there before
    /// unless that was done before signing, and puts the two together.
    pub fn check(self, key: &PublicKey, before: &D::Before<'_>) -> Result<Checked<D>, CheckError> {
        let tbs = self.tbs.bytes();
        if !key.verifies(self.algorithm, tbs, &self.signature) {
            return Err(CheckError::Signature);
        }
        if !self.is_compared {
            self.document
                .compare(tbs, before)
                .into_result()
                .map_err(CheckError::Compare)?;
        }
        Ok(self.assembled())
    }

    fn assembled(self) -> Checked<D> {
        let bytes = self
            .document
            .assemble(self.tbs, self.algorithm, &self.signature);
        Checked {
            document: self.document,
            bytes,
        }
    }
}

impl<D> Checked<D> {
    /// What it is.
    pub fn document(&self) -> &D {
        &self.document
    }

    /// The bytes to publish.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to publish, shared and not copied: a CRL may be large.
    pub fn shared(&self) -> Bytes {
        self.bytes.clone()
    }
}
