//! Recording without a lock first (PostgreSQL): a process remembers the hotels that it wrote last, decides by that, and
//! the write itself says whether all of it is true. Where nothing but repetitions could stand in the way of a batch, it
//! supposes that there are none; where windows or quotas could, it reads the gates, without locking anything either.
//!
//! PostgreSQL notes in each row which transaction has written it. Where that is still the one that is remembered of a
//! hotel's open month and of its profile, nobody has recorded, corrected, closed or registered anything since. The
//! update of the month locks it, and so the rest of the batch is written under the same locks, in the same order, as if
//! they had been taken first. A profile is as it was when the update began, as it is for a statement that locks.
//!
//! A gate that was read is as it was, too, if its hotel's month is: whatever passes a gate is recorded, and so writes the
//! month. That is why every hotel of the batch is written, also one of which nothing is recorded.
//!
//! The write is one call of a function, and in no transaction so is its COMMIT: one round trip. What was not true is
//! undone by the function itself, without an error in the server's log, and recorded the careful way.

use crate::commit::{Written, before};
use crate::connect::answer_by;
use crate::dialect::{Call, Function, Rows, Sql};
use crate::error::{StoreError, is_refusal};
use crate::months::{self, Version, Writer};
use crate::session::PgSession;
use crate::{events, gates};
use chrono::{DateTime, Utc};
use plg_core::decide::{Batch, Decision, HotelState, Outcome};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Batches that are recorded the careful way behind one that was tried in vain: where others write the same hotels, little
/// is lost by trying. So many have their gates read, too, behind one that had a repetition in it.
const PAUSE: u32 = 8;

/// What became of a batch that was recorded without a lock first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supposition {
    /// All was as it was supposed.
    Held,
    /// Something was not, and the batch was begun anew.
    Wrong,
}

/// Hotels as they were written last, by whichever of the recorders that share it. They need the same plans: limits are
/// remembered, too. Where two of them write a hotel at the same time, one supposes wrongly.
#[derive(Debug, Default)]
pub struct HotelMemory {
    /// So many hotels at the most.
    most: usize,
    known: Mutex<KnownHotels>,
}

#[derive(Debug, Default)]
struct KnownHotels {
    server: Server,
    by_id: HashMap<HotelId, Known>,
}

/// A PostgreSQL server, from its start to its end: when it began, in microseconds. Another, to which a service is sent
/// after a failover, may number other transactions alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Server(i64);

/// What a connection has to know to record without a lock first.
#[derive(Debug)]
pub(crate) struct Optimist {
    memory: Arc<HotelMemory>,
    server: Server,
    /// Batches that are not tried.
    pause: u32,
    /// Batches whose gates are read, whatever stands in their way.
    look_first: u32,
    last: Option<Supposition>,
    /// What writes a batch, unless it cannot be had.
    write: Option<Function>,
    /// Whether the session has that.
    is_defined: bool,
}

#[derive(Debug, Clone)]
struct Known {
    state: HotelState,
    version: Version,
}

/// What is known of hotels, should the transaction be committed that has written them.
#[derive(Debug, Default)]
pub(crate) struct Learned(Vec<Known>);

/// A batch that is decided, should all be as it is supposed.
#[derive(Debug)]
pub(crate) struct Guess {
    decision: Decision,
    /// Those of the decision's hotels.
    versions: Vec<Version>,
    /// Whether gates were read for it, so that it knows its repetitions.
    has_looked: bool,
}

/// What a guess is found to be when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// True, and it is written by that transaction.
    Held(Writer),
    /// The hotels are as they are remembered, and a gate is there that was supposed not to be (or a place of the log is
    /// taken, which no guess will mend).
    Repeated,
    /// Otherwise: somebody has written a hotel.
    Wrong,
}

/// Why a guess was not, or perhaps not, written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The server has refused to. If there is a transaction, it has to be rolled back.
    Refused(StoreError),
    /// It has not answered.
    Unanswered(StoreError),
}

impl HotelMemory {
    /// Remembers so many hotels at the most; where that is none, everything is recorded under locks.
    #[must_use]
    pub fn of_at_most(most: usize) -> Self {
        Self { most, known: Mutex::default() }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap().by_id.len()
    }
}

impl Server {
    /// At the other end of a connection.
    pub(crate) async fn of(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let question =
            "select cast(extract(epoch from pg_postmaster_start_time()) * 1000000 as bigint)";
        let row = db.query_one_raw(Sql::new(db, question).statement()).await?;
        row.map_or(Ok(0), |row| row.try_get_by_index(0)).map(Self)
    }
}

impl Optimist {
    /// Records everything under locks.
    pub(crate) fn never() -> Self {
        let (memory, server) = (Arc::default(), Server::default());
        let (last, write) = (None, None);
        Self { memory, server, pause: 0, look_first: 0, last, write, is_defined: false }
    }

    /// On a connection with this server, if hotels may be remembered.
    pub(crate) fn on(db: &impl ConnectionTrait, server: Server, memory: Arc<HotelMemory>) -> Self {
        let write = (memory.most > 0).then(|| writer(db));
        Self { memory, server, write, ..Self::never() }
    }

    /// What is remembered of this server.
    fn known(&self) -> MutexGuard<'_, KnownHotels> {
        let mut known = self.memory.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.server != self.server {
            *known = KnownHotels { server: self.server, by_id: HashMap::new() };
        }
        known
    }

    pub(crate) fn clear(&self) {
        self.known().by_id.clear();
    }

    pub(crate) fn learn(&self, learned: Learned) {
        let learned = learned.0.into_iter().map(|known| (known.state.hotel_id, known));
        self.known().by_id.extend(learned);
    }

    fn forget(&self, commands: &[Command]) {
        let mut known = self.known();
        for command in commands {
            known.by_id.remove(&command.hotel_id());
        }
    }

    /// Whether the session can [`write()`] a guess. Has it define what does, if it has not yet: a connection that only
    /// asks for something changes nothing.
    pub(crate) async fn can_write(
        &mut self,
        session: &mut PgSession,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        if self.is_defined {
            return Ok(true);
        }
        let Some(write) = &self.write else { return Ok(false) };
        let define = async {
            session.commit().await?;
            write.define(session).await
        };
        match before(deadline, define).await {
            Ok(()) => self.is_defined = true,
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "recording takes locks first, and is slower for it: a session has to be \
                    allowed to define a function for itself, by TEMPORARY on the database and PL/pgSQL");
                self.write = None;
            }
        }
        Ok(self.is_defined)
    }

    /// Another batch comes.
    pub(crate) const fn begin(&mut self) {
        self.last = None;
    }

    /// What became of the last batch, if it was tried.
    pub(crate) const fn last(&self) -> Option<Supposition> {
        self.last
    }

    /// Decides a batch, supposing its hotels as they are known, and says how to [`write()`] it. If it cannot be, its hotels
    /// are forgotten: they will be written the careful way.
    pub(crate) async fn guess(
        &mut self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        now: DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Option<(Guess, Call)>, StoreError> {
        if self.write.is_none() || commands.is_empty() {
            return Ok(None);
        }
        let hotels: BTreeSet<_> = commands.iter().map(Command::hotel_id).collect();
        let is_paused = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        let has_seats = commands.iter().any(Command::is_about_a_seat);
        let guess = if is_paused || has_seats || hotels.len() > self.memory.most {
            None
        } else {
            self.suppose(db, plans, now, (&hotels, commands)).await?
        };
        if guess.is_none() {
            self.forget(commands);
        }
        Ok(guess)
    }

    async fn suppose(
        &mut self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        now: DateTime<Utc>,
        (hotels, commands): (&BTreeSet<HotelId>, &[Command]),
    ) -> Result<Option<(Guess, Call)>, StoreError> {
        self.look(db, plans, hotels).await?;
        // Before the gates: those that are read later are as they were when the month was written, or it was written since.
        let known: Vec<Known> = {
            let known = self.known();
            hotels.iter().filter_map(|hotel| known.by_id.get(hotel)).cloned().collect()
        };
        if known.len() < hotels.len() || known.iter().any(|known| known.is_due(now)) {
            return Ok(None);
        }
        let (states, versions): (Vec<_>, Vec<_>) =
            known.into_iter().map(|Known { state, version }| (state, version)).unzip();
        let batch = Batch::new(now, states, commands)?;
        let has_looked = self.look_first > 0 || !batch.may_all_be_new();
        self.look_first = self.look_first.saturating_sub(1);
        let decision = if has_looked {
            let gates = gates::read(db, &batch.gates()).await?;
            batch.suppose(gates)?
        } else {
            batch.suppose_new()?
        };
        let Some(write) = &self.write else { return Ok(None) };
        let call = write.call(&rows(&decision, &versions))?;
        Ok(Some((Guess { decision, versions, has_looked }, call)))
    }

    /// All was as supposed.
    pub(crate) fn held(&mut self, guess: Guess, writer: Writer) -> Written {
        self.last = Some(Supposition::Held);
        if guess.has_looked && guess.has_repetitions() {
            self.look_first = PAUSE;
        }
        guess.written_by(writer)
    }

    /// Some of it was sent before. Another guess will see which; says whether there may be one.
    pub(crate) const fn repeated(&mut self, guess: &Guess) -> bool {
        self.look_first = PAUSE;
        !guess.has_looked
    }

    /// Something was not as supposed. Whatever it was, the careful way will tell.
    pub(crate) fn wrong(&mut self, commands: &[Command]) {
        self.last = Some(Supposition::Wrong);
        self.pause = PAUSE;
        self.forget(commands);
    }

    /// The server has refused to write a guess. Perhaps this is another session than it was.
    pub(crate) fn refused(&mut self, commands: &[Command]) {
        self.is_defined = false;
        self.wrong(commands);
    }

    /// Those of the hotels that are not known. If there is no room for them, all others are forgotten.
    fn make_room(&self, hotels: &BTreeSet<HotelId>) -> BTreeSet<HotelId> {
        let known = &mut self.known().by_id;
        let is_unknown = |hotel: &HotelId| !known.contains_key(hotel);
        let unknown: BTreeSet<_> = hotels.iter().copied().filter(is_unknown).collect();
        if known.len() + unknown.len() <= self.memory.most {
            return unknown;
        }
        known.clear();
        hotels.clone()
    }

    /// Gets to know those of the hotels that are not known, if they have an open month.
    async fn look(
        &self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        hotels: &BTreeSet<HotelId>,
    ) -> Result<(), StoreError> {
        let unknown = self.make_room(hotels);
        if unknown.is_empty() {
            return Ok(());
        }
        let found = months::look(db, plans, &unknown).await?;
        let found = found.into_iter().map(|(state, version)| Known { state, version }).collect();
        self.learn(Learned(found));
        Ok(())
    }
}

impl Guess {
    /// Whether it changes nothing, written or not.
    pub(crate) fn records_nothing(&self) -> bool {
        self.decision.events.is_empty()
    }

    fn has_repetitions(&self) -> bool {
        self.decision.answers.iter().any(|answer| answer.outcome == Outcome::Duplicate)
    }

    /// What is recorded, if it was written by nobody knows whom.
    pub(crate) fn written(self) -> Written {
        Written { learned: Learned::default(), ..self.written_by(Writer::number(0)) }
    }

    fn written_by(self, writer: Writer) -> Written {
        let Decision { answers, events, hotels, .. } = self.decision;
        let versions = self.versions.into_iter().map(|version| version.written_by(writer));
        let learned = hotels.into_iter().zip(versions);
        let learned = learned.map(|(state, version)| Known { state, version }).collect();
        Written { answers, events, learned: Learned(learned) }
    }
}

impl Known {
    /// Whether another month has to be opened first.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.state.month_at(now) > self.state.month
    }
}

/// Has a guess written, if it is found to be true.
pub(crate) async fn write(
    session: &PgSession,
    write: Call,
    deadline: Instant,
) -> Result<Found, Unwritten> {
    let call = async {
        Ok(match session.call(write).await? {
            None => Found::Wrong,
            Some(REPEATED) => Found::Repeated,
            Some(writer) => Found::Held(Writer::number(writer)),
        })
    };
    answer_by(deadline, call).await.map_err(|error| {
        let why = if is_refusal(&error) { Unwritten::Refused } else { Unwritten::Unanswered };
        why(error.into())
    })
}

/// What a [`writer`] answers when a key is there that should not be. No transaction has this number.
const REPEATED: i64 = 0;

/// What a [`writer`] needs of a batch: its months, of `versions`, its gates, its events and its windows.
fn rows(decision: &Decision, versions: &[Version]) -> [Rows; 4] {
    [
        months::counters_of_versions(&decision.hotels, versions),
        gates::new(&decision.gates),
        events::rows(&decision.events),
        gates::windows(&decision.gates),
    ]
}

/// Writes months, gates, events and windows in this order, each only if those before were as supposed: so it waits for
/// other transactions where those who lock wait, and never meets what they have written. Answers with the number of the
/// transaction that has written the months; with [`REPEATED`] or NULL if it has not.
fn writer(db: &impl ConnectionTrait) -> Function {
    let nothing = || rows(&Decision::default(), &[]);
    let [months, gates, events, windows] = nothing();
    let first_of_windows = 1 + months.width() + gates.width() + events.width();
    let body = Sql::new(db, "declare changed bigint; begin ")
        .then(months::set_where_unchanged(db, months))
        .text("; get diagnostics changed = row_count; ")
        .text("if changed <> cardinality($1) then raise exception sqlstate 'PLG01'; end if; ")
        .then(gates::insert_new(db, gates))
        .text("; ")
        .then(events::append_rows(db, events))
        // Most batches have none.
        .text(format!("; if cardinality(${first_of_windows}) > 0 then "))
        .then(gates::put_windows(db, windows))
        .text("; end if; return (select cast(cast(xmin as text) as bigint) from usage_monthly ")
        .text("where hotel_id = $1[1] and month = $2[1]); ")
        // What the block has written is undone.
        .text(format!("exception when unique_violation then return {REPEATED}; "))
        .text("when sqlstate 'PLG01' then return null; end");
    Function::new("plg_record", "bigint", &nothing(), body)
}
