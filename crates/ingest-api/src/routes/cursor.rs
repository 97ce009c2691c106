//! Opaque cursors: clients pass them back, and must not read them.

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plg_core::calendar::Month;
use plg_store::events::Position;

/// Where a listing of events goes on.
pub(super) fn encode(position: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", position.month.number(), position.seq))
}

/// The position that [`encode`] wrote.
///
/// # Errors
/// When it did not.
pub(super) fn decode(cursor: &str) -> Result<Position, Problem> {
    let parse = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (month, seq) = text.split_once('.')?;
        let month = Month::from_number(month.parse().ok()?).ok()?;
        Some(Position { month, seq: seq.parse().ok()? })
    };
    parse().ok_or_else(|| Problem::field("cursor", "must be a next_cursor of this listing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        let position = Position { month: "2026-11".parse().unwrap(), seq: 77 };
        assert_eq!(decode(&encode(position)).unwrap(), position);
        for bad in ["", "x", "MjAyNjEz.", "!!!", &URL_SAFE_NO_PAD.encode("202613.1")] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
