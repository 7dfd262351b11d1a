//! Commands that only look.

use clap::Args;

use super::{Context, Failure, now, print, print_json};
use crate::stories::replicate;
use crate::{
    config::{Config, values::shown},
    core::{
        crl::scope::{Scope, Shard},
        journal::change_set::Linked,
        revocation::Change,
        serial::Serial,
        time::Timestamp,
    },
    server::health::{self, IssuerStatus, or_none},
    stories::{
        schema::{self, Shown},
        verify,
    },
};

/// A command about one issuer.
#[derive(Debug, Args)]
pub(super) struct OfIssuer {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
}

/// Change sets read at once.
const PAGE: u32 = 1024;

pub(super) async fn export(context: &Context, of: &OfIssuer) -> Result<(), Failure> {
    let ca = context.ca(&of.issuer).await?;
    let replica = replicate::level(&ca, None).await.map_err(Failure::failed)?;
    for status in replica.rows() {
        print_json(&Shown {
            seq: None,
            ..Shown::new(status.serial(), Some(status))
        })?;
    }
    Ok(())
}

/// `rescind lookup`.
#[derive(Debug, Args)]
pub(super) struct Lookup {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The serial number in hexadecimal
    serial: String,
    /// What the CRL that was out at this time (RFC 3339) said of it
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// One thing that happened to a certificate.
#[derive(Debug, serde::Serialize)]
struct Happened {
    seq: u64,
    at: String,
    event: &'static str,
    actor: String,
    comment: String,
}

impl Lookup {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ca = context.ca(&self.issuer).await?;
        let serial = schema::serial(&self.serial).map_err(Failure::failed)?;
        let known = match self.at {
            Some(at) => Some(
                verify::known_at(&ca, &serial, at)
                    .await
                    .map_err(Failure::failed)?,
            ),
            None => None,
        };
        let found = ca
            .index
            .statuses(&ca.name, vec![serial])
            .await
            .map_err(Failure::failed)?;
        let history = if found.is_empty() {
            vec![]
        } else {
            history(&ca, serial).await?
        };
        let looked = LookedUp {
            shown: Shown::new(serial, found.first()),
            at: self.at.zip(known),
            history,
        };
        if context.json {
            looked.print_json()
        } else {
            looked.print()
        }
    }
}

/// What is known of a certificate.
struct LookedUp {
    shown: Shown,
    /// What relying parties knew at some time, if that was asked.
    at: Option<(Timestamp, verify::KnownAsOf)>,
    history: Vec<Happened>,
}

impl LookedUp {
    fn print_json(&self) -> Result<(), Failure> {
        let json = |value: serde_json::Result<serde_json::Value>| value.map_err(Failure::failed);
        let mut value = json(serde_json::to_value(&self.shown))?;
        if let Some(fields) = value.as_object_mut() {
            fields.entry("seq").or_insert(serde_json::Value::Null);
            let history = json(serde_json::to_value(&self.history))?;
            fields.insert("history".to_owned(), history);
            if let Some((_, known)) = &self.at {
                fields.insert("at".to_owned(), json(serde_json::to_value(known))?);
            }
        }
        print_json(&value)
    }

    fn print(&self) -> Result<(), Failure> {
        if let Some((at, known)) = &self.at {
            tell_known(known, *at)?;
        }
        let shown = &self.shown;
        print(format_args!("{}: {}", shown.serial, shown.state))?;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let facts = [
            ("since", time(shown.revoked_at)),
            ("reason", shown.reason.map(str::to_owned)),
            ("invalidity date", time(shown.invalidity_date)),
            ("certificate ends", time(shown.not_after)),
        ];
        for (what, value) in facts {
            if let Some(value) = value {
                print(format_args!("  {what}: {value}"))?;
            }
        }
        self.history.iter().try_for_each(Happened::print)
    }
}

impl Happened {
    fn print(&self) -> Result<(), Failure> {
        print(format_args!(
            "  change set {}, {}: {} by {}{}",
            self.seq,
            self.at,
            self.event,
            named(&self.actor),
            spaced(&self.comment)
        ))
    }
}

/// An auditor's answer.
fn tell_known(known: &verify::KnownAsOf, at: Timestamp) -> Result<(), Failure> {
    let Some(number) = known.crl_number else {
        return print(format_args!("at {at}: no CRL was out yet"));
    };
    let listed = match known.revoked_at {
        Some(since) => format!(
            "listed, revoked since {since}, reason {}",
            known.reason.unwrap_or("unspecified")
        ),
        None => "not listed".to_owned(),
    };
    let stale = if known.is_current {
        ""
    } else {
        ", which was stale by then"
    };
    let published = health::or_none(known.published_at);
    print(format_args!(
        "at {at}: {listed}, by CRL number {number}, published {published}{stale}"
    ))
}

fn spaced(comment: &str) -> String {
    if comment.is_empty() {
        String::new()
    } else {
        format!(" ({})", one_line(comment))
    }
}

fn named(actor: &str) -> String {
    if actor.is_empty() {
        "somebody unnamed".to_owned()
    } else {
        one_line(actor)
    }
}

/// What somebody else wrote, without what could make a line of its own, or tell the terminal
/// something.
fn one_line(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

async fn history(ca: &crate::ca::Ca, serial: Serial) -> Result<Vec<Happened>, Failure> {
    let mut history = Vec::new();
    read_journal(ca, |Linked { set, .. }| {
        let change = set
            .changes
            .iter()
            .find(|change| change.status.serial() == serial);
        history.extend(change.map(|change| Happened {
            seq: set.seq,
            at: set.at.to_string(),
            event: change.event.name(),
            actor: set.actor.clone(),
            comment: set.comment.clone(),
        }));
        Ok(())
    })
    .await?;
    Ok(history)
}

async fn read_journal(
    ca: &crate::ca::Ca,
    mut show: impl FnMut(&Linked) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut seq = 0;
    loop {
        let page = ca.index.journal(&ca.name, seq, PAGE).await;
        let page = page.map_err(Failure::failed)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        seq = last.set.seq;
        page.iter().try_for_each(&mut show)?;
    }
}

pub(super) async fn log(context: &Context, of: &OfIssuer) -> Result<(), Failure> {
    let ca = context.ca(&of.issuer).await?;
    read_journal(&ca, |linked| {
        if context.json {
            print_json(&logged(linked))
        } else {
            print_logged(linked)
        }
    })
    .await
}

fn logged(linked: &Linked) -> serde_json::Value {
    let set = &linked.set;
    let change = |Change { event, status }: &Change| {
        let shown = Shown {
            seq: None,
            ..Shown::new(status.serial(), Some(status))
        };
        let mut value = serde_json::to_value(shown).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("event".to_owned(), event.name().into());
        }
        value
    };
    serde_json::json!({
        "seq": set.seq, "at": set.at, "actor": set.actor, "comment": set.comment,
        "prev": linked.prev.to_string(), "hash": linked.hash.to_string(),
        "changes": set.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

/// How many serials a line of the log names.
const NAMED: usize = 3;

fn print_logged(linked: &Linked) -> Result<(), Failure> {
    let set = &linked.set;
    let changes = set
        .changes
        .iter()
        .take(NAMED)
        .map(|Change { event, status }| format!("{} {}", event.name(), status.serial()));
    let changes: Vec<_> = changes.collect();
    let changes = if changes.is_empty() {
        "no certificate, a remark".to_owned()
    } else {
        changes.join(", ")
    };
    let more = set.changes.len().saturating_sub(NAMED);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let comment = spaced(&set.comment);
    print(format_args!(
        "{}  {}  {}: {changes}{more}{comment}",
        set.seq,
        set.at,
        named(&set.actor)
    ))
}

pub(super) async fn status(context: &Context) -> Result<(), Failure> {
    let now = now();
    let mut all = Vec::new();
    for ca in &context.cas().await? {
        all.push(health::status(ca, now).await);
    }
    if context.json {
        print_json(&serde_json::json!({ "issuers": all }))?;
    } else {
        all.iter().try_for_each(print_status)?;
    }
    if all.iter().all(|one| one.problems.is_empty()) {
        Ok(())
    } else {
        Err(Failure::Problem)
    }
}

fn print_status(status: &IssuerStatus) -> Result<(), Failure> {
    print(&status.name)?;
    let (entries, bytes) = (or_none(status.entries), or_none(status.bytes));
    print(format_args!(
        "  CRL number:  {} ({entries} entries, {bytes} octets)",
        or_none(status.crl_number)
    ))?;
    print(format_args!(
        "  thisUpdate:  {}",
        or_none(status.this_update)
    ))?;
    print(format_args!(
        "  nextUpdate:  {}",
        or_none(status.next_update)
    ))?;
    let (revoked, held, valid) = (status.revoked, status.held, status.valid);
    let seq = or_none(status.seq);
    print(format_args!(
        "  index:       change set {seq}; {revoked} revoked, {held} held, {valid} valid"
    ))?;
    print(format_args!(
        "  credential:  ends {}",
        or_none(status.credential_not_after)
    ))?;
    print(format_args!(
        "  certificate: ends {}",
        or_none(status.ca_not_after)
    ))?;
    status
        .problems
        .iter()
        .try_for_each(|problem| print(format_args!("  PROBLEM: {problem}")))
}

/// `rescind urls`.
#[derive(Debug, Args)]
pub(super) struct Urls {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The certificate that they are for; matters with shards only
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

impl Urls {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let serial = self
            .serial
            .as_deref()
            .map(schema::serial)
            .transpose()
            .map_err(Failure::failed)?;
        let config = context.configuration()?;
        let ca = context.ca(&self.issuer).await?;
        let (url, name) = (&config.http.public_url, &ca.name);
        let full = || {
            ca.crl
                .distribution_points
                .first()
                .cloned()
                .unwrap_or_else(|| format!("{url}/crl/{name}.crl"))
        };
        let crl = match serial {
            Some(serial) if ca.crl.shards > 1 => {
                let shard = Scope::Shard(Shard::of(&serial, ca.crl.shards));
                ca.crl
                    .points_of(shard)
                    .into_iter()
                    .next()
                    .unwrap_or_else(full)
            }
            // The full CRL is there beside the shards, and good for every certificate.
            _ => full(),
        };
        let delta = ca
            .crl
            .delta
            .as_ref()
            .filter(|_| ca.crl.shards == 1)
            .map(|delta| &delta.url);
        let (issuer, ocsp) = (format!("{url}/ca/{name}.cer"), format!("{url}/ocsp"));
        if context.json {
            return print_json(&serde_json::json!({
                "crl": crl, "freshest_crl": delta, "ca_issuers": issuer, "ocsp": ocsp,
            }));
        }
        print(format_args!("CRL distribution point:        {crl}"))?;
        if let Some(delta) = delta {
            print(format_args!("freshest CRL (optional):       {delta}"))?;
        }
        print(format_args!("authority info, CA issuers:    {issuer}"))?;
        print(format_args!("authority info, OCSP:          {ocsp}"))
    }
}

pub(super) fn config(context: &Context) -> Result<(), Failure> {
    // Everything must be sound before it is shown as understood.
    let (values, folder) = context.values()?;
    Config::from_values(&values, &folder).map_err(Failure::usage)?;
    let mut all = serde_json::Map::new();
    for (path, texts, source) in values.all() {
        let text = shown(&texts.join(", "));
        if context.json {
            let value = serde_json::json!({ "value": text, "source": source.to_string() });
            all.insert(path.to_owned(), value);
        } else {
            print(format_args!("{path} = {text:?}  # {source}"))?;
        }
    }
    if context.json {
        print_json(&all)
    } else {
        Ok(())
    }
}
