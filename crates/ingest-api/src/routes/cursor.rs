//! Opaque cursors: clients pass them back, and must not read them.

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plg_core::calendar::Month;
use plg_core::catalogue::Counter;
use plg_core::ids::HotelId;
use plg_store::events::Position;
use plg_store::rollup::runs::Place;
use uuid::Uuid;

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
        let text = text(cursor)?;
        let (month, seq) = text.split_once('.')?;
        Some(Position { month: month_of(month)?, seq: seq.parse().ok()? })
    };
    parse().ok_or_else(not_ours)
}

/// Where a listing of corrections goes on.
pub(super) fn encode_place(place: &Place) -> String {
    let Place { hotel_id, origin, month, counter } = place;
    URL_SAFE_NO_PAD.encode(format!(
        "{}.{}.{}.{counter}",
        hotel_id.0,
        origin.number(),
        month.number()
    ))
}

/// The place that [`encode_place`] wrote.
///
/// # Errors
/// When it did not.
pub(super) fn decode_place(cursor: &str) -> Result<Place, Problem> {
    let parse = || {
        let text = text(cursor)?;
        let [hotel_id, origin, month, counter] =
            text.split('.').collect::<Vec<_>>().try_into().ok()?;
        let hotel_id = HotelId(Uuid::try_parse(hotel_id).ok()?);
        let counter = counter.parse::<Counter>().ok()?.to_string();
        Some(Place { hotel_id, origin: month_of(origin)?, month: month_of(month)?, counter })
    };
    parse().ok_or_else(not_ours)
}

fn text(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn month_of(number: &str) -> Option<Month> {
    Month::from_number(number.parse().ok()?).ok()
}

/// The complaint of every listing.
pub(super) fn not_ours() -> Problem {
    Problem::field("cursor", "must be a next_cursor of this listing")
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
