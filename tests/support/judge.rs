//! What a relying party checks of a CRL or a response, by hand and with keys alone: no code of the
//! product judges here.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sha1::{Digest, Sha1};

use super::{
    crl::{AKI, Crl},
    der, keys, now,
    ocsp::{Basic, Hash},
    pki::{extensions_of, tbs},
};

const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// Which algorithm an AlgorithmIdentifier means under a key.
fn verification(algorithm: &[u8], key: &[der::Tlv<'_>]) -> &'static dyn VerificationAlgorithm {
    let parts = der::children(key[0].content);
    let (kind, curve) = (
        parts[0].content,
        parts.get(1).map_or(&[][..], |curve| curve.content),
    );
    let pss = |hash| keys::pss(hash) == algorithm;
    match (der::hex(algorithm).as_str(), kind, curve.last()) {
        ("300a06082a8648ce3d040302", keys::EC_KEY, Some(7)) => &signature::ECDSA_P256_SHA256_ASN1,
        ("300a06082a8648ce3d040303", keys::EC_KEY, Some(0x22)) => {
            &signature::ECDSA_P384_SHA384_ASN1
        }
        ("300a06082a8648ce3d040304", keys::EC_KEY, Some(0x23)) => {
            &signature::ECDSA_P521_SHA512_ASN1
        }
        ("300d06092a864886f70d01010b0500", keys::RSA_KEY, _) => {
            &signature::RSA_PKCS1_2048_8192_SHA256
        }
        ("300d06092a864886f70d01010c0500", keys::RSA_KEY, _) => {
            &signature::RSA_PKCS1_2048_8192_SHA384
        }
        ("300d06092a864886f70d01010d0500", keys::RSA_KEY, _) => {
            &signature::RSA_PKCS1_2048_8192_SHA512
        }
        (_, keys::RSA_KEY | keys::PSS_KEY, _) if pss(Hash::Sha256) => {
            &signature::RSA_PSS_2048_8192_SHA256
        }
        (_, keys::RSA_KEY | keys::PSS_KEY, _) if pss(Hash::Sha384) => {
            &signature::RSA_PSS_2048_8192_SHA384
        }
        (_, keys::RSA_KEY | keys::PSS_KEY, _) if pss(Hash::Sha512) => {
            &signature::RSA_PSS_2048_8192_SHA512
        }
        (other, ..) => panic!("{other} under {kind:x?} {curve:x?}"),
    }
}

/// Whether the key of this certificate signed that: a certificate, a CRL, or a BasicOCSPResponse.
pub fn is_signed_by(signed: &[u8], certificate: &[u8]) -> bool {
    let parts = der::children(der::only(signed).content);
    let key = der::children(tbs(certificate)[6].content);
    assert_eq!(
        (parts[2].tag, parts[2].content[0], key[1].content[0]),
        (3, 0, 0),
        "no whole octets"
    );
    let algorithm = verification(parts[1].whole, &key);
    UnparsedPublicKey::new(algorithm, &key[1].content[1..])
        .verify(parts[0].whole, &parts[2].content[1..])
        .is_ok()
}

/// A CRL is what this CA certificate's key signed, and says so. Returns what is in it.
pub fn crl_verifies(bytes: &[u8], ca: &[u8]) -> Crl {
    let crl = Crl::read(bytes);
    assert_eq!(crl.issuer, tbs(ca)[5].whole, "the issuer is another");
    assert_eq!(crl.inner_algorithm, crl.outer_algorithm);
    let id = extensions_of(ca)
        .into_iter()
        .find(|one| one.id == SUBJECT_KEY_ID)
        .expect("a subject key identifier");
    let expected = der::sequence(&[&der::tlv(0x80, &[der::only(&id.value).content])]);
    assert_eq!(
        crl.extension(AKI)
            .expect("an authority key identifier")
            .value,
        expected
    );
    assert!(
        is_signed_by(bytes, ca),
        "the CRL's signature does not verify"
    );
    crl
}

/// A response is signed by a responder that this CA certificate's key appointed (RFC 6960
/// §4.2.2.2), and is of now.
pub fn response_verifies(response: &[u8], ca: &[u8]) {
    let outer = der::children(der::only(response).content);
    let typed = der::children(der::only(outer[1].content).content);
    let basic = Basic::read(response);
    let [credential] = &basic.certificates[..] else {
        panic!("{} certificates", basic.certificates.len())
    };
    let fields = tbs(credential);
    assert_eq!(
        fields[3].whole,
        tbs(ca)[5].whole,
        "somebody else appointed the responder"
    );
    assert!(
        is_signed_by(credential, ca),
        "the responder's certificate does not verify"
    );
    let purposes = extensions_of(credential)
        .into_iter()
        .find(|one| one.id == EXTENDED_KEY_USAGE);
    let purposes = purposes.expect("extended key usage").value;
    let ids = der::children(der::only(&purposes).content);
    assert!(
        ids.iter().any(|id| id.content == OCSP_SIGNING),
        "the certificate is no responder's"
    );
    let [from, until] = der::children(fields[4].content)[..] else {
        panic!("two dates")
    };
    let [from, until] = [from, until].map(|date| der::seconds(&der::time(date).1));
    assert!(
        (from..=until).contains(&now()),
        "the responder's certificate is not of now"
    );
    let key = der::children(fields[6].content)[1].content;
    assert_eq!(
        basic.responder,
        (0xa2, Sha1::digest(&key[1..]).to_vec()),
        "the responder is another"
    );
    assert!(
        is_signed_by(typed[1].content, credential),
        "the response's signature does not verify"
    );
    for single in &basic.singles {
        let [this, next] =
            [&single.this_update, &single.next_update].map(|time| der::seconds(time));
        assert!(
            (this..next).contains(&now()),
            "the answer is not of now: {single:?}"
        );
    }
}
