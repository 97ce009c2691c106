//! Whether the service can work. Anybody may ask: however many do, the database is asked by one at a
//! time.

use crate::app::State;
use crate::problem::{Code, Problem};
use migrations::SchemaState;
use plg_store::connect;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// When to ask again.
const RETRY_SECONDS: u32 = 5;

type Readiness = Result<(), Problem>;

/// What is known of the service's health.
#[derive(Default)]
pub(crate) struct Health {
    /// When the database last answered, and what.
    last: Mutex<Option<(Instant, Readiness)>>,
}

/// Whether every lane is at work.
pub(crate) fn is_alive(state: &State) -> Readiness {
    let (alive, lanes) = (state.writer.lanes_alive(), state.writer.lanes());
    if alive == lanes {
        return Ok(());
    }
    let detail = format!("{} of {lanes} writer lanes are dead: restart", lanes - alive);
    Err(Problem::new(Code::Internal, detail))
}

/// Whether it should be sent requests.
pub(crate) async fn is_ready(state: &State) -> Readiness {
    is_alive(state)?;
    if state.drain.is_draining() {
        let detail = "the service is stopping: ask another one";
        return Err(Problem::unavailable(Code::ShuttingDown, detail, RETRY_SECONDS));
    }
    let arrived_at = Instant::now();
    let mut last = state.health.last.lock().await;
    // Whoever waited here has the answer that was waited for: nobody waits for two.
    if let Some((answered_at, readiness)) = &*last
        && *answered_at >= arrived_at
    {
        return readiness.clone();
    }
    let readiness = database(state).await;
    *last = Some((Instant::now(), readiness.clone()));
    readiness
}

async fn database(state: &State) -> Readiness {
    let look = |db| async move {
        Ok((connect::is_writable(&db).await?, migrations::schema_state(&db).await?))
    };
    let (is_writable, schema) = state.reader.read(look).await?;
    if !is_writable {
        let detail = "the database accepts no writes: is it a standby?";
        return Err(Problem::unavailable(Code::DatabaseUnavailable, detail, RETRY_SECONDS));
    }
    match schema {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(pending) => Err(Problem::schema_behind(&pending, RETRY_SECONDS)),
    }
}
