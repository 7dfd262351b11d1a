//! Basic OCSP responses: written here, and read back ([`super::lint`]) before they are signed,
//! always by [`Reader`](crate::core::der::Reader), which shares nothing with the writer, and by
//! `rasn-ocsp` where the answer will be kept.

use bytes::Bytes;

use super::{CertId, CertStatus, Signatory};
use crate::core::{
    der::{oid, tag, write},
    key::SignatureAlgorithm,
    revocation::Reason,
    seal::{Document, Draft, Findings, Fleeting, Tbs},
    time::{Timestamp, Window},
};

/// A basic response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    /// What was asked, in order.
    pub cert_ids: &'a [CertId<'a>],
    /// As many answers.
    pub statuses: &'a [CertStatus],
    /// thisUpdate, which is producedAt too, and nextUpdate.
    pub window: Window,
    /// The nonce extension's value, if one was sent.
    pub nonce: Option<&'a [u8]>,
    /// Since when certificates are answered for although they have expired (RFC 6960 §4.4.4), where
    /// that is so.
    pub archive_cutoff: Option<Timestamp>,
    /// Who signs.
    pub signatory: &'a Signatory,
}

/// By whom a draft is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By our own reader: for the answer to one client.
    Own,
    /// By `rasn-ocsp` too: for an answer that will be kept.
    Both,
}

impl<'a> Response<'a> {
    /// Writes the bytes to be signed.
    pub(crate) fn draft(self) -> Draft<Self> {
        // RFC 6960 §4.2.1: the version is DEFAULT, so not encoded.
        let responder = &self.signatory.responder;
        let produced_at = write::generalized_time(self.window.this());
        let next = write::generalized_time(self.window.next());
        let cutoff = self.archive_cutoff.map_or(vec![], |time| {
            let extension = write::extension(
                oid::OCSP_ARCHIVE_CUTOFF,
                false,
                &write::generalized_time(time),
            );
            write::value(tag::context(1), &[&write::sequence(&[&extension])])
        });
        // RFC 9919 §3.2.4: thisUpdate and nextUpdate, both always, never with a fraction.
        let times = [
            &produced_at[..],
            &[tag::context(0), write::TIME_LEN as u8],
            &next,
            &cutoff,
        ]
        .concat();
        let single_len = |(id, status): (&CertId<'_>, &CertStatus)| {
            id.der.len() + status_len(*status) + times.len()
        };
        let pairs = || self.cert_ids.iter().zip(self.statuses);
        let list_len: usize = pairs()
            .map(single_len)
            .map(|len| write::header_len(len) + len)
            .sum();
        let extensions = self.extensions();
        let len = responder.len()
            + produced_at.len()
            + write::header_len(list_len)
            + list_len
            + extensions.len();
        let tbs = Tbs::sequence(len, |out| {
            out.extend_from_slice(responder);
            out.extend_from_slice(&produced_at);
            write::header(out, tag::SEQUENCE, list_len);
            for (id, status) in pairs() {
                write::header(out, tag::SEQUENCE, single_len((id, status)));
                out.extend_from_slice(id.der);
                put_status(out, *status);
                out.extend_from_slice(&times);
            }
            out.extend_from_slice(&extensions);
        });
        let algorithm = self.signatory.algorithm;
        Draft::new(self, tbs, algorithm)
    }

    /// `[1] { responseExtensions }`; RFC 9919 §3.2.1: none without need.
    fn extensions(&self) -> Vec<u8> {
        let nonce = self
            .nonce
            .map(|nonce| write::extension(oid::OCSP_NONCE, false, nonce));
        // RFC 6960 §4.4.8: "MUST be included in the OCSP response when that response contains a
        // "revoked" status for a non-issued certificate", non-critical, and NULL.
        let extended = self
            .is_extended()
            .then(|| write::extension(oid::OCSP_EXTENDED_REVOKE, false, &[tag::NULL, 0]));
        match (nonce.unwrap_or_default(), extended.unwrap_or_default()) {
            (nonce, extended) if nonce.is_empty() && extended.is_empty() => vec![],
            (nonce, extended) => {
                write::value(tag::context(1), &[&write::sequence(&[&nonce, &extended])])
            }
        }
    }

    pub(super) fn is_extended(&self) -> bool {
        self.statuses.contains(&CertStatus::NeverIssued)
    }
}

/// RFC 6960 §2.2: a certificate that was never issued is revoked since "January 1, 1970", and on
/// hold.
pub(super) fn revocation(status: CertStatus) -> Option<(Timestamp, Option<Reason>)> {
    match status {
        CertStatus::Good | CertStatus::Unknown => None,
        CertStatus::Revoked { at, reason } => Some((at, reason)),
        CertStatus::NeverIssued => Some((Timestamp::EPOCH, Some(Reason::CertificateHold))),
    }
}

fn status_len(status: CertStatus) -> usize {
    2 + revocation(status).map_or(0, |(_, reason)| {
        write::TIME_LEN + if reason.is_some() { 5 } else { 0 }
    })
}

fn put_status(out: &mut Vec<u8>, status: CertStatus) {
    match revocation(status) {
        Some((at, reason)) => {
            out.extend_from_slice(&[tag::context(1), status_len(status) as u8 - 2]);
            out.extend_from_slice(&write::generalized_time(at));
            if let Some(reason) = reason {
                out.extend_from_slice(&[tag::context(0), 3, tag::ENUMERATED, 1, reason.code()]);
            }
        }
        None if status == CertStatus::Good => {
            out.extend_from_slice(&[tag::context_primitive(0), 0])
        }
        None => out.extend_from_slice(&[tag::context_primitive(2), 0]),
    }
}

impl Document for Response<'_> {
    type Source<'a> = Reading;
    type Before<'a> = ();

    fn lint(&self, tbs: &[u8], reading: &Reading) -> Findings {
        let mut findings = Findings::default();
        if let Err(error) = self.read_back(tbs, &mut findings) {
            findings.add("der", "RFC 6960 §4.2.1", error.to_string());
        }
        if *reading == Reading::Both {
            match rasn::der::decode::<rasn_ocsp::ResponseData>(tbs) {
                Err(error) => findings.add("der", "RFC 6960 §4.2.1", error.to_string()),
                Ok(read) => self.lint_fields(tbs, &read, &mut findings),
            }
        }
        findings
    }

    fn compare(&self, _tbs: &[u8], _before: &()) -> Findings {
        Findings::default()
    }

    /// `OCSPResponse` around the signed `BasicOCSPResponse`, written once from the outside in.
    fn assemble(&self, tbs: Tbs, _algorithm: SignatureAlgorithm, signature: &[u8]) -> Bytes {
        let around = |len: usize| write::header_len(len) + len;
        let Signatory {
            identifier, certs, ..
        } = self.signatory;
        let basic =
            tbs.bytes().len() + identifier.len() + around(1 + signature.len()) + certs.len();
        let octets = around(basic);
        let bytes = oid::OCSP_BASIC.len() + 2 + around(octets);
        let explicit = around(bytes);
        let whole = 3 + around(explicit);
        let mut out = Vec::with_capacity(around(whole));
        write::header(&mut out, tag::SEQUENCE, whole);
        out.extend_from_slice(&[tag::ENUMERATED, 1, 0]);
        write::header(&mut out, tag::context(0), explicit);
        write::header(&mut out, tag::SEQUENCE, bytes);
        write::header(&mut out, tag::OID, oid::OCSP_BASIC.len());
        out.extend_from_slice(oid::OCSP_BASIC);
        write::header(&mut out, tag::OCTET_STRING, octets);
        write::header(&mut out, tag::SEQUENCE, basic);
        out.extend_from_slice(tbs.bytes());
        out.extend_from_slice(identifier);
        write::header(&mut out, tag::BIT_STRING, 1 + signature.len());
        out.push(0);
        out.extend_from_slice(signature);
        out.extend_from_slice(certs);
        out.into()
    }
}

impl Fleeting for Response<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        der::Reader,
        key::PublicKey,
        seal::{Compared, Proven},
    };

    const STATUSES: [CertStatus; 5] = [
        CertStatus::Good,
        CertStatus::Unknown,
        CertStatus::NeverIssued,
        CertStatus::Revoked {
            at: at(1_700_000_000),
            reason: None,
        },
        CertStatus::Revoked {
            at: at(1_700_000_001),
            reason: Some(Reason::KeyCompromise),
        },
    ];

    const fn at(seconds: u64) -> Timestamp {
        match Timestamp::from_seconds(seconds) {
            Some(time) => time,
            None => Timestamp::EPOCH,
        }
    }

    fn signatory() -> Signatory {
        Signatory {
            hash: [7; 20],
            responder: write::value(
                tag::context(2),
                &[&write::value(tag::OCTET_STRING, &[&[7; 20]])],
            ),
            certs: write::value(
                tag::context(0),
                &[&write::sequence(&[&write::sequence(&[])])],
            ),
            algorithm: SignatureAlgorithm::Es256,
            identifier: SignatureAlgorithm::Es256.identifier(),
            key: (vec![1], None),
        }
    }

    fn cert_id(serial: u8) -> Vec<u8> {
        let algorithm = write::sequence(&[&write::value(tag::OID, &[oid::SHA1]), &[tag::NULL, 0]]);
        let hash = write::value(tag::OCTET_STRING, &[&[9; 20]]);
        write::sequence(&[&algorithm, &hash, &hash, &[tag::INTEGER, 1, serial]])
    }

    /// Runs with a response that has one of everything.
    fn with_response(run: impl Fn(Response<'_>)) {
        let (signatory, ders) = (signatory(), [1, 2, 3, 4, 5].map(cert_id));
        let ids: Vec<_> = ders
            .iter()
            .map(|der| CertId::read(&mut Reader::new(der)).unwrap())
            .collect();
        let nonce = write::value(tag::OCTET_STRING, &[&[3; 32]]);
        let window = Window::new(at(1_790_000_000), at(1_790_043_200)).unwrap();
        for archive_cutoff in [None, Some(at(1_600_000_000))] {
            for nonce in [None, Some(&nonce[..])] {
                let (cert_ids, statuses) = (&ids[..], &STATUSES[..]);
                run(Response {
                    cert_ids,
                    statuses,
                    window,
                    nonce,
                    archive_cutoff,
                    signatory: &signatory,
                });
            }
        }
    }

    fn compared(response: Response<'_>, reading: Reading) -> Compared<Response<'_>> {
        response
            .draft()
            .lint(&reading)
            .unwrap()
            .compare(&())
            .unwrap()
    }

    fn tbs(response: Response<'_>) -> Vec<u8> {
        response
            .draft()
            .lint(&Reading::Both)
            .unwrap()
            .to_be_signed()
            .to_vec()
    }

    #[test]
    fn what_is_written_is_found_right_by_both_parsers() {
        with_response(|response| {
            assert!(!tbs(response).is_empty());
            for (id, status) in response.cert_ids.iter().zip(&STATUSES) {
                let (cert_ids, statuses) = (std::slice::from_ref(id), std::slice::from_ref(status));
                assert!(
                    !tbs(Response {
                        cert_ids,
                        statuses,
                        ..response
                    })
                    .is_empty(),
                    "{status:?}"
                );
            }
        });
    }

    /// No bit of what is signed is unread: not a status, a date, a nonce, a length.
    #[test]
    fn our_own_reader_finds_every_flipped_bit_and_every_lost_octet() {
        with_response(|response| {
            let good = tbs(response);
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    !response.lint(&bad, &Reading::Own).0.is_empty(),
                    "bit {bit}"
                );
            }
            for len in 0..good.len() {
                assert!(
                    !response.lint(&good[..len], &Reading::Own).0.is_empty(),
                    "{len} octets"
                );
            }
            assert!(
                !response
                    .lint(&[&good[..], &[0]].concat(), &Reading::Own)
                    .0
                    .is_empty()
            );
        });
    }

    #[test]
    fn an_answer_to_another_question_is_found() {
        with_response(|response| {
            let good = tbs(response);
            let fewer = Response {
                cert_ids: &response.cert_ids[1..],
                statuses: &STATUSES[1..],
                ..response
            };
            let swapped: Vec<_> = STATUSES.into_iter().rev().collect();
            let swapped = Response {
                statuses: &swapped,
                ..response
            };
            let stranger = Signatory {
                hash: [8; 20],
                ..signatory()
            };
            let stranger = Response {
                signatory: &stranger,
                ..response
            };
            let nonce = Response {
                nonce: Some(&[4, 1, 0]),
                ..response
            };
            let cutoff = Response {
                archive_cutoff: Some(at(5)),
                ..response
            };
            for (what, other) in [
                ("fewer", fewer),
                ("swapped", swapped),
                ("stranger", stranger),
                ("nonce", nonce),
                ("cutoff", cutoff),
            ] {
                for reading in [Reading::Own, Reading::Both] {
                    assert!(
                        !other.lint(&good, &reading).0.is_empty(),
                        "{what} {reading:?}"
                    );
                }
            }
        });
    }

    /// A pair that signs what the certificate's key does not verify proves nothing.
    #[test]
    fn a_key_pair_of_another_certificate_is_not_proven() {
        use crate::core::key_pair::{KeyPair, NewKey, generate};
        let [one, other] = [(); 2].map(|()| generate(NewKey::P256).unwrap());
        let [public, other] = [&one, &other].map(|key| PublicKey::from_spki(&key.spki).unwrap());
        let key = || KeyPair::from_pem(one.pem.as_bytes(), &public).unwrap();
        assert!(key().prove(public.clone()).is_ok());
        assert!(key().prove(other).is_err());
        assert!(Proven::new((), |(), _, _| Some(vec![0; 70]), public.clone()).is_none());
        assert!(Proven::new((), |(), _, _| None, public.clone()).is_none());
    }

    #[test]
    fn a_fleeting_answer_verifies_as_a_kept_one_does() {
        use crate::core::key_pair::{Generated, KeyPair, NewKey, generate};
        let Generated { pem, spki } = generate(NewKey::P256).unwrap();
        let public = PublicKey::from_spki(&spki).unwrap();
        let key = KeyPair::from_pem(pem.as_bytes(), &public)
            .unwrap()
            .prove(public.clone())
            .unwrap();
        with_response(|response| {
            let message = tbs(response);
            let fleeting = key.seal_fleeting(compared(response, Reading::Own)).unwrap();
            let kept = key.seal(compared(response, Reading::Both)).unwrap();
            for bytes in [fleeting.bytes(), kept.bytes()] {
                let read: rasn_ocsp::OcspResponse = rasn::der::decode(bytes).unwrap();
                assert_eq!(rasn::der::encode(&read).unwrap(), bytes);
                let basic = read.bytes.unwrap().response;
                let mut fields = Reader::new(&basic).sequence("").unwrap();
                assert_eq!(fields.any().unwrap().whole, message);
                assert_eq!(fields.any().unwrap().whole, response.signatory.identifier);
                let signature = &fields.content(tag::BIT_STRING, "").unwrap()[1..];
                assert_eq!(fields.any().unwrap().whole, response.signatory.certs);
                fields.finish("").unwrap();
                assert!(public.verifies(SignatureAlgorithm::Es256, &message, signature));
            }
        });
    }
}
