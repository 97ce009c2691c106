//! The hotel-months while something is recorded: locking, opening and writing them.
//!
//! Exactly one month of a hotel is open. Its row is the hotel's lock: whoever records an event holds
//! it. Opening the next month closes the row under that lock, so whoever waited for it finds it
//! closed, and never stamps an event into a month whose balance has been carried on.

use crate::connect::begin_write;
use crate::dialect::{Rows, Sql, json, writer_of};
use crate::error::StoreError;
use crate::hotels::{PROFILE_COLUMNS, Profile, ProfileRow};
use crate::in_order::InOrder;
use crate::partitions;
use crate::usage::month_of;
use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::decide::{HotelState, opening};
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use plg_core::quota::Counters;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How often a batch tries to open its hotels' months: once is usual; more when other replicas open
/// them at the same moment.
const OPEN_ATTEMPTS: u32 = 8;

/// What to do about hotels that have no open month to lock: those for which nothing was recorded yet,
/// and those whose month another transaction turned while this one waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Open it here: the transaction is the caller's, and holds more than our locks.
    Open,
    /// Fail, so that the caller can begin anew after [`open_missing`], and lock all in order. Whoever
    /// waits for a hotel while it holds those behind it may wait for ever.
    Fail,
}

/// Locks the open month of each hotel, in order of their ids, opening it where the time has come.
pub(crate) async fn lock(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    hotels: &BTreeSet<HotelId>,
    now: DateTime<Utc>,
    missing: Missing,
) -> Result<Vec<HotelState>, StoreError> {
    for attempts in 1..=OPEN_ATTEMPTS {
        let locked = lock_open(txn, plans, hotels).await?;
        if missing == Missing::Fail && locked.len() < hotels.len() {
            return Err(StoreError::MonthNotOpened { attempts });
        }
        if open_months(txn, hotels, &locked, now).await? == 0 {
            return Ok(locked);
        }
    }
    Err(StoreError::MonthNotOpened { attempts: OPEN_ATTEMPTS })
}

async fn lock_open(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    hotels: &BTreeSet<HotelId>,
) -> Result<Vec<HotelState>, StoreError> {
    let select = select_open(txn, hotels, "").text(" order by u.hotel_id").for_update_of("u");
    let rows = txn.query_all_raw(select.statement()).await?;
    rows.iter().map(|row| hotel_state(&mut InOrder::of(row), plans)).collect()
}

/// The open months of hotels, as [`hotel_state`] reads them, and more columns.
fn select_open(
    db: &impl ConnectionTrait,
    hotels: &BTreeSet<HotelId>,
    more: impl Into<Cow<'static, str>>,
) -> Sql {
    Sql::new(db, "select ")
        .text(PROFILE_COLUMNS)
        .text(", u.hotel_id, u.month, u.imports, u.exports, u.active_users, u.last_seq, ")
        .text("u.last_recorded_at")
        .text(more)
        .text(" from usage_monthly u left join hotel h on h.hotel_id = u.hotel_id where ")
        .any_of("u.hotel_id", hotels.iter().map(|hotel| hotel.0))
        .text(" and not u.closed")
}

/// Which versions of a hotel's rows are known: by whom they were written, which on PostgreSQL is another transaction as
/// soon as somebody writes them again. On SQLite nobody, as the whole file has a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    month: Writer,
    profile: Writer,
}

/// A transaction by its number, `xmin` of the rows that it has written: PostgreSQL compares that with an integer of as
/// many bits. Nothing is written by number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writer(i32);

impl Writer {
    /// Of what `txid_current()` says, or `xmin`: a row remembers no more than the lower half.
    pub(crate) const fn number(number: i64) -> Self {
        let [low @ .., _, _, _, _] = number.to_le_bytes();
        Self(i32::from_le_bytes(low))
    }
}

impl Version {
    /// Once that transaction has written the month, and not the profile.
    pub(crate) const fn written_by(self, month: Writer) -> Self {
        Self { month, ..self }
    }
}

/// The open month of each hotel that has one, as it is now, without a lock.
pub(crate) async fn look(
    db: &impl ConnectionTrait,
    plans: &Plans,
    hotels: &BTreeSet<HotelId>,
) -> Result<Vec<(HotelState, Version)>, StoreError> {
    let writers = format!(", {}, coalesce({}, 0)", writer_of(db, "u"), writer_of(db, "h"));
    let select = select_open(db, hotels, writers);
    let rows = db.query_all_raw(select.statement()).await?;
    let known = rows.iter().map(|row| {
        let mut row = InOrder::of(row);
        let state = hotel_state(&mut row, plans)?;
        let (month, profile) = (Writer::number(row.take()?), Writer::number(row.take()?));
        Ok((state, Version { month, profile }))
    });
    known.collect()
}

/// Waits for whoever is writing a hotel's month. What somebody still means to write, supposing that it is as it was, is not
/// written once this is committed.
pub(crate) async fn touch(
    txn: &impl ConnectionTrait,
    hotel_id: HotelId,
    month: Month,
) -> Result<(), StoreError> {
    let update = Sql::new(txn, "update usage_monthly set closed = closed where hotel_id = ")
        .bind(hotel_id.0)
        .text(" and month = ")
        .bind(month.number());
    txn.execute_raw(update.statement()).await?;
    Ok(())
}

/// Those of the hotels whose open month another transaction keeps at this moment.
pub(crate) async fn kept_by_others(
    txn: &impl ConnectionTrait,
    hotels: &BTreeSet<HotelId>,
) -> Result<BTreeSet<HotelId>, StoreError> {
    let open = async |locking: &'static str| {
        let select = Sql::new(txn, "select hotel_id from usage_monthly where not closed and ")
            .any_of("hotel_id", hotels.iter().map(|hotel| hotel.0))
            .text(locking);
        let rows = txn.query_all_raw(select.statement()).await?;
        let hotels = rows.iter().map(|row| Ok(HotelId(row.try_get("", "hotel_id")?)));
        hotels.collect::<Result<BTreeSet<_>, StoreError>>()
    };
    let free = open(" for update skip locked").await?;
    Ok(open("").await?.difference(&free).copied().collect())
}

fn hotel_state(row: &mut InOrder<'_>, plans: &Plans) -> Result<HotelState, StoreError> {
    let profile = Profile::try_from(ProfileRow::take(row)?)?;
    Ok(HotelState {
        time_zone: profile.time_zone,
        limits: profile.limits(plans),
        hotel_id: HotelId(row.take()?),
        month: month_of(row.take()?)?,
        counters: row.counters()?,
        last_seq: row.take()?,
        last_recorded_at: row.take()?,
    })
}

/// Opens the months that are due, and says how many were. Those must be locked then.
async fn open_months(
    txn: &impl ConnectionTrait,
    hotels: &BTreeSet<HotelId>,
    locked: &[HotelState],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let turned: Vec<(&HotelState, Month)> = locked
        .iter()
        .map(|hotel| (hotel, hotel.month_at(now)))
        .filter(|(hotel, month)| *month > hotel.month)
        .collect();
    let known: BTreeSet<_> = locked.iter().map(|hotel| hotel.hotel_id).collect();
    let unknown: Vec<_> = hotels.difference(&known).copied().collect();
    if turned.is_empty() && unknown.is_empty() {
        return Ok(0);
    }
    if !turned.is_empty() {
        txn.execute_raw(close(txn, turned.iter().map(|(hotel, _)| *hotel))?.statement()).await?;
    }
    let mut opened: Vec<Opening> = turned
        .into_iter()
        .map(|(hotel, month)| Opening {
            hotel_id: hotel.hotel_id,
            month,
            counters: opening(&hotel.counters),
            last_recorded_at: hotel.last_recorded_at,
        })
        .collect();
    let unknown = profiles(txn, &unknown).await?;
    opened.extend(unknown.into_iter().map(|(hotel_id, profile)| first(hotel_id, &profile, now)));
    opened.sort_by_key(|opening| opening.hotel_id);
    partitions::ensure(txn, &opened.iter().map(|opening| opening.month).collect()).await?;
    txn.execute_raw(insert_months(txn, &opened).statement()).await?;
    Ok(opened.len())
}

/// The write that closes months, and notes with which limits.
fn close<'a>(
    db: &impl ConnectionTrait,
    hotels: impl Iterator<Item = &'a HotelState> + Clone,
) -> Result<Sql, StoreError> {
    let limits = hotels.clone().map(|hotel| serde_json::to_string(&hotel.limits));
    let limits = limits.collect::<Result<Vec<_>, _>>();
    let limits = limits.map_err(|_| StoreError::corrupt("limits", "not representable"))?;
    let rows = Rows::new()
        .uuid("hotel_id", hotels.clone().map(|hotel| hotel.hotel_id.0))
        .int("month", hotels.clone().map(|hotel| hotel.month.number()))
        .text("limits", limits.into_iter());
    let set = format!("usage_monthly as u set closed = true, limits = {}", json(db, "t.limits"));
    let close = Sql::update(db, &set, rows).text(OF_ROWS);
    Ok(close.of_one_hotel("u.hotel_id", hotels.map(|hotel| hotel.hotel_id)))
}

/// Closes a hotel's month if it is over, and opens the next, before the limits change with which it was over.
pub(crate) async fn turn_if_over(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    hotel_id: HotelId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let hotels = BTreeSet::from([hotel_id]);
    // Without a lock first: hardly ever it is.
    let open = txn.query_one_raw(select_open(txn, &hotels, "").statement()).await?;
    match open.map(|row| hotel_state(&mut InOrder::of(&row), plans)).transpose() {
        Ok(Some(open)) if open.month_at(now) > open.month => {}
        // Limits that cannot be read cannot be kept, and nobody is kept from setting others.
        Ok(_) | Err(StoreError::Corrupt { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let locked = lock_open(txn, plans, &hotels).await?;
    // Unless somebody else has turned it meanwhile, and left none that was open when this began to wait.
    if !locked.is_empty() {
        open_months(txn, &hotels, &locked, now).await?;
    }
    Ok(())
}

/// Opens the month of each hotel that has none, while holding no lock.
pub(crate) async fn open_missing(
    db: &DatabaseConnection,
    hotels: &BTreeSet<HotelId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let select = Sql::new(db, "select u.hotel_id from usage_monthly u where not u.closed and ")
        .any_of("u.hotel_id", hotels.iter().map(|hotel| hotel.0));
    let rows = db.query_all_raw(select.statement()).await?;
    let open = rows.iter().map(|row| Ok(HotelId(row.try_get("", "hotel_id")?)));
    let open = open.collect::<Result<BTreeSet<HotelId>, StoreError>>()?;
    let missing: Vec<_> = hotels.difference(&open).copied().collect();

    let profiles = profiles(db, &missing).await?;
    let first = |(hotel_id, profile): &(HotelId, Profile)| first(*hotel_id, profile, now);
    let mut openings: Vec<Opening> = profiles.iter().map(first).collect();
    openings.sort_by_key(|opening| opening.hotel_id);
    if openings.is_empty() {
        return Ok(());
    }
    let txn = begin_write(db).await?;
    partitions::ensure(&txn, &openings.iter().map(|opening| opening.month).collect()).await?;
    txn.commit().await?;
    db.execute_raw(insert_months(db, &openings).statement()).await?;
    ensure_open(db, &missing).await
}

/// A month is closed by whoever opens the next. A hotel that has months, and none that is open, was changed by somebody
/// else, and would be tried for ever.
async fn ensure_open(db: &DatabaseConnection, hotels: &[HotelId]) -> Result<(), StoreError> {
    let open = "usage_monthly o where o.hotel_id = u.hotel_id and not o.closed";
    let select = Sql::new(db, "select u.hotel_id from usage_monthly u where ")
        .any_of("u.hotel_id", hotels.iter().map(|hotel| hotel.0))
        .text(format!(" and not exists (select 1 from {open}"))
        .of_one_hotel("o.hotel_id", hotels.iter().copied())
        .text(") limit 1");
    let Some(row) = db.query_one_raw(select.statement()).await? else { return Ok(()) };
    let hotel = HotelId(row.try_get_by_index(0)?);
    Err(StoreError::corrupt("usage_monthly", format!("no month of hotel {hotel} is open")))
}

/// The first month of a hotel.
fn first(hotel_id: HotelId, profile: &Profile, now: DateTime<Utc>) -> Opening {
    let month = profile.time_zone.month_of(now);
    Opening { hotel_id, month, counters: Counters::default(), last_recorded_at: None }
}

struct Opening {
    hotel_id: HotelId,
    month: Month,
    counters: Counters,
    last_recorded_at: Option<DateTime<Utc>>,
}

/// Another replica may have opened a month first: then its row stands, and is locked next.
fn insert_months(txn: &impl ConnectionTrait, openings: &[Opening]) -> Sql {
    let rows = Rows::new()
        .uuid("hotel_id", openings.iter().map(|o| o.hotel_id.0))
        .int("month", openings.iter().map(|o| o.month.number()))
        .big_int("active_users", openings.iter().map(|o| o.counters.active_users))
        // The epoch stands for none: arrays hold no NULL.
        .instant("last", openings.iter().map(|o| o.last_recorded_at.unwrap_or_default()))
        .instant("none", openings.iter().map(|_| DateTime::<Utc>::UNIX_EPOCH));
    let into = "usage_monthly (hotel_id, month, active_users, opening_active_users, \
     verified_active_users, last_recorded_at)";
    let values = "t.hotel_id, t.month, t.active_users, t.active_users, t.active_users, nullif(t.last, \
     t.none)";
    Sql::insert(txn, into, values, rows).text(" on conflict do nothing")
}

async fn profiles(
    db: &impl ConnectionTrait,
    hotels: &[HotelId],
) -> Result<Vec<(HotelId, Profile)>, StoreError> {
    if hotels.is_empty() {
        return Ok(Vec::new());
    }
    let select = Sql::new(db, "select t.hotel_id, ")
        .text(PROFILE_COLUMNS)
        .text(" from ")
        .rows(Rows::new().uuid("hotel_id", hotels.iter().map(|hotel| hotel.0)))
        .text(" left join hotel h on h.hotel_id = t.hotel_id")
        .of_one_hotel("h.hotel_id", hotels.iter().copied());
    let rows = db.query_all_raw(select.statement()).await?;
    rows.iter()
        .map(|row| {
            let mut row = InOrder::of(row);
            Ok((HotelId(row.take()?), Profile::try_from(ProfileRow::take(&mut row)?)?))
        })
        .collect()
}

/// The write that sets the counters of locked months, in which something was recorded.
pub(crate) fn set<'a>(
    db: &impl ConnectionTrait,
    hotels: impl Iterator<Item = &'a HotelState> + Clone,
) -> Sql {
    Sql::update(db, &format!("{SET}t.last"), counters(hotels.clone()))
        .text(OF_ROWS)
        .of_one_hotel("u.hotel_id", hotels.map(|hotel| hotel.hotel_id))
}

/// What [`set_where_unchanged`] sets, of hotels in order of their ids.
pub(crate) fn counters_of_versions(hotels: &[HotelState], versions: &[Version]) -> Rows {
    counters(hotels.iter())
        .int("written_by", versions.iter().map(|version| version.month.0))
        .int("profile", versions.iter().map(|version| version.profile.0))
}

/// The write that sets the counters of months that nobody has locked, where nobody has written them, or the hotel's
/// profile, since (PostgreSQL). Also of those in which nothing was recorded yet, and nothing is.
pub(crate) fn set_where_unchanged(db: &impl ConnectionTrait, rows: Rows) -> Sql {
    Sql::update(db, &format!("{SET}nullif(t.last, timestamptz 'epoch')"), rows)
        .text(" left join hotel h on h.hotel_id = t.hotel_id")
        .text(OF_ROWS)
        .text(" and u.xmin = t.written_by")
        .text(" and coalesce(h.xmin, cast('0' as xid)) = t.profile")
}

/// What is set of [`counters`], but for the last, and where.
const SET: &str = "usage_monthly as u set imports = t.imports, exports = t.exports, \
                   active_users = t.active_users, last_seq = t.last_seq, last_recorded_at = ";
const OF_ROWS: &str = " where u.hotel_id = t.hotel_id and u.month = t.month";

fn counters<'a>(hotels: impl Iterator<Item = &'a HotelState> + Clone) -> Rows {
    Rows::new()
        .uuid("hotel_id", hotels.clone().map(|h| h.hotel_id.0))
        .int("month", hotels.clone().map(|h| h.month.number()))
        .big_int("imports", hotels.clone().map(|h| h.counters.imports))
        .big_int("exports", hotels.clone().map(|h| h.counters.exports))
        .big_int("active_users", hotels.clone().map(|h| h.counters.active_users))
        .big_int("last_seq", hotels.clone().map(|h| h.last_seq))
        // The epoch stands for none: arrays hold no NULL.
        .instant("last", hotels.map(|h| h.last_recorded_at.unwrap_or_default()))
}
