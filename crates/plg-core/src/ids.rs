//! Identifiers. A value of one of these types has been checked; nothing behind the edge of the
//! system handles a bare string or a bare UUID.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Longest accepted text identifier, in characters (`id`, `session_id`, `dedup_key`, …).
pub const TEXT_ID_MAX_CHARS: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextIdError {
    /// Nothing between the quotes.
    #[error("must not be empty (1 to {TEXT_ID_MAX_CHARS} characters)")]
    Empty,
    /// More than [`TEXT_ID_MAX_CHARS`].
    #[error("must be at most {TEXT_ID_MAX_CHARS} characters, got {chars}")]
    TooLong {
        /// Characters received.
        chars: usize,
    },
    /// NUL, newline, tab, or another control character.
    #[error("must not contain control characters (found U+{code:04X})")]
    ControlCharacter {
        /// The first offending code point.
        code: u32,
    },
}

fn check_text_id(text: &str) -> Result<(), TextIdError> {
    if text.is_empty() {
        return Err(TextIdError::Empty);
    }
    // Bytes bound characters from above, so the common case needs no count.
    if text.len() > TEXT_ID_MAX_CHARS {
        let chars = text.chars().count();
        if chars > TEXT_ID_MAX_CHARS {
            return Err(TextIdError::TooLong { chars });
        }
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(TextIdError::ControlCharacter { code: u32::from(c) }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[cfg_attr(
            feature = "openapi",
            derive(utoipa::ToSchema),
            schema(
                min_length = 1,
                max_length = 128,
                pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F]*$"
            )
        )]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to [`TEXT_ID_MAX_CHARS`] characters without control characters.
            ///
            /// # Errors
            /// Says which of these the text breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, TextIdError> {
                let text = text.into();
                check_text_id(&text)?;
                Ok(Self(text))
            }

            /// The text as it was received.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

text_id! {
    /// A browser session: one tab, as the frontend counts it.
    SessionId
}
text_id! {
    /// The client's own id of one sending (`id`, `Idempotency-Key`): recorded once per hotel.
    EventId
}
text_id! {
    /// What a once-per-key event is about: an import job, an export, a seat. Of other events it is kept, and tells nothing
    /// apart: that does `id`.
    DedupKey
}
uuid_id! {
    /// The tenant. Every row and every query names one.
    HotelId
}
uuid_id! {
    /// Who did it.
    UserId
}
uuid_id! {
    /// Who holds, or is to hold, a seat.
    SeatUserId
}

impl From<SeatUserId> for DedupKey {
    fn from(seat: SeatUserId) -> Self {
        Self(seat.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_have_bounds() {
        assert_eq!(SessionId::parse(""), Err(TextIdError::Empty));
        assert!(SessionId::parse("a").is_ok());
        assert!(SessionId::parse("é".repeat(TEXT_ID_MAX_CHARS)).is_ok());
        assert_eq!(
            SessionId::parse("a".repeat(TEXT_ID_MAX_CHARS + 1)),
            Err(TextIdError::TooLong { chars: 129 })
        );
        for bad in ["a\0b", "a\nb", "\u{7f}", "\u{85}"] {
            assert!(matches!(EventId::parse(bad), Err(TextIdError::ControlCharacter { .. })));
        }
    }
}
