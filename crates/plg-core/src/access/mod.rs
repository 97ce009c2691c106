//! Who may do what.
//!
//! A *service key* of a backend may do what its scopes say, at the hotels that it is bound to. A
//! *browser* acts as one user at one hotel: it may send the events that the catalogue lets browsers
//! send, and read that hotel's usage. It can never move a counter.

mod scope;

use crate::catalogue::{EventType, Sender};
use crate::event::NewEvent;
use crate::ids::{HotelId, UserId};
pub use scope::{Scope, UnknownScope};
use std::collections::BTreeSet;

/// What a service key was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Where; `None` is everywhere.
    pub hotels: Option<BTreeSet<HotelId>>,
}

impl Grant {
    /// Everything, everywhere.
    #[must_use]
    pub fn everything() -> Self {
        Self { scopes: Scope::ALL.into(), hotels: None }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A backend, with a service key.
    Service(Grant),
    /// A browser, with a session token.
    Browser {
        /// The only hotel that it sees.
        hotel_id: HotelId,
        /// Who it acts as.
        user_id: UserId,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Record a billable action of a hotel.
    Act,
    /// Read what a hotel uses.
    ReadUsage,
    /// Read a hotel's seats, log and plan.
    ReadHotel,
    /// Change a hotel's plan.
    ChangeHotel,
    /// Mint session tokens of a hotel.
    MintTokens,
}

/// Why a caller may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service key lacks a scope.
    #[error("this service key lacks the scope {0}")]
    Scope(Scope),
    /// The credential is of other hotels. Does not tell whether this one exists.
    #[error("this credential is not valid for this hotel")]
    Hotel,
    /// Only a backend may.
    #[error("a session token may not do this: send it from your backend, with a service key")]
    BackendOnly,
    /// Only a backend may send this event.
    #[error("a session token may not send {}: send it from your backend, with a service key", .0.name())]
    BackendEvent(EventType),
    /// A browser acts as its own user.
    #[error("a session token may only name its own user")]
    User,
    /// The service key is bound to hotels, and this is about all of them.
    #[error("a service key that is bound to hotels may not see all of them")]
    AllHotels,
}

impl Refusal {
    /// The field of an event that is at fault, if one is.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Hotel => Some("hotel_id"),
            Self::BackendEvent(_) => Some("event_type"),
            Self::User => Some("user_id"),
            Self::Scope(_) | Self::BackendOnly | Self::AllHotels => None,
        }
    }
}

impl Caller {
    /// Whether the caller may do this at this hotel.
    ///
    /// # Errors
    /// Says why not.
    pub fn may(&self, permission: Permission, hotel_id: HotelId) -> Result<(), Refusal> {
        match self {
            Self::Service(grant) => {
                let needed: &[Scope] = match permission {
                    Permission::Act => &[Scope::ActionsWrite],
                    Permission::ReadUsage | Permission::ReadHotel => &[Scope::UsageRead],
                    Permission::ChangeHotel => &[Scope::Admin],
                    // A key hands out no more than it has.
                    Permission::MintTokens => &[Scope::EventsWrite, Scope::UsageRead],
                };
                grant.needs(needed)?;
                grant.covers(hotel_id)
            }
            Self::Browser { hotel_id: own, .. } if permission == Permission::ReadUsage => {
                if *own == hotel_id { Ok(()) } else { Err(Refusal::Hotel) }
            }
            Self::Browser { .. } => Err(Refusal::BackendOnly),
        }
    }

    /// Whether the caller is a backend, which may do more than any browser.
    ///
    /// # Errors
    /// When it is a browser.
    pub const fn is_backend(&self) -> Result<(), Refusal> {
        match self {
            Self::Service(_) => Ok(()),
            Self::Browser { .. } => Err(Refusal::BackendOnly),
        }
    }

    /// Whether the caller may send any event at all.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_send_events(&self) -> Result<(), Refusal> {
        match self {
            Self::Service(grant) if grant.scopes.contains(&Scope::ActionsWrite) => Ok(()),
            Self::Service(grant) => grant.needs(&[Scope::EventsWrite]),
            Self::Browser { .. } => Ok(()),
        }
    }

    /// Whether the caller may send this event.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_send(&self, event: &NewEvent) -> Result<(), Refusal> {
        let entry = event.event_type.entry();
        match self {
            Self::Service(grant) => {
                let billable = entry.effect.is_some();
                grant.needs(&[if billable { Scope::ActionsWrite } else { Scope::EventsWrite }])?;
                grant.covers(event.hotel_id)
            }
            Self::Browser { hotel_id, user_id } => {
                if *hotel_id != event.hotel_id {
                    return Err(Refusal::Hotel);
                }
                if entry.sender != Sender::BrowserOrBackend || entry.effect.is_some() {
                    return Err(Refusal::BackendEvent(event.event_type));
                }
                if *user_id == event.user_id { Ok(()) } else { Err(Refusal::User) }
            }
        }
    }

    /// Whether the caller may see the runs of the reconciliation, which are about all hotels.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_see_rollups(&self) -> Result<(), Refusal> {
        match self {
            Self::Service(grant) => {
                grant.needs(&[Scope::Admin])?;
                if grant.hotels.is_some() { Err(Refusal::AllHotels) } else { Ok(()) }
            }
            Self::Browser { .. } => Err(Refusal::BackendOnly),
        }
    }
}

impl Grant {
    fn needs(&self, scopes: &[Scope]) -> Result<(), Refusal> {
        let missing = scopes.iter().find(|scope| !self.scopes.contains(scope));
        missing.map_or(Ok(()), |scope| Err(Refusal::Scope(*scope)))
    }

    fn covers(&self, hotel_id: HotelId) -> Result<(), Refusal> {
        let covered = self.hotels.as_ref().is_none_or(|hotels| hotels.contains(&hotel_id));
        if covered { Ok(()) } else { Err(Refusal::Hotel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CATALOGUE;
    use uuid::Uuid;

    const OWN: HotelId = HotelId(Uuid::from_u128(1));
    const OTHER: HotelId = HotelId(Uuid::from_u128(2));
    const ANNA: UserId = UserId(Uuid::from_u128(7));
    const BERT: UserId = UserId(Uuid::from_u128(8));

    fn event(event_type: EventType, hotel_id: HotelId, user_id: UserId) -> NewEvent {
        NewEvent {
            event_type,
            hotel_id,
            user_id,
            session_id: None,
            event_id: None,
            dedup_key: None,
            event_data: None,
        }
    }

    fn key(scopes: &[Scope], hotels: Option<&[HotelId]>) -> Caller {
        let hotels = hotels.map(|hotels| hotels.iter().copied().collect());
        Caller::Service(Grant { scopes: scopes.iter().copied().collect(), hotels })
    }

    #[test]
    fn a_browser_sends_what_the_catalogue_lets_it_and_moves_no_counter() {
        let browser = Caller::Browser { hotel_id: OWN, user_id: ANNA };
        for entry in &CATALOGUE {
            let sent = browser.may_send(&event(entry.event_type, OWN, ANNA));
            assert_eq!(sent.is_ok(), entry.sender == Sender::BrowserOrBackend, "{}", entry.name);
            assert!(sent.is_err() || entry.effect.is_none(), "{}", entry.name);
            let (elsewhere, as_another) =
                (event(entry.event_type, OTHER, ANNA), event(entry.event_type, OWN, BERT));
            assert_eq!(browser.may_send(&elsewhere), Err(Refusal::Hotel));
            assert!(browser.may_send(&as_another).is_err());
        }
        assert_eq!(browser.may(Permission::ReadUsage, OWN), Ok(()));
        assert_eq!(browser.may(Permission::ReadUsage, OTHER), Err(Refusal::Hotel));
        for permission in [
            Permission::Act,
            Permission::ReadHotel,
            Permission::ChangeHotel,
            Permission::MintTokens,
        ] {
            assert_eq!(browser.may(permission, OWN), Err(Refusal::BackendOnly));
        }
        assert_eq!(browser.may_see_rollups(), Err(Refusal::BackendOnly));
    }

    #[test]
    fn a_key_does_what_its_scopes_say_where_it_is_bound() {
        for scope in Scope::ALL {
            let key = key(&[scope], Some(&[OWN]));
            let may = |permission| key.may(permission, OWN).is_ok();
            assert_eq!(may(Permission::Act), scope == Scope::ActionsWrite);
            assert_eq!(may(Permission::ReadUsage), scope == Scope::UsageRead);
            assert_eq!(may(Permission::ReadHotel), scope == Scope::UsageRead);
            assert_eq!(may(Permission::ChangeHotel), scope == Scope::Admin);
            assert!(!may(Permission::MintTokens), "two scopes are needed");
            assert!(key.may_see_rollups().is_err(), "the key is bound");
            for entry in &CATALOGUE {
                let needed =
                    if entry.effect.is_some() { Scope::ActionsWrite } else { Scope::EventsWrite };
                let sent = key.may_send(&event(entry.event_type, OWN, ANNA));
                assert_eq!(sent.is_ok(), scope == needed, "{} with {scope}", entry.name);
                assert!(key.may_send(&event(entry.event_type, OTHER, ANNA)).is_err());
            }
        }
        let everywhere = Caller::Service(Grant::everything());
        assert_eq!(everywhere.may(Permission::MintTokens, OTHER), Ok(()));
        assert_eq!(everywhere.may_see_rollups(), Ok(()));
    }
}
