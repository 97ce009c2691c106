//! The key of the embedded default: made on the first start, kept beside the database.
//!
//! It works only while the service listens on loopback: it is not among the stored keys, and nothing
//! reads its file in any other setting.

use super::{AccessError, key, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plg_store::DatabaseUrl;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Fewest characters of a key that is worth its name.
const KEY_MIN_CHARS: usize = 32;

/// A development key, and where it is kept.
pub struct Development {
    key: String,
    file: Option<PathBuf>,
}

impl Development {
    pub(super) fn open(url: &DatabaseUrl) -> Result<Self, AccessError> {
        let Some(database) = url.file() else {
            let key = new_key().map_err(|cause| error(Path::new(":memory:"), cause))?;
            return Ok(Self { key, file: None });
        };
        let mut name = database.into_os_string();
        name.push(".key");
        let file = PathBuf::from(name);
        let key = read_or_create(&file).map_err(|cause| error(&file, cause))?;
        Ok(Self { key, file: Some(file) })
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file that keeps it; `None` where the database is in memory.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Another secret, that follows from the key.
    pub(super) fn session_secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(&format!("session tokens of {}", self.key)))
    }
}

fn error(file: &Path, cause: std::io::Error) -> AccessError {
    AccessError::Development { file: file.to_owned(), cause }
}

fn new_key() -> std::io::Result<String> {
    Ok(format!("dev_{}", key::random().map_err(std::io::Error::other)?))
}

fn read_or_create(file: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => create(file)?,
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(file)?;
    match text.trim() {
        key if key.len() >= KEY_MIN_CHARS => Ok(key.to_owned()),
        _ => Err(std::io::Error::other("it holds no key; remove it, and a new one is made")),
    }
}

/// Keeps a new key, unless another service that has started at the same moment was first. The file gets
/// its name when the key is in it: nobody finds it empty.
fn create(file: &Path) -> std::io::Result<()> {
    let key = new_key()?;
    let unnamed = file.with_extension(format!("key.{}", Uuid::new_v4().simple()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let kept = options
        .open(&unnamed)
        .and_then(|mut new| writeln!(new, "{key}"))
        .and_then(|()| std::fs::hard_link(&unnamed, file));
    let _ = std::fs::remove_file(&unnamed);
    match kept {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        kept => kept,
    }
}
