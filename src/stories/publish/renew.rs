//! The OCSP credential's renewal.

use std::fmt::Display;

use crate::{
    ca::{
        Ca,
        credential::{Credential, Credentials},
    },
    core::{
        der::write,
        key::PublicKey,
        key_pair::{self, NewKey},
        ocsp::certificate::{self, ResponderCertificate},
        revocation::{Action, Request, Status},
        serial::Serial,
        time::{Timestamp, Window},
    },
    store::error::DriverError,
    stories::revoke::{self, Author},
};

use super::PublishError;

/// The common name of the credentials that we make.
fn name(ca: &Ca) -> String {
    format!("{} OCSP responder", ca.name)
}

/// Whether another credential must be made: there is none, it cannot be used, half its life is
/// gone, or it was revoked. That it could not be read is no reason. One that an administrator
/// supplied is replaced only when it is of no use.
async fn is_due(ca: &Ca, place: &Credentials, now: Timestamp) -> Result<bool, PublishError> {
    let failed = |error: DriverError| PublishError::Credential(error.to_string());
    let Some(pem) = place.load().await.map_err(failed)? else {
        return Ok(true);
    };
    let credential = match Credential::from_pem(&pem, &ca.issuer) {
        Ok(credential) => credential,
        Err(error) => {
            let issuer = &ca.name;
            tracing::warn!(issuer, %error, "the OCSP credential is of no use and is replaced");
            return Ok(true);
        }
    };
    let serial = credential.certificate.serial;
    let statuses = ca
        .index
        .statuses(&ca.name, vec![serial])
        .await
        .map_err(failed)?;
    let is_ours = credential.certificate.subject == certificate::common_name(&name(ca));
    // One that ends with the CA cannot be followed by one that lasts longer.
    let is_last = credential.validity.next() >= ca.issuer.certificate().not_after;
    let is_spent = !credential.is_valid(now) || (is_ours && !is_last && credential.is_due(now));
    Ok(is_spent || statuses.iter().any(Status::is_listed))
}

/// Makes a new OCSP credential where half the life of the present one is gone.
pub(super) async fn renew(ca: &Ca, now: Timestamp) -> Result<(), PublishError> {
    let mut result = Ok(());
    for (kind, place) in ca.credentials() {
        // That one cannot be renewed is no reason to let the other end.
        result = result.and(renew_one(ca, kind, place, now).await);
    }
    result
}

async fn renew_one(
    ca: &Ca,
    kind: NewKey,
    place: &Credentials,
    now: Timestamp,
) -> Result<(), PublishError> {
    let failed = |error: &dyn Display| PublishError::Credential(error.to_string());
    if !is_due(ca, place, now).await? {
        return Ok(());
    }
    let signer = ca.signer().map_err(|error| failed(&error))?;
    let random = "the random number generator failed";
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| failed(&random))?;
    let serial = Serial::from_random(octets);
    let end = now
        .after(ca.ocsp.credential_validity)
        .min(ca.issuer.certificate().not_after);
    let validity = Window::new(now.before(ca.crl.backdate), end)
        .ok_or(failed(&"the CA certificate is at its end"))?;
    let (key, spki) = key_pair::generate(kind).ok_or(failed(&random))?;
    let public = PublicKey::from_spki(&spki).map_err(|error| failed(&error))?;

    // Into the journal first: no certificate of ours is unknown to the index.
    let author = Author {
        actor: "rescind publisher".to_owned(),
        comment: "OCSP credential".to_owned(),
    };
    let request = Request {
        serial,
        action: Action::Record,
        not_after: Some(end),
    };
    let recorded = revoke::commit(ca, &[request], &author, now, |_| ()).await;
    recorded.map_err(|error| failed(&error))?;

    let wanted = ResponderCertificate {
        serial,
        validity,
        common_name: name(ca),
        spki,
    };
    let linted = wanted
        .draft(&ca.issuer, &public)
        .lint(&&ca.issuer)
        .map_err(|error| failed(&error))?;
    let signed = signer.sign(linted).await.map_err(|error| failed(&error))?;
    let checked = signed
        .check(ca.issuer.key(), &())
        .map_err(|error| failed(&error))?;
    let text = [key, write::pem("CERTIFICATE", checked.bytes())]
        .concat()
        .into_bytes();
    Credential::from_pem(&text, &ca.issuer).map_err(|error| failed(&error))?;
    place.save(&text).await.map_err(|error| failed(&error))
}
