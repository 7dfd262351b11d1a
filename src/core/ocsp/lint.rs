//! What a response must look like before the key is used, read back by those who did not write it.

use super::{
    CertId, CertStatus,
    response::{Response, revocation},
};
use crate::core::{
    der::{DerError, Reader, extensions, oid, tag, write},
    revocation::Reason,
    seal::Findings,
    time::Timestamp,
};

/// The rules, whoever reads. A lint's name, its clause, and what is wrong.
mod rule {
    type Rule = (&'static str, &'static str, &'static str);

    pub(super) const RESPONDER: Rule = (
        "responder_id",
        "RFC 9919 §3.2.2",
        "the responder is not named by the SHA-1 of its key",
    );
    pub(super) const PRODUCED_AT: Rule = (
        "produced_at",
        "RFC 6960 §4.2.2.1",
        "producedAt is not the planned one",
    );
    pub(super) const SINGLES: Rule = (
        "single_responses",
        "RFC 6960 §4.2.2.3",
        "there is not exactly one answer for each CertID asked",
    );
    pub(super) const WINDOW: Rule = (
        "window",
        "RFC 9919 §3.2.4",
        "thisUpdate or nextUpdate is not the planned one",
    );
    pub(super) const CERT_ID: Rule = (
        "cert_id",
        "RFC 6960 §4.2.1",
        "the CertID is not the one asked, byte for byte",
    );
    pub(super) const STATUS: Rule = (
        "cert_status",
        "DESIGN: OCSP never guesses",
        "the status is not that of the index",
    );
    pub(super) const CUTOFF: Rule = (
        "archive_cutoff",
        "RFC 6960 §4.4.4",
        "the extensions of an answer are not the planned archive cutoff, alone",
    );
    pub(super) const EXTENSIONS: Rule = (
        "response_extensions",
        "RFC 9654 §2.1",
        "the response's extensions are not the planned ones, alone",
    );
    pub(super) const DER: Rule = (
        "der_exact",
        "X.690 §10",
        "another encoder writes other bytes",
    );

    pub(super) fn require(findings: &mut super::Findings, good: bool, (lint, clause, what): Rule) {
        findings.require(good, lint, clause, what);
    }
}

use rule::require;

impl Response<'_> {
    /// The strict reader leaves no octet unread, and knows one encoding of each value.
    pub(super) fn read_back(&self, tbs: &[u8], findings: &mut Findings) -> Result<(), DerError> {
        let mut outer = Reader::new(tbs);
        let mut data = outer.sequence("ResponseData is not a SEQUENCE")?;
        outer.finish("octets behind ResponseData")?;
        let mut responder = data
            .value(tag::context(2), "the responder is not named by its key")?
            .reader();
        let hash = responder.content(tag::OCTET_STRING, "the KeyHash is not an OCTET STRING")?;
        responder.finish("octets behind the KeyHash")?;
        require(findings, hash == self.signatory.hash, rule::RESPONDER);
        require(
            findings,
            time(&mut data)? == self.window.this(),
            rule::PRODUCED_AT,
        );
        let mut list = data.sequence("responses is not a SEQUENCE")?;
        let mut count = 0;
        while !list.is_empty() {
            let planned = self.cert_ids.get(count).zip(self.statuses.get(count));
            count += 1;
            self.read_single(
                list.sequence("a SingleResponse is not a SEQUENCE")?,
                planned,
                findings,
            )?;
        }
        require(
            findings,
            count == self.cert_ids.len() && count == self.statuses.len(),
            rule::SINGLES,
        );
        let found = match data.optional(tag::context(1))? {
            Some(list) => extensions(list.reader())?,
            None => vec![],
        };
        data.finish("octets behind the response's extensions")?;
        let found = found
            .iter()
            .map(|extension| (extension.id, extension.critical, extension.value));
        require(
            findings,
            found.eq(self.planned_extensions()),
            rule::EXTENSIONS,
        );
        Ok(())
    }

    fn read_single(
        &self,
        mut single: Reader<'_>,
        planned: Option<(&CertId<'_>, &CertStatus)>,
        findings: &mut Findings,
    ) -> Result<(), DerError> {
        let id = single
            .value(tag::SEQUENCE, "a CertID is not a SEQUENCE")?
            .whole;
        let status = single.any()?;
        let this = time(&mut single)?;
        let mut next = single
            .value(tag::context(0), "nextUpdate is missing")?
            .reader();
        let next_update = time(&mut next)?;
        next.finish("octets behind nextUpdate")?;
        let cutoff = match single.optional(tag::context(1))? {
            Some(list) => Some(extensions(list.reader())?),
            None => None,
        };
        single.finish("octets behind a SingleResponse")?;
        let status = match (status.tag, status.content) {
            (0x80, []) => None,
            (0x82, []) => Some(None),
            (0xa1, _) => Some(Some(revoked_info(status.reader())?)),
            _ => return Err(status.error("certStatus is none of the three")),
        };
        let is_status = planned.is_some_and(|(_, planned)| match status {
            None => *planned == CertStatus::Good,
            Some(None) => *planned == CertStatus::Unknown,
            Some(Some((at, code))) => revocation(*planned)
                .is_some_and(|(since, reason)| (since, reason.map(Reason::code)) == (at, code)),
        });
        require(
            findings,
            planned.is_some_and(|(asked, _)| asked.der == id),
            rule::CERT_ID,
        );
        require(findings, is_status, rule::STATUS);
        require(
            findings,
            (this, next_update) == (self.window.this(), self.window.next()),
            rule::WINDOW,
        );
        let cutoff = cutoff.as_deref().map(|list| match list {
            [one] if one.id == oid::OCSP_ARCHIVE_CUTOFF && !one.critical => {
                let mut value = Reader::new(one.value);
                let at = time(&mut value).ok()?;
                value.finish("octets behind the archive cutoff").ok()?;
                Some(at)
            }
            _ => None,
        });
        require(
            findings,
            cutoff == self.archive_cutoff.map(Some),
            rule::CUTOFF,
        );
        Ok(())
    }

    /// Object identifier, criticality and value of each.
    fn planned_extensions(&self) -> impl Iterator<Item = (&[u8], bool, &[u8])> {
        let nonce = self.nonce.map(|nonce| (oid::OCSP_NONCE, false, nonce));
        let extended =
            self.is_extended()
                .then_some((oid::OCSP_EXTENDED_REVOKE, false, &[tag::NULL, 0][..]));
        nonce.into_iter().chain(extended)
    }

    /// What `rasn-ocsp` read.
    pub(super) fn lint_fields(
        &self,
        tbs: &[u8],
        read: &rasn_ocsp::ResponseData,
        findings: &mut Findings,
    ) {
        require(
            findings,
            rasn::der::encode(read).is_ok_and(|again| again == tbs),
            rule::DER,
        );
        let responder = &read.responder_id;
        let is_ours = match responder {
            rasn_ocsp::ResponderId::ByKey(hash) => hash[..] == self.signatory.hash,
            rasn_ocsp::ResponderId::ByName(_) => false,
        };
        require(findings, is_ours, rule::RESPONDER);
        let seconds = |time: Timestamp| time.seconds() as i64;
        let (this, next) = (seconds(self.window.this()), seconds(self.window.next()));
        require(
            findings,
            read.produced_at.timestamp() == this,
            rule::PRODUCED_AT,
        );
        require(
            findings,
            read.responses.len() == self.cert_ids.len(),
            rule::SINGLES,
        );
        for (single, (id, status)) in read
            .responses
            .iter()
            .zip(self.cert_ids.iter().zip(self.statuses))
        {
            let times = single.this_update.timestamp() == this
                && single
                    .next_update
                    .as_ref()
                    .is_some_and(|time| time.timestamp() == next);
            require(findings, times, rule::WINDOW);
            let is_asked = rasn::der::encode(&single.cert_id).is_ok_and(|again| again == id.der);
            require(findings, is_asked, rule::CERT_ID);
            require(
                findings,
                is_same(&single.cert_status, *status),
                rule::STATUS,
            );
            let found = single.single_extensions.iter().flat_map(|list| list.iter());
            let found = found.map(|one| (one.extn_id.as_ref().to_vec(), one.extn_value.to_vec()));
            let planned = self.archive_cutoff.map(|time| {
                (
                    ARCHIVE_CUTOFF.to_vec(),
                    write::generalized_time(time).to_vec(),
                )
            });
            require(findings, found.eq(planned), rule::CUTOFF);
        }
        let found = read.response_extensions.iter().flat_map(|list| list.iter());
        let found = found.map(|one| (one.critical, &one.extn_value[..]));
        let planned = self
            .planned_extensions()
            .map(|(_, critical, value)| (critical, value));
        require(findings, found.eq(planned), rule::EXTENSIONS);
    }
}

/// id-pkix-ocsp-archive-cutoff as rasn has it.
const ARCHIVE_CUTOFF: [u32; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 6];

/// RFC 9919 §3.2.4: a GeneralizedTime.
fn time(reader: &mut Reader<'_>) -> Result<Timestamp, DerError> {
    let value = reader.value(tag::GENERALIZED_TIME, "a time is not a GeneralizedTime")?;
    Timestamp::from_generalized_time(value.content)
        .map_err(|_| value.error("a time is not in DER's form"))
}

/// `RevokedInfo`: since when, and the CRLReason.
fn revoked_info(mut info: Reader<'_>) -> Result<(Timestamp, Option<u8>), DerError> {
    let at = time(&mut info)?;
    let reason = match info.optional(tag::context(0))? {
        Some(reason) => {
            let mut inner = reason.reader();
            let code = inner.content(tag::ENUMERATED, "revocationReason is not an ENUMERATED")?;
            inner.finish("octets behind revocationReason")?;
            match code {
                [code] => Some(*code),
                _ => return Err(reason.error("revocationReason is not one octet")),
            }
        }
        None => None,
    };
    info.finish("octets behind RevokedInfo")?;
    Ok((at, reason))
}

fn is_same(read: &rasn_ocsp::CertStatus, status: CertStatus) -> bool {
    match (read, revocation(status)) {
        (rasn_ocsp::CertStatus::Good, None) => status == CertStatus::Good,
        (rasn_ocsp::CertStatus::Unknown(()), None) => status == CertStatus::Unknown,
        (rasn_ocsp::CertStatus::Revoked(info), Some((at, reason))) => {
            let code = info.revocation_reason.map(|reason| reason as u8);
            info.revocation_time.timestamp() == at.seconds() as i64
                && code == reason.map(Reason::code)
        }
        _ => false,
    }
}
