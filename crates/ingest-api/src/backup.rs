//! `ingest-api backup`: copies the embedded database, beside the running service.

use plg_store::DatabaseUrl;
use plg_store::backup::{self, BackupError};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

type Error = Box<dyn std::error::Error>;

/// Copies the database into a file that does not exist yet, or (`-`) to standard output, and says how many bytes that are.
/// A file of that name is there when it is whole, and on the disk.
pub(crate) async fn run(url: &DatabaseUrl, to: &Path) -> Result<u64, Error> {
    if to == Path::new("-") {
        return to_stdout(url).await;
    }
    if to.try_exists()? {
        return Err(format!("{} is there already: choose another name", to.display()).into());
    }
    let partial = Partial::begin(beside(to))?;
    backup::copy(url, &partial.path).await?;
    partial.file.sync_all()?;
    let bytes = partial.file.metadata()?.len();
    fs::rename(&partial.path, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(bytes)
}

/// For containers, of which nothing else gets out: by way of a file beside the database, where there is room.
async fn to_stdout(url: &DatabaseUrl) -> Result<u64, Error> {
    if io::stdout().is_terminal() {
        let what = "standard output is a terminal: name a file, or send it to one (> backup.db)";
        return Err(what.into());
    }
    let database = url.file().ok_or_else(|| BackupError::NoFile(url.clone()))?;
    let mut partial = Partial::begin(beside(&database))?;
    backup::copy(url, &partial.path).await?;
    // It is open: whatever becomes of this process, nothing of it stays.
    fs::remove_file(&partial.path)?;
    let mut out = io::stdout().lock();
    let bytes = io::copy(&mut partial.file, &mut out)?;
    // Behind this nobody would say that the end of it was lost.
    out.flush()?;
    Ok(bytes)
}

/// A file in which a copy is made.
struct Partial {
    path: PathBuf,
    /// Locked, so that a second attempt at the same time does not write to it.
    file: File,
}

impl Partial {
    /// Begins an empty one. What an attempt that was killed has left is no good.
    fn begin(path: PathBuf) -> Result<Self, Error> {
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let busy = || format!("another backup is being made in {}: try again", path.display());
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(at)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy().into()),
            Err(TryLockError::Error(error)) => return Err(at(error).into()),
        }
        if !is_still(&file, &path) {
            return Err(busy().into());
        }
        file.set_len(0)?;
        Ok(Self { path, file })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if is_still(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file has this name. One that is whole has another, and somebody else may have begun a new one by this.
fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Where the copy is made.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".partial");
    name.into()
}
