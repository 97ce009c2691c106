//! On PostgreSQL a guess is written without a lock first.
//!
//! PostgreSQL notes in each row which transaction has written it. Where that is still the one that is remembered of a
//! hotel's open month and of its profile, nobody has recorded, corrected, closed or registered anything since. The
//! update of the month locks it, and so the rest of the batch is written under the same locks, in the same order, as if
//! they had been taken first. A profile is as it was when the update began, as it is for a statement that locks. Every
//! hotel of the batch is written, also one of which nothing is recorded: its gates were read.
//!
//! The write is one call of a function, and in no transaction so is its COMMIT: one round trip. What was not true is
//! undone by the function itself, without an error in the server's log.

use super::{Found, Unwritten};
use crate::connect::answer_by;
use crate::dialect::{Call, Function, Rows, Sql, writer_of};
use crate::error::{StoreError, is_refusal};
use crate::months::{self, Version, Writer};
use crate::session::Session;
use crate::{events, gates};
use plg_core::decide::Decision;
use sea_orm::ConnectionTrait;
use tokio::time::Instant;

/// Has a [`writer`] write a guess.
pub(super) async fn write(
    session: &Session,
    call: Call,
    deadline: Instant,
) -> Result<Found, Unwritten> {
    let call = async {
        Ok(match session.call(call).await? {
            None => Found::Wrong,
            Some(REPEATED) => Found::Repeated,
            Some(writer) => Found::Held(Writer::number(writer)),
        })
    };
    answer_by(deadline, call).await.map_err(|error| {
        let is_refused = is_refusal(&error);
        match error.into() {
            error @ (StoreError::Unavailable(_) | StoreError::Locked(_)) if is_refused => {
                Unwritten::Failed(error)
            }
            error if is_refused => Unwritten::Refused(error),
            // The transaction is lost.
            error if session.is_begun() => Unwritten::Failed(error),
            error => Unwritten::Unanswered(error),
        }
    })
}

/// What a [`writer`] answers when a key is there that should not be. No transaction has this number.
const REPEATED: i64 = 0;

/// What a [`writer`] needs of a batch: its months, of `versions`, its gates, its events and its windows.
pub(super) fn rows(decision: &Decision, versions: &[Version]) -> [Rows; 4] {
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
pub(super) fn writer(db: &impl ConnectionTrait) -> Function {
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
        .text(format!("; end if; return (select {} from usage_monthly u ", writer_of(db, "u")))
        .text("where u.hotel_id = $1[1] and u.month = $2[1]); ")
        // What the block has written is undone.
        .text(format!("exception when unique_violation then return {REPEATED}; "))
        .text("when sqlstate 'PLG01' then return null; end");
    Function::new("plg_record", "bigint", &nothing(), body)
}
