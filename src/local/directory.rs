//! A directory as a store: files replaced atomically, and only if they are what was read.
//!
//! A file is written beside its place, synced, and renamed over it; so readers see the old or the
//! new one, and the loss of power leaves one of the two. What a blob would carry as metadata stands
//! in a hidden file beside it, bound to the content by its SHA-256; where the two do not fit, the
//! metadata is as good as absent.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest as _, Sha256};

use crate::{
    core::digest::Digest,
    store::{
        Version,
        content::{Content, Label, MOST_OCTETS, Stored},
        error::{DriverError, ErrorKind},
    },
};

const TOO_LARGE: &str = "too large";

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory at `root`; made when something is first written.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads a file.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Stored>, DriverError> {
        let path = self.root.join(name);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MOST_OCTETS) {
            // Nothing of ours. As empty content it is refused and replaced like any other garbage.
            return Ok(Some(Stored {
                bytes: vec![],
                sha256: Digest::of(&[]),
                version: Version::At(TOO_LARGE.into()),
                label: None,
                modified: None,
            }));
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DriverError::io(format!("read {}", path.display()), error)),
        };
        let sha256 = Digest::of(&bytes);
        let beside: Option<Beside> = fs::read(beside(&path))
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let label = beside
            .filter(|beside| beside.content == sha256)
            .map(|beside| beside.label);
        let modified = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok();
        Ok(Some(Stored {
            bytes,
            version: Version::At(sha256.to_string()),
            sha256,
            label,
            modified,
        }))
    }

    /// Whether a file has just this content; what is there is not taken into memory for that.
    pub(crate) fn holds(&self, name: &str, bytes: &[u8]) -> Result<bool, DriverError> {
        Ok(self.version(name)? == Version::At(Digest::of(bytes).to_string()))
    }

    /// The version that [`Self::get`] would give.
    fn version(&self, name: &str) -> Result<Version, DriverError> {
        let path = self.root.join(name);
        let mut hash = Sha256::new();
        let read = File::open(&path).and_then(|mut file| {
            let is_large = file.metadata()?.len() > MOST_OCTETS;
            let mut part = vec![0; 64 << 10];
            let mut len = if is_large { 0 } else { file.read(&mut part)? };
            while len > 0 {
                hash.update(&part[..len]);
                len = file.read(&mut part)?;
            }
            Ok(is_large)
        });
        match read {
            Ok(true) => Ok(Version::At(TOO_LARGE.into())),
            Ok(false) => Ok(Version::At(
                Digest::from_octets(hash.finalize().into()).to_string(),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Version::Absent),
            Err(error) => Err(DriverError::io(format!("read {}", path.display()), error)),
        }
    }

    /// Replaces a file, if it is still `expected`.
    pub(crate) fn replace(
        &self,
        name: &str,
        content: &Content,
        expected: &Version,
    ) -> Result<(), DriverError> {
        let path = self.root.join(name);
        let operation = || format!("replace {}", path.display());
        let _lock = self
            .lock()
            .map_err(|error| DriverError::io(operation(), error))?;
        if self.version(name)? != *expected {
            return Err(DriverError::new(operation(), ErrorKind::Conflict));
        }
        self.write(&path, content, true)
            .map_err(|error| DriverError::io(operation(), error))
    }

    /// Creates a file that must not be there yet.
    pub(crate) fn create(&self, name: &str, content: &Content) -> Result<(), DriverError> {
        let path = self.root.join(name);
        let create = || {
            let _lock = self.lock()?;
            // What is there keeps its label, too.
            if path.try_exists()? {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                self.write(&path, content, false)
            }
        };
        create().map_err(|error| DriverError::io(format!("create {}", path.display()), error))
    }

    /// Writes a file, whatever was there.
    pub(crate) fn put(&self, name: &str, content: &Content) -> Result<(), DriverError> {
        let path = self.root.join(name);
        let write = || {
            let _lock = self.lock()?;
            self.write(&path, content, true)
        };
        write().map_err(|error| DriverError::io(format!("write {}", path.display()), error))
    }

    /// Removes content; it may be gone already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), DriverError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DriverError::io(format!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// The names of the files in a folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, DriverError> {
        let path = self.root.join(folder);
        let error = |error| DriverError::io(format!("list {}", path.display()), error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(other) => return Err(error(other)),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<Result<_, _>>().map_err(error)
    }

    /// Held while a file is compared and replaced, against other processes.
    fn lock(&self) -> io::Result<File> {
        make_folder(&self.root)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(".lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    fn write(&self, path: &Path, content: &Content, over: bool) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        sweep(folder)?;
        if let Some(label) = &content.label {
            let beside_it = Beside {
                content: Digest::of(&content.bytes),
                label: *label,
            };
            write_durably(&beside(path), &serde_json::to_vec(&beside_it)?, 0o644, true)?;
        }
        write_durably(path, &content.bytes, 0o644, over)
    }
}

/// That a file stands in a folder's place is damage. "Already exists" would say that somebody else
/// was first.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(io::ErrorKind::NotADirectory, error),
        _ => error,
    })
}

/// The hidden file beside a file.
#[derive(serde::Serialize, serde::Deserialize)]
struct Beside {
    content: Digest,
    #[serde(flatten)]
    label: Label,
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.json"))
}

/// Removes what killed processes left behind. The lock is held, so nobody is writing.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") {
            fs::remove_file(folder.join(&*name))?;
        }
    }
    Ok(())
}

/// Octets that are written and brought to the disk at once. For a large CRL in one go, the kernel
/// keeps a processor for tens of milliseconds and lets no thread in that answers OCSP; in pieces it
/// takes no longer as a whole.
const PIECE: usize = 1 << 20;

/// Writes a file beside its place, syncs it, and moves it there; `over` an older one, or only if
/// there is none.
pub(crate) fn write_durably(path: &Path, bytes: &[u8], mode: u32, over: bool) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Two passes of one process may be at it.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let temporary = folder.join(format!(".{name}.{process}-{count}.tmp"));
    let _ = fs::remove_file(&temporary);
    let written = (|| {
        let mut file = File::options()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&temporary)?;
        for piece in bytes.chunks(PIECE) {
            file.write_all(piece)?;
            if piece.len() == PIECE {
                file.sync_data()?;
            }
        }
        file.sync_all()?;
        if over {
            fs::rename(&temporary, path)?;
        } else {
            // A link fails where the name is taken, which a rename does not.
            fs::hard_link(&temporary, path)?;
            fs::remove_file(&temporary)?;
        }
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_folders_place_is_not_another_writer_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shelf");
        let content = Content {
            bytes: vec![1].into(),
            label: None,
            content_type: "text/plain",
            cache_control: None,
        };
        fs::write(&file, "").unwrap();
        for (root, name) in [
            (file.clone(), "a.crl"),
            (dir.path().to_owned(), "shelf/a.crl"),
        ] {
            let directory = Directory::new(root);
            assert_eq!(
                directory.put(name, &content).unwrap_err().kind,
                ErrorKind::Other
            );
            assert_eq!(
                directory.create(name, &content).unwrap_err().kind,
                ErrorKind::Other
            );
        }
        assert_eq!(
            Directory::new(&file)
                .replace("a", &content, &Version::Absent)
                .unwrap_err()
                .kind,
            ErrorKind::Other
        );
    }
}
