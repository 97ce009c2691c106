//! The event log.

use crate::dialect::{Rows, Sql, json};
use crate::error::StoreError;
use crate::gates;
use crate::paging::cut;
use crate::schema::product_event;
use chrono::{DateTime, Utc};
use plg_core::calendar::{Month, TimeZone};
use plg_core::catalogue::EventType;
use plg_core::event::{Command, RecordedEvent};
use plg_core::event_data::EventData;
use plg_core::ids::{DedupKey, EventId, HotelId, SessionId, TextIdError, UserId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult as _, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use std::cmp;
use std::collections::HashMap;
use std::sync::Arc;

/// A place in a hotel's log. Listings go on behind it, towards the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The month.
    pub month: Month,
    /// The sequence number in it.
    pub seq: i64,
}

/// One page of a hotel's log.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub events: Vec<RecordedEvent>,
    /// Where the next page begins; `None` at the end of the log.
    pub next: Option<Position>,
}

/// Rows looked through for one page at the most, so that a rare type cannot read a whole log. Such
/// a page has fewer events than asked for, and a `next`.
pub const PAGE_SCAN_MAX: u64 = 10_000;

/// Bytes of data after which a page ends, likewise: its readers may be slow, and many.
const PAGE_DATA_BYTES: usize = 1024 * 1024;

/// Events with the same id, besides the first, that are looked through for one.
const SENDERS_OF_AN_ID: u64 = 100;

/// Lists a hotel's events, newest first, `limit` at a time, from behind a position.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    event_type: Option<EventType>,
    behind: Option<Position>,
    limit: u64,
) -> Result<Page, StoreError> {
    use product_event::Column;

    let mut log = product_event::Entity::find().filter(Column::HotelId.eq(hotel_id.0));
    if let Some(Position { month, seq }) = behind {
        let here = Expr::tuple([Expr::col(Column::Month), Expr::col(Column::Seq)]);
        let there = Expr::tuple([Expr::val(month.number()), Expr::val(seq)]);
        log = log.filter(here.lt(there));
    }
    log = log.order_by_desc(Column::Month).order_by_desc(Column::Seq);

    let Some(event_type) = event_type else {
        let rows = log.limit(limit + 1).all(db).await?;
        return page(rows, limit);
    };
    // The last row that this page may look at.
    let horizon = log
        .clone()
        .select_only()
        .columns([Column::Month, Column::Seq])
        .offset(PAGE_SCAN_MAX - 1)
        .limit(1)
        .into_tuple::<(i32, i64)>()
        .one(db)
        .await?;
    log = log.filter(Column::EventType.eq(event_type.name()));
    if let Some((month, seq)) = horizon {
        let here = Expr::tuple([Expr::col(Column::Month), Expr::col(Column::Seq)]);
        log = log.filter(here.gte(Expr::tuple([Expr::val(month), Expr::val(seq)])));
    }
    let mut page = page(log.limit(limit + 1).all(db).await?, limit)?;
    if let (None, Some((month, seq))) = (page.next, horizon) {
        page.next = Some(Position { month: month_of(month)?, seq });
    }
    Ok(page)
}

fn page(mut rows: Vec<product_event::Model>, limit: u64) -> Result<Page, StoreError> {
    let mut data_bytes = 0;
    let too_much = (0..).zip(&rows).find(|(_, row)| {
        data_bytes += row.event_data.as_ref().map_or(0, String::len);
        data_bytes > PAGE_DATA_BYTES
    });
    // One at least, or nothing behind it would ever be listed.
    let limit = too_much.map_or(limit, |(place, _)| cmp::min(limit, cmp::max(place, 1)));
    let others_follow = cut(&mut rows, limit);
    let events = rows.into_iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    let next = events.last().filter(|_| others_follow);
    let next = next.map(|event| Position { month: event.month, seq: event.seq });
    Ok(Page { events, next })
}

fn month_of(number: i32) -> Result<Month, StoreError> {
    Month::from_number(number).map_err(|_| StoreError::corrupt("month", number.to_string()))
}

fn from_row(row: product_event::Model) -> Result<RecordedEvent, StoreError> {
    fn text<T>(
        text: Option<String>,
        parse: impl FnOnce(String) -> Result<T, TextIdError>,
    ) -> Result<Option<T>, StoreError> {
        text.map(parse).transpose().map_err(|e| StoreError::corrupt("identifier", e.to_string()))
    }

    let event_type = row.event_type.parse();
    let event_data = row.event_data.as_deref().map(EventData::from_stored).transpose();
    Ok(RecordedEvent {
        event_type: event_type.map_err(|_| StoreError::corrupt("event_type", &row.event_type))?,
        hotel_id: HotelId(row.hotel_id),
        user_id: UserId(row.user_id),
        session_id: text(row.session_id, SessionId::parse)?,
        event_id: text(row.event_id, EventId::parse)?,
        dedup_key: text(row.dedup_key, DedupKey::parse)?,
        event_data: event_data.map_err(|e| StoreError::corrupt("event_data", e.to_string()))?,
        month: month_of(row.month)?,
        day: row.day,
        seq: row.seq,
        recorded_at: row.recorded_at,
    })
}

/// The event that an earlier sending with the id of this one has recorded, if one has and its row is there.
///
/// The log has no index by id, but its times never run backwards in a hotel-month: its place is found by that of
/// its gate, however long the month is.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_sending(
    db: &impl ConnectionTrait,
    again: &Command,
) -> Result<Option<RecordedEvent>, StoreError> {
    use product_event::Column;

    let (Some(gate), Some(id)) = (again.sending(), &again.event().event_id) else {
        return Ok(None);
    };
    let hotel_id = gate.hotel_id;
    let Some(passed) = gates::read(db, &[gate]).await?.remove(&gate.key) else { return Ok(None) };
    // The hotel's month differs from that of UTC by a day at most, and a clock may have been behind.
    let month = TimeZone::default().month_of(passed.last_at);
    for month in [month, month.previous(), month.next()] {
        let Some(first) = first_since(db, hotel_id, month, passed.last_at).await? else { continue };
        let with_this_id = rows_from(hotel_id, month, first)
            .filter(Column::Seq.lt(first.saturating_add_unsigned(PAGE_SCAN_MAX)))
            .filter(Column::EventId.eq(id.as_str()))
            .order_by_asc(Column::Seq);
        let Some(row) = with_this_id.clone().one(db).await? else { continue };
        let first = from_row(row)?;
        if first.records(again.event()) {
            return Ok(Some(first));
        }
        // Others may have used the same id, even at the same moment: browsers choose theirs for themselves.
        let others = with_this_id.offset(1).limit(SENDERS_OF_AN_ID).all(db).await?;
        let others = others.into_iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        let same = others.into_iter().find(|event| event.records(again.event()));
        return Ok(Some(same.unwrap_or(first)));
    }
    Ok(None)
}

/// Where the events of a hotel-month begin that were recorded at `since` or later, found by halving.
async fn first_since(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    month: Month,
    since: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    use product_event::Column;

    let newest = rows_from(hotel_id, month, 0).order_by_desc(Column::Seq).one(db).await?;
    let Some(newest) = newest.filter(|row| row.recorded_at >= since) else { return Ok(None) };
    let (mut low, mut high) = (0, newest.seq);
    while low < high {
        let middle = low + (high - low) / 2;
        // Rows may be missing.
        let row = rows_from(hotel_id, month, middle).order_by_asc(Column::Seq).one(db).await?;
        match row {
            Some(row) if row.recorded_at < since => low = row.seq + 1,
            _ => high = middle,
        }
    }
    Ok(Some(low))
}

/// The rows of a hotel-month from a sequence number on.
fn rows_from(hotel_id: HotelId, month: Month, seq: i64) -> Select<product_event::Entity> {
    use product_event::Column;

    product_event::Entity::find()
        .filter(Column::HotelId.eq(hotel_id.0))
        .filter(Column::Month.eq(month.number()))
        .filter(Column::Seq.gte(seq))
}

/// What events are appended to.
const INTO: &str = "product_event (hotel_id, month, seq, event_type, user_id, session_id, event_id, \
     dedup_key, event_data, day, recorded_at)";

/// The write that appends events.
pub(crate) fn append(db: &impl ConnectionTrait, events: &[Arc<RecordedEvent>]) -> Sql {
    Sql::insert(db, INTO, &values(db), rows(events))
}

/// The write that appends [`rows`] of events, from a SELECT always.
pub(crate) fn append_rows(db: &impl ConnectionTrait, rows: Rows) -> Sql {
    Sql::insert_all(db, INTO, &values(db), rows)
}

/// Expressions of [`rows`] for the columns of [`INTO`].
fn values(db: &impl ConnectionTrait) -> String {
    let data = json(db, "nullif(t.event_data, '')");
    format!(
        "t.hotel_id, t.month, t.seq, t.event_type, t.user_id, nullif(t.session_id, ''), \
         nullif(t.event_id, ''), nullif(t.dedup_key, ''), {data}, t.day, t.recorded_at"
    )
}

/// Events as they are appended.
pub(crate) fn rows(events: &[Arc<RecordedEvent>]) -> Rows {
    Rows::new()
        .uuid("hotel_id", events.iter().map(|e| e.hotel_id.0))
        .int("month", events.iter().map(|e| e.month.number()))
        .big_int("seq", events.iter().map(|e| e.seq))
        .text("event_type", events.iter().map(|e| e.event_type.name().to_owned()))
        .uuid("user_id", events.iter().map(|e| e.user_id.0))
        .optional_text(
            "session_id",
            events.iter().map(|e| e.session_id.as_ref().map(ToString::to_string)),
        )
        .optional_text(
            "event_id",
            events.iter().map(|e| e.event_id.as_ref().map(ToString::to_string)),
        )
        .optional_text(
            "dedup_key",
            events.iter().map(|e| e.dedup_key.as_ref().map(ToString::to_string)),
        )
        .optional_text(
            "event_data",
            events.iter().map(|e| e.event_data.as_ref().map(|data| data.json().to_owned())),
        )
        .date("day", events.iter().map(|e| e.day))
        .instant("recorded_at", events.iter().map(|e| e.recorded_at))
}

/// Whether these very events stand in the log.
pub(crate) async fn all_stand(
    db: &impl ConnectionTrait,
    events: &[Arc<RecordedEvent>],
) -> Result<bool, StoreError> {
    let keys = Rows::new()
        .uuid("hotel_id", events.iter().map(|e| e.hotel_id.0))
        .int("month", events.iter().map(|e| e.month.number()))
        .big_int("seq", events.iter().map(|e| e.seq));
    let select = Sql::new(db, "select e.* from ")
        .rows(keys)
        .text(" join product_event e on e.hotel_id = t.hotel_id and e.month = t.month and e.seq = t.seq")
        .of_one_hotel("e.hotel_id", events.iter().map(|e| e.hotel_id));
    let rows = product_event::Model::find_by_statement(select.statement()).all(db).await?;
    let key = |event: &RecordedEvent| (event.hotel_id, event.month, event.seq);
    // Databases may write the same JSON in another way.
    let without_data = |event: RecordedEvent| RecordedEvent { event_data: None, ..event };
    let found = rows.into_iter().map(|row| from_row(row).map(without_data));
    let found = found.map(|event| event.map(|event| (key(&event), event)));
    let found = found.collect::<Result<HashMap<_, _>, StoreError>>()?;
    let stands = |event: &Arc<RecordedEvent>| {
        found.get(&key(event)) == Some(&without_data(RecordedEvent::clone(event)))
    };
    Ok(events.iter().all(stands))
}
