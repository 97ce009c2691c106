//! Recording without a lock first (PostgreSQL): a connection remembers the hotels that it wrote last, decides by that,
//! supposing that nobody has sent any of the batch before, and the write itself says whether all of it is true.
//!
//! PostgreSQL notes in each row which transaction has written it. Where that is still the one that is remembered of a
//! hotel's open month and of its profile, nobody has recorded, corrected, closed or registered anything since. The
//! update of the month locks it, and so the rest of the batch is written under the same locks, in the same order, as if
//! they had been taken first. Events and gates that the statement is too early to see belong to somebody who writes the
//! month, and is waited for there. A profile is as it was when the statement began, as it is for one that locks.
//!
//! What was not true is rolled back, and recorded the careful way.

use crate::commit::Written;
use crate::connect::begin_anew;
use crate::dialect::Sql;
use crate::error::StoreError;
use crate::months::{self, Version, Writer};
use crate::{events, gates};
use chrono::{DateTime, Utc};
use plg_core::decide::{Batch, Decision, HotelState, Supposed};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::{BTreeSet, HashMap};

/// Batches that are recorded the careful way behind one that was tried in vain: where others write the same hotels, or
/// much is sent again or refused, little is lost by trying.
const PAUSE: u32 = 8;

/// What became of a batch that was recorded without a lock first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supposition {
    /// All was as it was supposed.
    Held,
    /// Something was not, and the batch was begun anew.
    Wrong,
}

/// The hotels that a connection knows.
#[derive(Debug)]
pub(crate) struct Memory {
    /// So many at the most. None: everything is recorded the careful way.
    most: usize,
    hotels: HashMap<HotelId, Known>,
    pause: u32,
    last: Option<Supposition>,
}

#[derive(Debug, Clone)]
struct Known {
    state: HotelState,
    version: Version,
}

/// What is known of hotels, should the transaction be committed that has written them.
#[derive(Debug, Default)]
pub(crate) struct Learned(Vec<Known>);

impl Memory {
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self { most, hotels: HashMap::new(), pause: 0, last: None }
    }

    /// For who records one batch only.
    pub(crate) fn none() -> Self {
        Self::of_at_most(0)
    }

    /// Another batch comes.
    pub(crate) const fn begin(&mut self) {
        self.last = None;
    }

    /// What became of the last batch, if it was tried.
    pub(crate) const fn last(&self) -> Option<Supposition> {
        self.last
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.hotels.len()
    }

    pub(crate) fn clear(&mut self) {
        self.hotels.clear();
    }

    pub(crate) fn learn(&mut self, learned: Learned) {
        self.hotels.extend(learned.0.into_iter().map(|known| (known.state.hotel_id, known)));
    }

    /// Records a batch, if it turns out to be new and its hotels as they are known. If it does not, nothing is written,
    /// and its hotels are forgotten: they will be written the careful way.
    pub(crate) async fn record(
        &mut self,
        txn: &DatabaseTransaction,
        plans: &Plans,
        now: DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Option<Written>, StoreError> {
        if self.most == 0 || commands.is_empty() {
            return Ok(None);
        }
        let hotels: BTreeSet<_> = commands.iter().map(Command::hotel_id).collect();
        let is_paused = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        let may_be_new = commands.iter().all(Command::is_once_only);
        let recorded = if is_paused || !may_be_new || hotels.len() > self.most {
            None
        } else {
            self.suppose(txn, plans, now, (&hotels, commands)).await?
        };
        if recorded.is_none() {
            for hotel in &hotels {
                self.hotels.remove(hotel);
            }
        }
        Ok(recorded)
    }

    async fn suppose(
        &mut self,
        txn: &DatabaseTransaction,
        plans: &Plans,
        now: DateTime<Utc>,
        (hotels, commands): (&BTreeSet<HotelId>, &[Command]),
    ) -> Result<Option<Written>, StoreError> {
        self.look(txn, plans, hotels).await?;
        let known: Vec<_> = hotels.iter().filter_map(|hotel| self.hotels.get(hotel)).collect();
        if known.len() < hotels.len() || known.iter().any(|known| known.is_due(now)) {
            return Ok(None);
        }
        let states = known.iter().map(|known| known.state.clone()).collect();
        let versions: Vec<_> = known.iter().map(|known| known.version).collect();
        let Some(supposed) = Batch::new(now, states, commands)?.suppose_new()? else {
            self.pause = PAUSE;
            return Ok(None);
        };
        if supposed.decision.hotels.len() < hotels.len() {
            // What is not written is not compared.
            return Ok(None);
        }
        // Whatever else it was, the careful way will tell.
        let writer = match writer(txn, write(txn, &supposed, &versions)).await {
            Err(error @ (StoreError::Unavailable(_) | StoreError::Locked(_))) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "a batch is begun anew, under locks");
                None
            }
            Ok(writer) => writer,
        };
        let Some(writer) = writer else {
            self.pause = PAUSE;
            self.last = Some(Supposition::Wrong);
            begin_anew(txn, "ROLLBACK").await?;
            return Ok(None);
        };
        self.last = Some(Supposition::Held);
        let Decision { answers, events, hotels, .. } = supposed.decision;
        let versions = versions.into_iter().map(|version| version.written_by(writer));
        let learned = hotels.into_iter().zip(versions);
        let learned = learned.map(|(state, version)| Known { state, version }).collect();
        let witness = events.into_iter().next();
        Ok(Some(Written { answers, witness, learned: Learned(learned) }))
    }

    /// Gets to know those of the hotels that are not known, if they have an open month.
    async fn look(
        &mut self,
        txn: &DatabaseTransaction,
        plans: &Plans,
        hotels: &BTreeSet<HotelId>,
    ) -> Result<(), StoreError> {
        let is_unknown = |hotel: &HotelId| !self.hotels.contains_key(hotel);
        let mut unknown: BTreeSet<_> = hotels.iter().copied().filter(is_unknown).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        if self.hotels.len() + unknown.len() > self.most {
            self.clear();
            unknown.clone_from(hotels);
        }
        let found = months::look(txn, plans, &unknown).await?;
        let found = found.into_iter().map(|(state, version)| Known { state, version }).collect();
        self.learn(Learned(found));
        Ok(())
    }
}

/// Everything in one statement. It writes hotels, gates and events in this order, each only if those before were as
/// supposed: so it waits for other transactions where those who lock wait, and never meets what they have written.
/// `versions` are those of the decision's hotels.
fn write(
    txn: &DatabaseTransaction,
    Supposed { absent, decision }: &Supposed,
    versions: &[Version],
) -> Sql {
    let hotels_are = |sql| number_is(sql, "hotels", decision.hotels.len());
    let gates_are = |sql| number_is(sql, "gates", absent.len());

    let hotels = months::set_where_unchanged(txn, &decision.hotels, versions);
    let mut write = Sql::new(txn, "with hotels as (").then(hotels).text(" returning 1)");
    if !absent.is_empty() {
        let insert = gates::insert_absent_if(txn, absent, hotels_are);
        write = write.text(", gates as (").then(insert).text(" returning 1)");
    }
    let all_are = |sql| if absent.is_empty() { hotels_are(sql) } else { gates_are(sql) };
    let append = events::append_if(txn, &decision.events, all_are);
    all_are(write.text(", events as (").then(append).text(") select ")).text(", txid_current()")
}

/// A condition on a statement's CTE: it waits until that is done.
fn number_is(sql: Sql, of: &str, number: usize) -> Sql {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    sql.text(format!("(select count(*) from {of}) = ")).bind(number)
}

impl Known {
    /// Whether another month has to be opened first.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.state.month_at(now) > self.state.month
    }
}

/// Who has written it, if all was as supposed.
async fn writer(txn: &DatabaseTransaction, write: Sql) -> Result<Option<Writer>, StoreError> {
    let Some(row) = txn.query_one_raw(write.statement()).await? else { return Ok(None) };
    let all_are: bool = row.try_get_by_index(0)?;
    Ok(all_are.then_some(Writer::number(row.try_get_by_index(1)?)))
}
