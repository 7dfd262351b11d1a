//! One issuer's CRLs: on the shelf, where relying parties fetch them, and in the archive, which
//! keeps every one.
//!
//! The shelf is not trusted: whoever can write there could put anything. What is read from it is
//! believed only under the issuer's own signature.

use std::time::Duration;

use bytes::Bytes;

use super::store::Store;
use crate::{
    core::{
        crl::{Crl, scope::Scope},
        seal::Checked,
        serial::CrlNumber,
    },
    store::{
        Version,
        content::{Content, Label, Stored},
        error::DriverError,
    },
};

/// The media type of a DER CRL (RFC 2585 §4.2).
const CRL_TYPE: &str = "application/pkix-crl";

/// One issuer's CRLs on the shelf and in the archive.
#[derive(Clone, Debug)]
pub struct Shelf {
    issuer: String,
    shelf: Store,
    archive: Store,
    /// How long caches may keep what a store serves itself.
    cache_age: Duration,
}

/// A store's Cache-Control cannot shrink as the next CRL comes nearer, so it is short.
const LONGEST_CACHE_AGE: Duration = Duration::from_secs(3600);

/// What stands on the shelf beside CRLs, and follows from them or from the CA certificate. Nothing
/// else gets there but what was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// The full CRL as PEM.
    Pem,
    /// The CA certificate.
    Certificate,
}

impl Derived {
    /// What stands behind the issuer's name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Pem => ".crl.pem",
            Self::Certificate => ".cer",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Pem => "application/x-pem-file",
            Self::Certificate => "application/pkix-cert",
        }
    }
}

impl Shelf {
    /// The places of the issuer with this name, whose CRLs are replaced every `refresh`.
    pub fn new(issuer: &str, shelf: Store, archive: Store, refresh: Duration) -> Self {
        Self {
            issuer: issuer.to_owned(),
            shelf,
            archive,
            cache_age: refresh.min(LONGEST_CACHE_AGE),
        }
    }

    /// The shelf itself, to read from: only its neighbours here write to a store.
    pub fn store(&self) -> &Store {
        &self.shelf
    }

    /// The full CRL that relying parties fetch now.
    pub async fn current(&self) -> Result<Option<Stored>, DriverError> {
        self.current_of(Scope::Full).await
    }

    /// From which change set the full CRL on the shelf was made, as far as that is known without
    /// reading it.
    pub async fn current_label(&self) -> Result<Option<Label>, DriverError> {
        self.shelf.label(&self.name(&Scope::Full.file())).await
    }

    /// The CRL of a scope that relying parties fetch now.
    pub async fn current_of(&self, scope: Scope) -> Result<Option<Stored>, DriverError> {
        self.shelf.get(&self.name(&scope.file())).await
    }

    /// Replaces what relying parties fetch, if it is still what was read.
    pub async fn publish(
        &self,
        crl: &Checked<Crl>,
        label: Label,
        read: Version,
    ) -> Result<(), DriverError> {
        let name = self.name(&crl.document().plan.scope.file());
        self.shelf
            .replace(
                &name,
                self.content(crl.shared(), Some(label), CRL_TYPE),
                read,
            )
            .await
    }

    /// Keeps a CRL for ever.
    pub async fn archive(&self, crl: &Checked<Crl>, label: Label) -> Result<(), DriverError> {
        let name = self.archived(crl.document().plan.scope, crl.document().number);
        self.archive
            .create(&name, self.content(crl.shared(), Some(label), CRL_TYPE))
            .await
    }

    /// The CRL of a scope with this number from the archive.
    pub async fn from_archive(
        &self,
        scope: Scope,
        number: CrlNumber,
    ) -> Result<Option<Stored>, DriverError> {
        self.archive.get(&self.archived(scope, number)).await
    }

    /// The numbers of a scope's CRLs in the archive.
    pub async fn archived_numbers(&self, scope: Scope) -> Result<Vec<CrlNumber>, DriverError> {
        let (names, suffix) = (self.archive.list(&self.issuer).await?, scope.archived());
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix(&*suffix)?.parse().ok())
            .map(CrlNumber::known)
            .collect())
    }

    /// Writes what follows from the CRL or the CA certificate, unless it is there already.
    pub async fn keep_derived(&self, what: Derived, bytes: Vec<u8>) -> Result<(), DriverError> {
        let bytes = Bytes::from(bytes);
        let name = self.name(what.suffix());
        match self.shelf.holds(&name, bytes.clone()).await? {
            true => Ok(()),
            false => self.put_derived(what, bytes).await,
        }
    }

    /// Writes what follows from the CRL or the CA certificate.
    pub async fn put_derived(
        &self,
        what: Derived,
        bytes: impl Into<Bytes>,
    ) -> Result<(), DriverError> {
        let content = self.content(bytes.into(), None, what.content_type());
        self.shelf.put(&self.name(what.suffix()), content).await
    }

    fn content(&self, bytes: Bytes, label: Option<Label>, content_type: &'static str) -> Content {
        let cache_control = Some(format!(
            "max-age={}, public, no-transform",
            self.cache_age.as_secs()
        ));
        Content {
            bytes,
            label,
            content_type,
            cache_control,
        }
    }

    /// The name on the shelf.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.issuer)
    }

    /// The name in the archive.
    pub(crate) fn archived(&self, scope: Scope, number: CrlNumber) -> String {
        format!("{}/{number}{}", self.issuer, scope.archived())
    }
}
