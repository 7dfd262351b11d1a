//! The properties of a row, one at a time, as Table storage's JSON has them.

use serde_json::{Map, Value};

use crate::{
    core::{
        digest::Digest,
        journal::change_set::{ChainHash, ChangesError},
        revocation::StatusError,
        time::Timestamp,
    },
    store::row_key,
};

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// A property is not there, or not what it should be.
    #[error("the property {0} of a row is missing or damaged")]
    Property(String),
    /// The changes of a change set cannot be taken apart.
    #[error(transparent)]
    Changes(#[from] ChangesError),
    /// No certificate can be in such a state.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// Its key is no certificate's.
    #[error("{}", row_key::not_a_serials(.0))]
    Key(String),
}

/// Writes properties; absent ones are left out, since the service ignores `null` and Azurite drops
/// the property.
#[derive(Default)]
pub(super) struct Properties(pub(super) Map<String, Value>);

impl Properties {
    pub(super) fn text(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// An Int64 goes as text, with its type beside it.
    pub(super) fn int(self, name: &str, value: Option<u64>) -> Self {
        self.typed(name, value.map(|value| value.to_string()), "Edm.Int64")
    }

    pub(super) fn time(self, name: &str, value: Option<Timestamp>) -> Self {
        self.typed(name, value.map(|value| value.to_string()), "Edm.DateTime")
    }

    pub(super) fn typed(mut self, name: &str, value: Option<String>, kind: &str) -> Self {
        if let Some(value) = value {
            self.0.insert(format!("{name}@odata.type"), kind.into());
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }
}

/// Reads properties; the error names the one that is damaged.
pub(super) struct Row<'a>(pub(super) &'a Map<String, Value>);

impl Row<'_> {
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, RowError> {
        self.optional(name)
            .and_then(parse)
            .ok_or_else(|| RowError::Property(name.to_owned()))
    }

    pub(super) fn int(&self, name: &str) -> Result<u64, RowError> {
        // Azure sends an Int64 as text.
        self.parsed(name, |text| text.parse().ok())
    }

    pub(super) fn hash(&self, name: &str) -> Result<ChainHash, RowError> {
        self.parsed(name, ChainHash::from_hex)
    }

    pub(super) fn digest(&self, name: &str) -> Result<Digest, RowError> {
        self.parsed(name, |text| Some(Digest::stored(text)))
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, RowError> {
        // The service may write a fraction of zeros.
        self.parsed(name, |text| {
            let whole = text
                .split_once('.')
                .map_or(text.trim_end_matches('Z'), |(whole, _)| whole);
            format!("{whole}Z").parse().ok()
        })
    }

    pub(super) fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, RowError> {
        self.optional(name).map(|_| self.time(name)).transpose()
    }
}
