//! Recording without locking and reading the hotels first: a process remembers those that it wrote last, decides by
//! that, and the write itself says whether all of it is true. Where nothing but repetitions could stand in the way of a
//! batch, it supposes that there are none; where windows or quotas could, it reads the gates, and locks nothing either.
//!
//! Whether somebody else has recorded, corrected, closed or registered anything since is what each database notes by
//! itself: PostgreSQL of each row, SQLite of the whole file. See `postgres` and `sqlite`.
//!
//! A gate that was read is as it was, too, if its hotel's month is: whatever passes a gate is recorded, and so writes the
//! month. What was not true is not written, and recorded the careful way.

mod memory;
mod postgres;
mod sqlite;

pub use memory::HotelMemory;
pub(crate) use memory::Learned;

use crate::commit::{Written, before};
use crate::dialect::{Call, Function};
use crate::error::StoreError;
use crate::gates;
use crate::months::{self, Version, Writer};
use crate::session::{Epoch, Session};
use chrono::{DateTime, Utc};
use memory::{Known, KnownHotels};
use plg_core::decide::{Batch, Decision, Outcome};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use sea_orm::{ConnectionTrait, Statement};
use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
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

/// What a connection has to know to record without a lock first.
#[derive(Debug)]
pub(crate) struct Optimist {
    memory: Arc<HotelMemory>,
    epoch: Epoch,
    /// Batches that are not tried.
    pause: u32,
    /// Batches whose gates are read, whatever stands in their way.
    look_first: u32,
    last: Option<Supposition>,
    way: Way,
    /// Whether the session has the function.
    is_defined: bool,
}

/// How a guess is written.
#[derive(Debug)]
enum Way {
    /// Not at all.
    Never,
    /// By a function, which finds out whether it is true (PostgreSQL).
    Function(Function),
    /// By statements under the lock of the whole file (SQLite).
    Statements,
}

/// What writes a guess.
#[derive(Debug)]
pub(crate) enum Write {
    Call(Call),
    Statements(Statement),
}

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
    /// It was not, and would not be the careful way: the database is away, or somebody keeps what is needed.
    Failed(StoreError),
    /// It was not: the server has refused to. If there is a transaction, it has to be rolled back.
    Refused(StoreError),
    /// Perhaps it was: there is no answer, or one that does not say.
    Unanswered(StoreError),
}

impl Optimist {
    /// Records everything under locks.
    pub(crate) fn never() -> Self {
        let (memory, way) = (Arc::default(), Way::Never);
        let (epoch, last, is_defined) = (Epoch::default(), None, false);
        Self { memory, epoch, pause: 0, look_first: 0, last, way, is_defined }
    }

    /// On a connection with the server of this epoch (PostgreSQL), if hotels may be remembered.
    pub(crate) fn on(db: &impl ConnectionTrait, epoch: Epoch, memory: Arc<HotelMemory>) -> Self {
        let way = if memory.most > 0 { Way::Function(postgres::writer(db)) } else { Way::Never };
        Self { memory, epoch, way, ..Self::never() }
    }

    /// On SQLite, if hotels may be remembered.
    pub(crate) fn embedded(memory: Arc<HotelMemory>) -> Self {
        let way = if memory.most > 0 { Way::Statements } else { Way::Never };
        Self { memory, way, ..Self::never() }
    }

    /// What is found in this session from here on is of its epoch.
    pub(crate) fn meet(&mut self, session: &Session) {
        self.epoch = session.epoch().unwrap_or(self.epoch);
    }

    fn known(&self) -> MutexGuard<'_, KnownHotels> {
        self.memory.of(self.epoch)
    }

    pub(crate) fn clear(&self) {
        self.known().clear();
    }

    pub(crate) fn learn(&self, learned: Learned) {
        self.known().learn(learned);
    }

    /// Whether the session can [`write`](Self::write) a guess. Has it define what does, if it has not yet: a connection
    /// that only asks for something changes nothing.
    pub(crate) async fn can_write(
        &mut self,
        session: &mut Session,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let write = match &self.way {
            Way::Never => return Ok(false),
            Way::Statements => return Ok(true),
            Way::Function(_) if self.is_defined => return Ok(true),
            Way::Function(write) => write,
        };
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
                self.way = Way::Never;
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

    /// Decides a batch, supposing its hotels as they are known, and says how to [`write`](Self::write) it. If it cannot
    /// be, its hotels are forgotten: they will be written the careful way.
    pub(crate) async fn guess(
        &mut self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        now: DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Option<(Guess, Write)>, StoreError> {
        if matches!(self.way, Way::Never) || commands.is_empty() {
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
            self.known().forget(commands);
        }
        Ok(guess)
    }

    async fn suppose(
        &mut self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        now: DateTime<Utc>,
        (hotels, commands): (&BTreeSet<HotelId>, &[Command]),
    ) -> Result<Option<(Guess, Write)>, StoreError> {
        self.look(db, plans, hotels).await?;
        // Before the gates: those that are read later are as they were when the month was written, or it was written since.
        let known = self.known().these(hotels);
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
        let write = match &self.way {
            Way::Never => return Ok(None),
            Way::Function(function) => {
                Write::Call(function.call(&postgres::rows(&decision, &versions))?)
            }
            Way::Statements => Write::Statements(sqlite::statements(db, &decision)),
        };
        Ok(Some((Guess { decision, versions, has_looked }, write)))
    }

    /// Has a guess written, if it is found to be true.
    pub(crate) async fn write(
        &self,
        session: &mut Session,
        write: Write,
        deadline: Instant,
    ) -> Result<Found, Unwritten> {
        match write {
            Write::Call(call) => postgres::write(session, call, deadline).await,
            Write::Statements(statements) => {
                sqlite::write(session, self.epoch, statements, deadline).await
            }
        }
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
        self.known().forget(commands);
    }

    /// The server has refused to write a guess. Perhaps this is another session than it was.
    pub(crate) fn refused(&mut self, commands: &[Command]) {
        self.is_defined = false;
        self.wrong(commands);
    }

    /// Gets to know those of the hotels that are not known, if they have an open month.
    async fn look(
        &self,
        db: &impl ConnectionTrait,
        plans: &Plans,
        hotels: &BTreeSet<HotelId>,
    ) -> Result<(), StoreError> {
        let unknown = self.known().make_room(hotels, self.memory.most);
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
