//! The OCSP credential's renewal.

use crate::{
    ca::{
        Ca, CredentialPlace,
        credential::{Credential, CredentialError, Credentials},
    },
    core::{
        der::write,
        key::{KeyError, PublicKey},
        key_pair::{self, NewKey},
        ocsp::certificate::{self, ResponderCertificate},
        revocation::{Action, ChangeRequest, Status},
        seal::{CheckError, Findings},
        serial::Serial,
        time::{Timestamp, Window},
    },
    store::error::DriverError,
    stories::revoke::{self, Author, RevokeError},
};

/// Which step of a renewal failed. The credential before it stays.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RenewError {
    #[error("read the present one")]
    Read(#[source] DriverError),
    #[error("read what the index says of the present one")]
    Index(#[source] DriverError),
    #[error("open the CA key")]
    Signer(#[source] DriverError),
    #[error("the random number generator failed")]
    Random,
    #[error("the CA certificate is at its end")]
    Ended,
    #[error("make a key")]
    Key(#[from] KeyError),
    #[error("list its certificate as issued")]
    Record(#[from] RevokeError),
    #[error("lint its certificate")]
    Lint(#[source] Findings),
    #[error("sign its certificate")]
    Sign(#[source] DriverError),
    #[error("check its certificate")]
    Check(#[from] CheckError),
    #[error("read it back")]
    Credential(#[from] CredentialError),
    #[error("store it")]
    Save(#[source] DriverError),
}

/// Makes a new OCSP credential where half the life of the present one is gone.
pub(super) async fn renew(ca: &Ca, now: Timestamp) -> Result<(), RenewError> {
    let mut result = Ok(());
    for CredentialPlace { place, key } in ca.credentials() {
        // That one cannot be renewed is no reason to let the other end.
        result = result.and(renew_one(ca, key, place, now).await);
    }
    result
}

async fn renew_one(
    ca: &Ca,
    kind: NewKey,
    place: &Credentials,
    now: Timestamp,
) -> Result<(), RenewError> {
    if !is_due(ca, place, now).await? {
        return Ok(());
    }
    let signer = ca.signer().map_err(RenewError::Signer)?;
    let serial = random_serial()?;
    let ca_end = ca.issuer.certificate().not_after;
    let end = now.after(ca.ocsp.credential_validity).min(ca_end);
    let validity = Window::new(now.before(ca.crl.backdate), end).ok_or(RenewError::Ended)?;
    let key = key_pair::generate(kind).ok_or(RenewError::Random)?;
    let public = PublicKey::from_spki(&key.spki)?;

    // Into the journal first: no certificate of ours is unknown to the index.
    let author = Author {
        actor: "rescind publisher".to_owned(),
        comment: "OCSP credential".to_owned(),
    };
    let request = ChangeRequest {
        serial,
        action: Action::Record,
        not_after: Some(end),
    };
    revoke::commit(ca, &[request], &author, now, |_| ()).await?;

    let wanted = ResponderCertificate {
        serial,
        validity,
        common_name: common_name(ca),
        spki: key.spki,
    };
    let draft = wanted.draft(&ca.issuer, &public);
    let linted = draft.lint(&&ca.issuer).map_err(RenewError::Lint)?;
    let compared = linted.compare(&()).map_err(RenewError::Lint)?;
    let signed = signer.sign(compared).await.map_err(RenewError::Sign)?;
    let checked = signed.check(ca.issuer.key(), &&ca.issuer, &())?;
    let pem = [key.pem, write::pem("CERTIFICATE", checked.bytes())].concat();
    Credential::from_pem(pem.as_bytes(), &ca.issuer)?;
    place.save(pem.as_bytes()).await.map_err(RenewError::Save)
}

fn random_serial() -> Result<Serial, RenewError> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| RenewError::Random)?;
    Ok(Serial::from_random(octets))
}

/// The common name of the credentials that we make.
fn common_name(ca: &Ca) -> String {
    format!("{} OCSP responder", ca.name)
}

/// Whether another credential must be made: there is none, it cannot be used, half its life is
/// gone, or it was revoked. That it could not be read is no reason. One that an administrator
/// supplied is replaced only when it is of no use.
async fn is_due(ca: &Ca, place: &Credentials, now: Timestamp) -> Result<bool, RenewError> {
    let Some(pem) = place.load().await.map_err(RenewError::Read)? else {
        return Ok(true);
    };
    let credential = match Credential::from_pem(&pem, &ca.issuer) {
        Ok(credential) => credential,
        Err(error) => {
            let (issuer, error) = (&ca.name, crate::core::chain::Chain(&error));
            tracing::warn!(issuer, %error, "the OCSP credential is of no use and is replaced");
            return Ok(true);
        }
    };
    let serial = credential.certificate.serial;
    let statuses = ca.index.statuses(&ca.name, vec![serial]).await;
    let statuses = statuses.map_err(RenewError::Index)?;
    let is_ours = credential.certificate.subject == certificate::common_name(&common_name(ca));
    // One that ends with the CA cannot be followed by one that lasts longer.
    let is_last = credential.validity.next() >= ca.issuer.certificate().not_after;
    let is_spent = !credential.is_valid(now) || (is_ours && !is_last && credential.is_due(now));
    Ok(is_spent || statuses.iter().any(Status::is_listed))
}
