//! Where named bytes are kept: the contract is [`crate::store::content`]'s.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    azure::blob::Container,
    local::{self, directory::Directory},
    store::{
        Version,
        content::{Content, Label, Stored},
        error::{DriverError, ErrorKind},
    },
};

/// Where named bytes are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory on this machine.
    Local(Directory),
    /// A container in Blob storage.
    Azure(Container),
}

impl Store {
    /// How long what was read may be served without reading again: a file is read at every request,
    /// a service is not.
    pub fn keep_for(&self) -> Duration {
        match self {
            Self::Local(_) => Duration::ZERO,
            Self::Azure(_) => Duration::from_secs(5),
        }
    }

    /// Reads.
    pub async fn get(&self, name: &str) -> Result<Option<Stored>, DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, |directory, name| directory.get(name)).await
            }
            Self::Azure(container) => container.get(name).await,
        }
    }

    /// What the writer said of the content, which a service need not send for that. Somebody else's
    /// content may stand under it, so it says what was once published there, and no more.
    pub(super) async fn label(&self, name: &str) -> Result<Option<Label>, DriverError> {
        match self {
            Self::Local(_) => Ok(self.get(name).await?.and_then(|stored| stored.label)),
            Self::Azure(container) => container.label(name).await,
        }
    }

    /// The names in a folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, folder, |directory, folder| {
                    directory.list(folder)
                })
                .await
            }
            Self::Azure(container) => container.list(folder).await,
        }
    }

    /// Whether the content is this.
    pub(super) async fn holds(&self, name: &str, bytes: Bytes) -> Result<bool, DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| {
                    directory.holds(name, &bytes)
                })
                .await
            }
            Self::Azure(container) => Ok(container
                .get(name)
                .await?
                .is_some_and(|stored| stored.bytes == bytes)),
        }
    }

    pub(super) async fn replace(
        &self,
        name: &str,
        content: Content,
        expected: Version,
    ) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                let replace = move |directory: &Directory, name: &str| {
                    directory.replace(name, &content, &expected)
                };
                blocking(directory, name, replace).await
            }
            Self::Azure(container) => container.replace(name, content, expected).await,
        }
    }

    /// Writes a checkpoint.
    pub(super) async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<(), DriverError> {
        let content = Content {
            bytes: bytes.into(),
            label: None,
            content_type: "application/octet-stream",
            cache_control: None,
        };
        self.put(name, content).await
    }

    /// Removes what can be derived from something else at any time.
    pub(super) async fn remove(&self, name: &str) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, name, Directory::remove).await,
            Self::Azure(container) => container.remove(name).await,
        }
    }

    pub(super) async fn create(&self, name: &str, content: Content) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| {
                    directory.create(name, &content)
                })
                .await
            }
            Self::Azure(container) => container.create(name, content).await,
        }
    }

    /// Writes what can be derived from something else at any time, without condition.
    pub(super) async fn put(&self, name: &str, content: Content) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| {
                    directory.put(name, &content)
                })
                .await
            }
            Self::Azure(container) => container.put(name, content).await,
        }
    }
}

/// Runs file work away from the async threads.
async fn blocking<T: Send + 'static>(
    directory: &Directory,
    name: &str,
    work: impl FnOnce(&Directory, &str) -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let (directory, name) = (directory.clone(), name.to_owned());
    let operation = format!("reach {name}");
    match local::blocking(move || work(&directory, &name)).await {
        Ok(result) => result,
        Err(error) => Err(DriverError::because(operation, ErrorKind::Other, error)),
    }
}
