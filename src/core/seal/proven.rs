//! A key pair that was seen to sign what its public key verifies, and what may go out on that proof
//! alone.

use std::fmt;

use super::states::{CheckError, Checked, Compared, Document};
use crate::core::key::{PublicKey, SignatureAlgorithm};

/// A document that one client reads at once, and nobody keeps: it may go out on the proof that its
/// key is the right one (see [`Proven`]). Nothing else implements this.
pub trait Fleeting: Document {}

/// How a key pair makes a signature; none where it refuses.
pub(crate) type Sign<K> = fn(&K, SignatureAlgorithm, &[u8]) -> Option<Vec<u8>>;

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
/// use rescind::facade::core::{crl::Crl, seal::{Compared, Proven}};
/// fn hurry<K>(key: Proven<K>, crl: Compared<Crl>) {
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

    fn signature<D: Document>(&self, compared: &Compared<D>) -> Result<Vec<u8>, CheckError> {
        Some(compared)
            .filter(|compared| compared.algorithm() == self.algorithm)
            .and_then(|compared| (self.sign)(&self.pair, self.algorithm, compared.to_be_signed()))
            .ok_or(CheckError::Refused(self.algorithm))
    }

    /// Signs, verifies, and puts the two together.
    pub fn seal<D: Document>(&self, compared: Compared<D>) -> Result<Checked<D>, CheckError> {
        let signature = self.signature(&compared)?;
        compared.verified(&signature, &self.public)
    }

    /// Signs, and relies on the proof that the signature verifies.
    pub fn seal_fleeting<D: Fleeting>(
        &self,
        compared: Compared<D>,
    ) -> Result<Checked<D>, CheckError> {
        let signature = self.signature(&compared)?;
        Ok(compared.assembled(&signature))
    }
}
