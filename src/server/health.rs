//! How an issuer is doing: what relying parties fetch now, and what is wrong with it. It looks and
//! changes nothing; what is found is told by `rescind status`, `/status`, `/healthz` and the
//! alarms.

use std::time::Duration;

use crate::{
    ca::{Ca, CredentialPlace, credential::Credential},
    core::{
        chain::Chain,
        crl::{
            SignedCrl,
            gate::{Previous, PreviousError},
            scope::Scope,
        },
        time::{CLOCK_SKEW, Timestamp},
    },
    store::{Versioned, content::Label},
    stories::replicate,
};

/// One issuer's state, as `rescind status --json` prints it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct IssuerStatus {
    pub name: String,
    /// The number of the CRL on the shelf.
    pub crl_number: Option<u64>,
    /// Its thisUpdate.
    pub this_update: Option<Timestamp>,
    /// Its nextUpdate.
    pub next_update: Option<Timestamp>,
    /// How many certificates it lists.
    pub entries: Option<u64>,
    /// Its size.
    pub bytes: Option<u64>,
    /// The newest change set in the index.
    pub seq: Option<u64>,
    /// How many rows are revoked, held and valid.
    pub revoked: u64,
    /// On hold.
    pub held: u64,
    /// Known to be issued, and not revoked.
    pub valid: u64,
    /// When the OCSP credential ends.
    pub credential_not_after: Option<Timestamp>,
    /// When the CA certificate ends.
    pub ca_not_after: Option<Timestamp>,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
    /// What is wrong, by kind.
    #[serde(skip)]
    pub found: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The CRL is late or went stale.
    Late(String),
    /// The OCSP credential is missing or at its end.
    Credential(String),
    /// The CA certificate is at its end.
    Certificate(String),
    /// Something else.
    Other(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Late(text)
        | Self::Credential(text)
        | Self::Certificate(text)
        | Self::Other(text)) = self;
        f.write_str(text)
    }
}

/// A value for people, or `none`.
pub(crate) fn or_none(value: Option<impl ToString>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

/// A credential with less than a quarter of its life left should have been renewed long ago.
const CREDENTIAL_ALARM: u32 = 4;

/// The CA certificate's end is announced this long before.
const CA_ALARM: Duration = Duration::from_secs(30 * 24 * 3600);

/// Looks at everything of one issuer.
pub async fn status(ca: &Ca, now: Timestamp) -> IssuerStatus {
    let mut status = IssuerStatus {
        name: ca.name.clone(),
        ..IssuerStatus::default()
    };
    shelf(ca, now, &mut status).await;
    for scope in ca.crl.scopes().filter(|&scope| scope != Scope::Full) {
        status.found.extend(beside(ca, scope, now).await);
    }
    match ca.index.head(&ca.name).await {
        Ok(Some(Versioned { value: head, .. })) => {
            status.seq = Some(head.seq);
            status.revoked = head.counts.revoked;
            status.held = head.counts.held;
            status.valid = head.counts.valid;
        }
        Ok(None) => status.seq = Some(0),
        Err(error) => status.found.push(Problem::Other(Chain(&error).to_string())),
    }
    for CredentialPlace { place, .. } in ca.credentials() {
        match place.open(&ca.issuer).await {
            Ok(credential) => {
                let end = credential
                    .as_ref()
                    .map(|credential| credential.validity.next());
                status.credential_not_after =
                    status.credential_not_after.into_iter().chain(end).min();
                status.found.extend(
                    credential_problem(ca, credential.as_ref(), now).map(Problem::Credential),
                );
            }
            Err(error) => status
                .found
                .push(Problem::Credential(Chain(&error).to_string())),
        }
    }
    let end = ca.issuer.certificate().not_after;
    status.ca_not_after = Some(end);
    if end < now {
        status.found.push(Problem::Certificate(format!(
            "the CA certificate ended on {end}"
        )));
    } else if end.since(now) < CA_ALARM {
        status.found.push(Problem::Certificate(format!(
            "the CA certificate ends soon, on {end}"
        )));
    }
    status.problems = status.found.iter().map(ToString::to_string).collect();
    status
}

async fn shelf(ca: &Ca, now: Timestamp, status: &mut IssuerStatus) {
    let stored = match ca.shelf.current().await {
        Ok(Some(stored)) => stored,
        Ok(None) => {
            let what = "there is no CRL on the shelf; run `rescind publish`".to_owned();
            return status.found.push(Problem::Late(what));
        }
        Err(error) => {
            return status.found.push(Problem::Other(Chain(&error).to_string()));
        }
    };
    status.bytes = Some(stored.bytes.len() as u64);
    status
        .found
        .extend(size(ca, stored.bytes.len() as u64).map(Problem::Other));
    if let Some(label) = &stored.label {
        status
            .found
            .extend(lost_history(ca, label).await.map(Problem::Other));
    }
    match Previous::verified(&stored.bytes, &ca.issuer, None) {
        Ok(previous) => {
            let crl = previous.crl();
            status.crl_number = crl.number().map(|number| number.get());
            status.this_update = Some(crl.this_update);
            status.next_update = crl.next_update;
            status.entries = Some(crl.entries().count() as u64);
            status.found.extend(
                lateness(ca, Scope::Full, (crl.this_update, crl.next_update), now)
                    .map(Problem::Late),
            );
        }
        Err(error) => {
            status.found.push(not_ours(ca, Scope::Full, &error));
        }
    }
}

/// A CRL that is too large is published all the same: none would be worse.
fn size(ca: &Ca, octets: u64) -> Option<String> {
    let limits = ca.crl.sizes;
    let what = match octets {
        octets if octets >= limits.alarm => {
            "some relying parties no longer read it (Entra's limit is 44 MB)"
        }
        octets if octets >= limits.warning => {
            "it is larger than relying parties like (Microsoft's root programme: 10 MB)"
        }
        _ => return None,
    };
    Some(format!(
        "the CRL has {octets} octets, and {what}; add shards or a delta CRL"
    ))
}

/// What is wrong with a delta CRL or a shard.
async fn beside(ca: &Ca, scope: Scope, now: Timestamp) -> Option<Problem> {
    match ca.shelf.current_of(scope).await {
        Ok(Some(stored)) => match Previous::verified(&stored.bytes, &ca.issuer, None) {
            Ok(previous) => {
                let crl = previous.crl();
                lateness(ca, scope, (crl.this_update, crl.next_update), now).map(Problem::Late)
            }
            Err(error) => Some(not_ours(ca, scope, &error)),
        },
        Ok(None) => Some(Problem::Late(format!(
            "there is no {scope} CRL on the shelf; run `rescind publish`"
        ))),
        Err(error) => Some(Problem::Other(Chain(&error).to_string())),
    }
}

fn not_ours(ca: &Ca, scope: Scope, error: &PreviousError) -> Problem {
    let name = ca.shelf.name(&scope.file());
    Problem::Other(format!(
        "the shelf's {name} is not a CRL of ours: {}",
        Chain(error)
    ))
}

/// The change set that the CRL was made from must be in the journal: an index put back from a
/// backup lost revocations.
async fn lost_history(ca: &Ca, label: &Label) -> Option<String> {
    let is_there = replicate::remembers(ca, label).await.ok()?;
    (!is_there).then(|| {
        let seq = label.seq;
        format!(
            "the CRL was made from change set {seq}, which the index does not have: an older \
                 index took its place"
        )
    })
}

/// Whether the CRL on the shelf is late, from its header alone: cheap enough to ask at every health
/// check.
pub(crate) fn crl_lateness(ca: &Ca, scope: Scope, bytes: &[u8], now: Timestamp) -> Option<String> {
    match SignedCrl::read(bytes) {
        Ok(signed) => lateness(
            ca,
            scope,
            (signed.crl.this_update, signed.crl.next_update),
            now,
        ),
        Err(error) => Some(format!(
            "the CRL on the shelf cannot be read: {}",
            Chain(&error)
        )),
    }
}

/// The alarm goes off long before nextUpdate: when half the time between refresh and the usual
/// nextUpdate is gone. The last CRLs before the CA certificate's end have a later one, but are late
/// as soon as any other; after that end no new one can come.
fn lateness(
    ca: &Ca,
    scope: Scope,
    (this_update, next_update): (Timestamp, Option<Timestamp>),
    now: Timestamp,
) -> Option<String> {
    let what = match scope {
        Scope::Full => "the CRL".to_owned(),
        scope => format!("the {scope} CRL"),
    };
    let next = next_update.unwrap_or(this_update);
    let due = this_update.after(ca.crl.backdate).after(ca.crl.refresh);
    let usual = this_update.after(ca.crl.validity_of(scope)).min(next);
    let alarm = if ca.issuer.has_expired(now) {
        next
    } else {
        due.after(usual.since(due) / 2)
    };
    if this_update > now.after(CLOCK_SKEW) {
        Some(format!(
            "{what} is dated in the future, {this_update}, and refused until then: it was made by \
             a clock that ran ahead. Run `rescind publish --issuer {} \
             --accept this_update_went_back --comment WHY`",
            ca.name
        ))
    } else if next <= now {
        Some(format!(
            "{what} went stale at its nextUpdate, {next}: relying parties refuse it"
        ))
    } else if alarm <= now {
        Some(format!(
            "{what} is late: a new one was due at {due}, and this one goes stale at {next}"
        ))
    } else {
        None
    }
}

/// What is wrong with a credential. It ends with the CA at the latest, and so does the need of it.
pub(crate) fn credential_problem(
    ca: &Ca,
    credential: Option<&Credential>,
    now: Timestamp,
) -> Option<String> {
    if ca.issuer.has_expired(now) {
        return None;
    }
    let Some(credential) = credential else {
        return Some("there is no OCSP credential; `rescind publish` makes one".to_owned());
    };
    let end = credential.validity.next();
    let is_last = end >= ca.issuer.certificate().not_after;
    if !credential.is_valid(now) {
        Some(format!("the OCSP credential ended on {end}"))
    } else if !is_last && end.since(now) * CREDENTIAL_ALARM < credential.validity.length() {
        Some(format!(
            "the OCSP credential ends soon, on {end}, and was not renewed"
        ))
    } else {
        None
    }
}
