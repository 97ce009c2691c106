//! Scopes of service keys.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a service key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Send events that count nothing.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Record billable actions, as such or as events.
    #[serde(rename = "actions:write")]
    ActionsWrite,
    /// Read usage, quotas, seats and the log.
    #[serde(rename = "usage:read")]
    UsageRead,
    /// Change hotels' plans, and read the reconciliation's runs.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::EventsWrite, Self::ActionsWrite, Self::UsageRead, Self::Admin];

    /// Its name in commands and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::ActionsWrite => "actions:write",
            Self::UsageRead => "usage:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No scope has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no scope: use events:write, actions:write, usage:read or admin")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == name).ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_names() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert_eq!("write".parse::<Scope>(), Err(UnknownScope));
    }
}
