//! From a CRL, DER or PEM: believed only under the certificate of the CA that issued it. That it
//! went stale long ago does not matter; what it revoked is revoked.

use super::{FileError, ImportContent, once};
use crate::core::{
    certificate::Certificate,
    crl::{CrlError, CrlRef, Entry, REMOVE_FROM_CRL, SignedCrl},
    der::{Reader, oid, tag},
    revocation::{Action, ChangeRequest},
    serial::CrlNumber,
};

pub(super) fn read(bytes: &[u8], signer: &Certificate) -> Result<ImportContent, FileError> {
    let decoded;
    let der = match bytes.starts_with(b"-----BEGIN") {
        false => bytes,
        true => {
            let (label, content) = der::pem::decode_vec(bytes).map_err(FileError::Pem)?;
            if label != "X509 CRL" {
                return Err(FileError::Label(label.to_owned()));
            }
            decoded = content;
            &decoded
        }
    };
    let signed = SignedCrl::read(der)?;
    verify(&signed, signer)?;
    understand(&signed.crl)?;
    let number = number(&signed.crl)?;
    let mut content = ImportContent {
        number,
        ..ImportContent::default()
    };
    for (at, entry) in signed.crl.entries().enumerate() {
        let entry = entry?;
        if entry.reason == Some(REMOVE_FROM_CRL) {
            content.left_out += 1;
        } else {
            content.requests.push(request(&entry, at + 1)?);
        }
    }
    content.requests = once(content.requests);
    Ok(content)
}

fn verify(signed: &SignedCrl<'_>, signer: &Certificate) -> Result<(), FileError> {
    if signed.crl.issuer != signer.subject {
        return Err(FileError::OtherIssuer);
    }
    let algorithm = signed.signature_algorithm().ok_or(FileError::Algorithm)?;
    let key = signer.public_key()?;
    match key.verifies(algorithm, signed.crl.tbs, signed.signature) {
        true => Ok(()),
        false => Err(FileError::Signature),
    }
}

/// RFC 5280 §5.2: "If a CRL contains a critical extension that the application cannot process, then
/// the application MUST NOT use that CRL". The scope does not matter here, except that entries must
/// be this issuer's own.
fn understand(crl: &CrlRef<'_>) -> Result<(), FileError> {
    for extension in &crl.extensions {
        match extension.id {
            oid::ISSUING_DISTRIBUTION_POINT if is_indirect(extension.value) => {
                return Err(FileError::Indirect);
            }
            oid::ISSUING_DISTRIBUTION_POINT | oid::DELTA_CRL_INDICATOR => {}
            _ if extension.critical => return Err(CrlError::Critical("it").into()),
            _ => {}
        }
    }
    Ok(())
}

/// `indirectCRL [4] BOOLEAN DEFAULT FALSE` (RFC 5280 §5.2.5).
fn is_indirect(value: &[u8]) -> bool {
    let mut fields = match Reader::new(value).sequence("") {
        Ok(fields) => fields,
        Err(_) => return true,
    };
    while let Ok(field) = fields.any() {
        if field.tag == tag::context_primitive(4) {
            return true;
        }
    }
    false
}

fn number(crl: &CrlRef<'_>) -> Result<Option<CrlNumber>, FileError> {
    match crl.extension(oid::CRL_NUMBER) {
        None => Ok(None),
        Some(_) => match crl
            .number()
            .filter(|number| i64::try_from(number.get()).is_ok())
        {
            Some(number) => Ok(Some(number)),
            None => Err(FileError::Number),
        },
    }
}

fn request(entry: &Entry, at: usize) -> Result<ChangeRequest, CrlError> {
    let reason = entry
        .reason()
        .map_err(|code| CrlError::Reason { entry: at, code })?;
    let action = Action::Revoke {
        at: entry.revoked_at,
        is_dated: true,
        reason,
        invalidity_date: entry.invalidity_date,
        amend: false,
    };
    Ok(ChangeRequest {
        serial: entry.serial,
        action,
        not_after: None,
    })
}
