//! The states of a document, each made from the one before.

use bytes::Bytes;

use super::{
    findings::Findings,
    tbs::{Parts, Tbs},
};
use crate::core::{
    der::DerError,
    key::{PublicKey, SignatureAlgorithm},
};

/// A kind of document that is drafted, linted, compared, signed and checked.
pub trait Document: Sized {
    /// What the draft was made from, to lint it against.
    type Source<'a>;
    /// What it is compared with before it is signed.
    type Before<'a>;

    /// Reads the bytes back with a parser that did not write them, and names all that is wrong.
    fn lint(&self, tbs: &[u8], source: &Self::Source<'_>) -> Findings;

    /// Names all that must not differ from what was there before, and does.
    fn compare(&self, tbs: &[u8], before: &Self::Before<'_>) -> Findings;

    /// What a CA elsewhere says in its place, in bytes of its own making; the rest must be as it
    /// was planned. None where nobody else can make it: that is so for all but CRLs.
    fn made_elsewhere(self, _tbs: &[u8]) -> Option<Self> {
        None
    }

    /// What stands behind the signature: nothing in CRLs and certificates, the certificates in OCSP
    /// responses.
    fn assemble(&self, tbs: Tbs, algorithm: SignatureAlgorithm, signature: &[u8]) -> Bytes {
        tbs.assemble(algorithm, signature, &[])
    }
}

/// What the key of a CA signs: CRLs, and the certificates of its responders. Nothing else
/// implements this, so a CA's signer can be given nothing else.
pub trait SignedByCa: Document {}

/// A document and its bytes to be signed, which stay what they are from the draft on.
#[derive(Debug)]
struct Body<D> {
    document: D,
    tbs: Tbs,
    algorithm: SignatureAlgorithm,
}

/// Drafted: bytes that nobody has looked at.
#[derive(Debug)]
pub struct Draft<D>(Body<D>);

/// Read back and found right.
#[derive(Debug)]
pub struct Linted<D>(Body<D>);

/// Compared with what was there before; may be signed.
#[derive(Debug)]
pub struct Compared<D>(Body<D>);

/// What comes back from a signer.
#[derive(Debug)]
pub enum SignerAnswer {
    /// A signature over the bytes that were to be signed. ECDSA's is DER (RFC 3279 §2.2.3).
    Signature(Vec<u8>),
    /// A whole document, from a CA elsewhere that signs a list of its own making.
    Whole(Bytes),
}

/// Signed, but nobody has verified by whom, or what.
#[derive(Debug)]
pub struct Signed<D> {
    compared: Compared<D>,
    answer: SignerAnswer,
}

/// Verified; may be published.
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
        "the signature does not verify under the certificate's key: the key signed with is \
         another one"
    )]
    Signature,
    /// There is no signature.
    #[error("the key refused to sign with {0}")]
    Refused(SignatureAlgorithm),
    /// What was signed elsewhere is no document.
    #[error("what was signed elsewhere cannot be read")]
    Whole(#[source] DerError),
    /// What was signed elsewhere is signed with another algorithm than was asked for.
    #[error("what was signed elsewhere is not signed with {0}")]
    Algorithm(SignatureAlgorithm),
    /// Nobody else makes such a document, or its bytes do not say what one must.
    #[error("what was signed elsewhere cannot take the place of what was asked for")]
    Elsewhere,
    /// What was signed elsewhere breaks the rules, or contradicts what was published before.
    #[error("what was signed elsewhere is refused")]
    Found(#[source] Findings),
}

impl<D: Document> Draft<D> {
    /// Drafting is free; all rules are behind it.
    pub(in crate::core) fn new(document: D, tbs: Tbs, algorithm: SignatureAlgorithm) -> Self {
        Self(Body {
            document,
            tbs,
            algorithm,
        })
    }

    /// Reads the draft back and lints it; all findings are told at once.
    pub fn lint(self, source: &D::Source<'_>) -> Result<Linted<D>, Findings> {
        let Self(body) = self;
        let found = body.document.lint(body.tbs.bytes(), source);
        found.into_result()?;
        Ok(Linted(body))
    }
}

impl<D: Document> Linted<D> {
    /// What is to be signed.
    pub fn to_be_signed(&self) -> &[u8] {
        self.0.tbs.bytes()
    }

    /// What differs from what was there before, and must not.
    pub fn differences(&self, before: &D::Before<'_>) -> Findings {
        self.0.document.compare(self.0.tbs.bytes(), before)
    }

    /// Compares with what was there before, so that the key is not used for what would be refused
    /// afterwards.
    pub fn compare(self, before: &D::Before<'_>) -> Result<Compared<D>, Findings> {
        self.differences(before).into_result()?;
        Ok(Compared(self.0))
    }
}

impl<D: Document> Compared<D> {
    /// What it is.
    pub fn document(&self) -> &D {
        &self.0.document
    }

    /// What the signer signs.
    pub fn to_be_signed(&self) -> &[u8] {
        self.0.tbs.bytes()
    }

    /// What the signer signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }

    /// Takes the signer's answer.
    pub fn answered(self, answer: SignerAnswer) -> Signed<D> {
        Signed {
            compared: self,
            answer,
        }
    }

    pub(super) fn verified(
        self,
        signature: &[u8],
        key: &PublicKey,
    ) -> Result<Checked<D>, CheckError> {
        match key.verifies(self.0.algorithm, self.0.tbs.bytes(), signature) {
            true => Ok(self.assembled(signature)),
            false => Err(CheckError::Signature),
        }
    }

    pub(super) fn assembled(self, signature: &[u8]) -> Checked<D> {
        let Self(body) = self;
        let bytes = body.document.assemble(body.tbs, body.algorithm, signature);
        Checked {
            document: body.document,
            bytes,
        }
    }
}

impl<D: Document> Signed<D> {
    /// Verifies the signature under `key`. The bytes are those that were linted and compared; where
    /// the signer made a document of its own, that one is read, linted and compared now.
    pub fn check(
        self,
        key: &PublicKey,
        source: &D::Source<'_>,
        before: &D::Before<'_>,
    ) -> Result<Checked<D>, CheckError> {
        let Self { compared, answer } = self;
        match answer {
            SignerAnswer::Signature(signature) => compared.verified(&signature, key),
            SignerAnswer::Whole(bytes) => compared.replaced(bytes, key, source, before),
        }
    }
}

impl<D: Document> Compared<D> {
    /// What a CA elsewhere made takes the place of what was asked for.
    fn replaced(
        self,
        bytes: Bytes,
        key: &PublicKey,
        source: &D::Source<'_>,
        before: &D::Before<'_>,
    ) -> Result<Checked<D>, CheckError> {
        let Self(Body {
            document,
            algorithm,
            ..
        }) = self;
        let parts = Parts::read(&bytes).map_err(CheckError::Whole)?;
        if parts.algorithm != algorithm.identifier() {
            return Err(CheckError::Algorithm(algorithm));
        }
        if !key.verifies(algorithm, parts.tbs, parts.signature) {
            return Err(CheckError::Signature);
        }
        let document = document
            .made_elsewhere(parts.tbs)
            .ok_or(CheckError::Elsewhere)?;
        let mut found = document.lint(parts.tbs, source);
        found.0.extend(document.compare(parts.tbs, before).0);
        found.into_result().map_err(CheckError::Found)?;
        Ok(Checked { document, bytes })
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
