//! The seats that are held.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::paging::cut;
use crate::schema::seat;
use plg_core::decide::Seat;
use plg_core::ids::{HotelId, SeatUserId, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// Seats of a hotel, in the order of their users' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// No more than were asked for.
    pub seats: Vec<Seat>,
    /// After which the next page begins; `None` on the last.
    pub next: Option<SeatUserId>,
}

/// Lists a hotel's seats, from the one after `after`.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    after: Option<SeatUserId>,
    limit: u64,
) -> Result<Page, StoreError> {
    let mut query = seat::Entity::find().filter(seat::Column::HotelId.eq(hotel_id.0));
    if let Some(after) = after {
        query = query.filter(seat::Column::SeatUserId.gt(after.0));
    }
    let rows = query.order_by_asc(seat::Column::SeatUserId).limit(limit + 1).all(db).await?;
    let mut seats: Vec<Seat> = rows.iter().map(from_row).collect();
    let others_follow = cut(&mut seats, limit);
    let next = seats.last().filter(|_| others_follow).map(|seat| seat.seat_user_id);
    Ok(Page { seats, next })
}

fn from_row(row: &seat::Model) -> Seat {
    Seat {
        hotel_id: HotelId(row.hotel_id),
        seat_user_id: SeatUserId(row.seat_user_id),
        added_by: UserId(row.added_by),
        added_at: row.added_at,
    }
}

/// Which of these seats are held.
pub(crate) async fn held(
    db: &impl ConnectionTrait,
    seats: &[(HotelId, SeatUserId)],
) -> Result<Vec<(HotelId, SeatUserId)>, StoreError> {
    if seats.is_empty() {
        return Ok(Vec::new());
    }
    let select = Sql::new(db, "select s.hotel_id, s.seat_user_id from ")
        .rows(keys(seats.iter().copied()))
        .text(" join seat s on s.hotel_id = t.hotel_id and s.seat_user_id = t.seat_user_id")
        .of_one_hotel("s.hotel_id", seats.iter().map(|(hotel, _)| *hotel));
    let rows = db.query_all_raw(select.statement()).await?;
    rows.iter()
        .map(|row| {
            let hotel_id = HotelId(row.try_get("", "hotel_id")?);
            Ok((hotel_id, SeatUserId(row.try_get("", "seat_user_id")?)))
        })
        .collect()
}

/// The write that adds seats.
pub(crate) fn add(db: &impl ConnectionTrait, seats: &[Seat]) -> Sql {
    let rows = keys(seats.iter().map(|seat| (seat.hotel_id, seat.seat_user_id)))
        .uuid("added_by", seats.iter().map(|seat| seat.added_by.0))
        .instant("added_at", seats.iter().map(|seat| seat.added_at));
    let into = "seat (hotel_id, seat_user_id, added_by, added_at)";
    let values = "t.hotel_id, t.seat_user_id, t.added_by, t.added_at";
    Sql::insert(db, into, values, rows).text(
        " on conflict (hotel_id, seat_user_id) \
         do update set added_by = excluded.added_by, added_at = excluded.added_at",
    )
}

/// The write that removes seats.
pub(crate) fn remove(db: &impl ConnectionTrait, seats: &[(HotelId, SeatUserId)]) -> Sql {
    Sql::new(
        db,
        "delete from seat where (hotel_id, seat_user_id) in \
         (select t.hotel_id, t.seat_user_id from ",
    )
    .rows(keys(seats.iter().copied()))
    .text(")")
    .of_one_hotel("hotel_id", seats.iter().map(|(hotel, _)| *hotel))
}

fn keys(seats: impl Iterator<Item = (HotelId, SeatUserId)> + Clone) -> Rows {
    Rows::new()
        .uuid("hotel_id", seats.clone().map(|(hotel_id, _)| hotel_id.0))
        .uuid("seat_user_id", seats.map(|(_, seat)| seat.0))
}
