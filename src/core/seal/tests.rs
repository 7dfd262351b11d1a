//! The seal with the smallest document there is: one number.

use super::*;
use crate::core::{
    der::write,
    key::{PublicKey, SignatureAlgorithm},
    key_pair::{Generated, KeyPair, NewKey, generate},
};

/// Says one number, which must be above the one before.
#[derive(Debug)]
struct Note(u64);

impl Document for Note {
    type Source<'a> = ();
    type Before<'a> = u64;

    fn lint(&self, tbs: &[u8], (): &()) -> Findings {
        let mut findings = Findings::default();
        findings.require(tbs == note(self.0), "number", "", "another number");
        findings
    }

    fn made_elsewhere(self, _: &[u8]) -> Option<Self> {
        Some(self)
    }

    fn compare(&self, _: &[u8], before: &u64) -> Findings {
        let mut findings = Findings::default();
        findings.require(self.0 > *before, "risen", "", "not above the one before");
        findings
    }
}

fn note(number: u64) -> Vec<u8> {
    write::sequence(&[&write::integer(number)])
}

fn key() -> (KeyPair, PublicKey) {
    let Generated { pem, spki } = generate(NewKey::P256).unwrap();
    let public = PublicKey::from_spki(&spki).unwrap();
    let pair = KeyPair::from_pem(pem.as_bytes(), &public).unwrap();
    (pair, public)
}

fn compared(number: u64) -> Compared<Note> {
    let tbs = write::integer(number);
    let tbs = Tbs::sequence(tbs.len(), |out| out.extend_from_slice(&tbs));
    let draft = Draft::new(Note(number), tbs, SignatureAlgorithm::Es256);
    draft.lint(&()).unwrap().compare(&0).unwrap()
}

/// What a CA elsewhere makes of its own accord.
fn whole(number: u64, (pair, public): &(KeyPair, PublicKey)) -> Vec<u8> {
    let signed = pair.sign(compared(number)).unwrap();
    signed.check(public, &(), &0).unwrap().bytes().to_vec()
}

fn checked(answer: Vec<u8>, key: &PublicKey, before: u64) -> Result<Vec<u8>, CheckError> {
    let signed = compared(7).answered(SignerAnswer::Whole(answer.into()));
    let checked = signed.check(key, &(), &before)?;
    Ok(checked.bytes().to_vec())
}

#[test]
fn a_whole_document_from_elsewhere_is_taken_as_it_is_if_it_is_the_one_asked_for() {
    let key = key();
    let other = whole(7, &key);
    // ECDSA signs differently each time, so these are not the bytes that we would have made.
    assert_ne!(other, whole(7, &key));
    assert_eq!(checked(other.clone(), &key.1, 0).unwrap(), other);
}

#[test]
fn a_whole_document_from_elsewhere_is_verified_linted_and_compared_again() {
    let key = key();
    let named = |result: Result<Vec<u8>, CheckError>| match result {
        Err(CheckError::Found(found)) => found.0.iter().map(|one| one.lint).collect(),
        other => vec![if other.is_ok() { "taken" } else { "refused" }],
    };
    assert_eq!(named(checked(whole(8, &key), &key.1, 0)), ["number"]);
    assert_eq!(named(checked(whole(7, &key), &key.1, 7)), ["risen"]);
    let stranger = self::key();
    let refused = checked(whole(7, &stranger), &key.1, 0);
    assert_eq!(refused, Err(CheckError::Signature));
}

#[test]
fn a_whole_document_with_an_octet_too_many_or_too_few_is_refused() {
    let key = key();
    let good = whole(7, &key);
    for bad in [
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        vec![],
    ] {
        let refused = checked(bad, &key.1, 0);
        assert!(matches!(refused, Err(CheckError::Whole(_))), "{refused:?}");
    }
}

#[test]
fn a_whole_document_names_the_algorithm_that_was_asked_for() {
    let key = key();
    let asked = SignatureAlgorithm::Es256.identifier();
    let other = SignatureAlgorithm::Es384.identifier();
    let mut bytes = whole(7, &key);
    let at = bytes.windows(asked.len()).position(|found| found == asked);
    let at = at.unwrap();
    bytes[at..at + asked.len()].copy_from_slice(&other);
    let refused = checked(bytes, &key.1, 0);
    let algorithm = SignatureAlgorithm::Es256;
    assert_eq!(refused, Err(CheckError::Algorithm(algorithm)));
}

#[test]
fn a_document_that_contradicts_the_one_before_never_reaches_a_signer() {
    let tbs = write::integer(7);
    let tbs = Tbs::sequence(tbs.len(), |out| out.extend_from_slice(&tbs));
    let draft = Draft::new(Note(7), tbs, SignatureAlgorithm::Es256);
    let refused = draft.lint(&()).unwrap().compare(&7).unwrap_err();
    assert_eq!(refused.0[0].lint, "risen");
}
