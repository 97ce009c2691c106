//! On SQLite a guess is written under the lock of the whole file, in two round trips: one locks, the other writes and
//! commits.
//!
//! SQLite counts for each connection what all others have committed (`PRAGMA data_version`). As long as that is what it
//! was when a hotel was read, it is as it was read, or as this connection has written it since. If it is not, everything
//! that is remembered is forgotten, and the batch is recorded the careful way under the lock that it has.

use super::{Found, Unwritten};
use crate::connect::answer_by;
use crate::dialect::{Sql, as_one};
use crate::error::StoreError;
use crate::months::{self, Writer};
use crate::session::{Epoch, Session};
use crate::{events, gates};
use plg_core::decide::Decision;
use sea_orm::{ConnectionTrait, Statement};
use tokio::time::Instant;

/// Writes a guess of this epoch and commits it, if nobody else has written since. The session is in a transaction
/// otherwise, for the careful way.
pub(super) async fn write(
    session: &mut Session,
    epoch: Epoch,
    statements: Statement,
    deadline: Instant,
) -> Result<Found, Unwritten> {
    let begun = answer_by(deadline, session.ensure_begun()).await;
    begun.map_err(|error| Unwritten::Failed(error.into()))?;
    if session.epoch() != Some(epoch) {
        return Ok(Found::Wrong);
    }
    match answer_by(deadline, session.execute_to_end(statements)).await.map_err(StoreError::from) {
        Ok(()) => Ok(Found::Held(Writer::number(0))),
        // A key is there that should not be.
        Err(StoreError::Data(_)) => {
            let rolled_back = answer_by(deadline, session.roll_back()).await;
            rolled_back.map_err(|error| Unwritten::Failed(error.into()))?;
            Ok(Found::Repeated)
        }
        Err(error) => Err(Unwritten::Unanswered(error)),
    }
}

/// What [`write()`] writes of a batch: its gates, its events, its windows and its months, and then the COMMIT.
pub(super) fn statements(db: &impl ConnectionTrait, decision: &Decision) -> Statement {
    let mut writes = Vec::with_capacity(5);
    let (once, windows) = (gates::new(&decision.gates), gates::windows(&decision.gates));
    if !once.is_empty() {
        writes.push(gates::insert_new(db, once));
    }
    if !decision.events.is_empty() {
        writes.push(events::append(db, &decision.events));
    }
    if !windows.is_empty() {
        writes.push(gates::put_windows(db, windows));
    }
    // Where nothing was recorded yet, nothing is.
    let hotels = decision.hotels.iter().filter(|hotel| hotel.last_recorded_at.is_some());
    if hotels.clone().next().is_some() {
        writes.push(months::set(db, hotels));
    }
    writes.push(Sql::new(db, "COMMIT"));
    as_one(db.get_database_backend(), writes)
}
