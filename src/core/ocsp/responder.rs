//! The authorized responder, as its answers show it: what they say of who signed them.

use super::Preferred;
use crate::core::{
    certificate::Certificate,
    der::{Reader, tag, write},
    key::{KeyError, PublicKey, SignatureAlgorithm},
};

/// What every answer of one credential has in common.
#[derive(Clone, Debug)]
pub struct Signatory {
    /// The KeyHash of the responder.
    pub(super) hash: [u8; 20],
    /// `[2] KeyHash`: the ResponderID, byKey.
    pub(super) responder: Vec<u8>,
    /// `[0] { certs }`: the credential's certificate.
    pub(super) certs: Vec<u8>,
    pub(super) algorithm: SignatureAlgorithm,
    /// The `AlgorithmIdentifier` of its signatures.
    pub(super) identifier: Vec<u8>,
    /// The object identifier of its key's algorithm, and the parameters.
    pub(super) key: (Vec<u8>, Option<Vec<u8>>),
}

impl Signatory {
    /// Of a credential with this certificate, which has this key.
    pub fn new(certificate: &Certificate, key: &PublicKey) -> Result<Self, KeyError> {
        let algorithm = key.default_algorithm();
        let mut spki =
            Reader::new(&certificate.spki).sequence("SubjectPublicKeyInfo is not a SEQUENCE")?;
        let mut kind = spki.sequence("the key's algorithm is not a SEQUENCE")?;
        let id = kind
            .content(tag::OID, "the key's algorithm has no object identifier")?
            .to_vec();
        let parameters = if kind.is_empty() {
            None
        } else {
            Some(kind.any()?.whole.to_vec())
        };
        let hash = key.sha1();
        Ok(Self {
            hash,
            // RFC 9919 §3.2.2: "byKey".
            responder: write::value(
                tag::context(2),
                &[&write::value(tag::OCTET_STRING, &[&hash])],
            ),
            // RFC 6960 §4.2.1: the delegate's certificate, once.
            certs: write::value(tag::context(0), &[&write::sequence(&[&certificate.der])]),
            algorithm,
            identifier: algorithm.identifier(),
            key: (id, parameters),
        })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Whether its signatures are what a client prefers.
    pub fn is(&self, preferred: &Preferred<'_>) -> bool {
        let (id, parameters) = (&self.key.0[..], self.key.1.as_deref());
        let key_fits = preferred
            .key
            .is_none_or(|(wanted, with)| wanted == id && (with.is_none() || with == parameters));
        preferred.signature == self.identifier && key_fits
    }
}
