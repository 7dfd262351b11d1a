//! The OCSP credential's renewal.

use std::fmt::Display;

use crate::{
    ca::Ca,
    core::{
        delegate::Delegate,
        key::PublicKey,
        revocation::{Action, Request},
        serial::Serial,
        time::{Timestamp, Window},
    },
    credential::Credential,
    local::pem_key,
    revoke::{self, Author},
};

use super::{PublishError, pem};

/// Makes a new OCSP credential if half the life of the present one is gone.
pub(super) async fn renew(ca: &Ca, now: Timestamp) -> Result<(), PublishError> {
    let failed = |error: &dyn Display| PublishError::Credential(error.to_string());
    if let Ok(Some(credential)) = ca.credentials.open(&ca.issuer).await
        && !credential.is_due(now)
    {
        return Ok(());
    }
    let signer = ca.signer().map_err(|error| failed(&error))?;
    let random = "the random number generator failed";
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| failed(&random))?;
    let serial = Serial::from_random(octets);
    let end = now.after(ca.ocsp.credential_validity).min(ca.issuer.certificate().not_after);
    let validity = Window::new(now.before(ca.crl.backdate), end).ok_or(failed(&"the CA certificate is at its end"))?;
    let (key, spki) = pem_key::generate(ca.ocsp.credential_key).ok_or(failed(&random))?;
    let public = PublicKey::from_spki(&spki).map_err(|error| failed(&error))?;

    // Into the journal first: no certificate of ours is unknown to the index.
    let author = Author { actor: "rescind publisher".to_owned(), comment: "OCSP credential".to_owned() };
    let request = Request { serial, action: Action::Record, not_after: Some(end) };
    let recorded = revoke::record(ca, &[request], &author, now, |_| ()).await;
    recorded.map_err(|error| failed(&error))?;

    let delegate = Delegate { serial, validity, common_name: format!("{} OCSP responder", ca.name), spki };
    let linted = delegate.draft(&ca.issuer, &public).lint(&&ca.issuer).map_err(|error| failed(&error))?;
    let signed = signer.sign(linted).await.map_err(|error| failed(&error))?;
    let checked = signed.check(ca.issuer.key(), &()).map_err(|error| failed(&error))?;
    let text = [key.into_bytes(), pem("CERTIFICATE", checked.bytes())].concat();
    Credential::from_pem(&text, &ca.issuer).map_err(|error| failed(&error))?;
    ca.credentials.save(&text).await.map_err(|error| failed(&error))
}
