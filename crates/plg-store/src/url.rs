//! Where the database is.

use plg_hosts::{HostsError, Servers};
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the database is. Neither `Display` nor `Debug` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The text is no URL of a database that this program can use. Does not show the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another database, or something about several hosts.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// The driver cannot read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let url = Self(text.to_owned());
        for server in plg_hosts::servers(text)?.urls.iter().filter(|_| !url.is_embedded()) {
            if let Err(error) = server.parse::<PgConnectOptions>() {
                let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                return Err(DatabaseUrlError::Unreadable(reason));
            }
        }
        Ok(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plg_hosts::masked(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl serde::Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl DatabaseUrl {
    /// Of a file of the embedded database, which is not created.
    ///
    /// # Errors
    /// When its path is no UTF-8.
    pub fn of_file(file: &Path) -> Result<Self, DatabaseUrlError> {
        let path = file.to_str().ok_or_else(|| {
            DatabaseUrlError::Unreadable(format!("{} is no UTF-8", file.display()))
        })?;
        let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        format!("sqlite://{path}").parse()
    }

    /// The URL itself, with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The servers that it names.
    pub(crate) fn servers(&self) -> Servers {
        let one = || Servers { urls: vec![self.0.clone()], must_take_writes: false };
        // It has been read before.
        plg_hosts::servers(&self.0).unwrap_or_else(|_| one())
    }

    /// Whether it is an embedded SQLite database.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// The file of an embedded database. `None` on a server and in memory.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let in_memory = self.0.contains(":memory:") || self.0.contains("mode=memory");
        if !self.is_embedded() || in_memory {
            return None;
        }
        let options: SqliteConnectOptions = self.0.parse().ok()?;
        Some(options.get_filename().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_inside() {
        let url: DatabaseUrl = "postgres://plg:geh@im@db.example/plg".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://plg:***@db.example/plg");
        assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres://plg:***@db.example/plg)");
        for (url, shown) in [
            ("postgres://plg@db.example/plg?password=geheim", "postgres://plg:***@db.example/plg"),
            ("postgres://db.example/plg?user=plg&password=geheim", "postgres://db.example/plg"),
            ("postgres://db.example/plg?user=plg&password=geh@im", "postgres://***"),
            ("postgres://plg:geh?im@db.example/plg", "postgres://***"),
            (
                "postgres://db.example/plg?sslmode=require",
                "postgres://db.example/plg?sslmode=require",
            ),
            ("postgres://plg:ge@h?im@db.example/plg", "postgres://***"),
            ("sqlite://a@b/plg.db?mode=rwc", "sqlite://a@b/plg.db?mode=rwc"),
            ("\"postgres://plg:geheim@db.example/plg\"", "***"),
            ("POSTGRES://plg:geheim@db.example/plg", "***"),
            ("postgres:plg:geheim@db.example", "***"),
        ] {
            assert_eq!(DatabaseUrl(url.to_owned()).to_string(), shown);
        }
    }

    #[test]
    fn an_embedded_database_has_a_file() {
        let file = |url: &str| url.parse::<DatabaseUrl>().unwrap().file();
        assert_eq!(file("sqlite://data/plg.db?mode=rwc"), Some(PathBuf::from("data/plg.db")));
        assert_eq!(file("sqlite:/tmp/a%20b.db"), Some(PathBuf::from("/tmp/a b.db")));
        assert_eq!(file("sqlite::memory:"), None);
        assert_eq!(file("postgres://plg@db.example/plg"), None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_showing_the_password() {
        let refusal = |url: &str| url.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert_eq!(refusal("mysql://x"), "must begin with postgres:// or sqlite:");
        let refused = refusal("postgres://plg:geheim@one:5432,two:port/plg");
        assert_eq!(refused, "cannot be read: invalid port number");
        assert!("postgres://plg:geheim@one:5432,two:5432/plg".parse::<DatabaseUrl>().is_ok());
    }
}
