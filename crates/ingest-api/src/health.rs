//! Whether the service can work. Anybody may ask: however many do, the database is asked by one at a
//! time.

use crate::app::State;
use crate::problem::{Code, Problem};
use chrono::TimeDelta;
use migrations::SchemaState;
use plg_store::connect;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// When to ask again.
const RETRY_SECONDS: u32 = 5;

type Readiness = Result<(), Problem>;

/// What is known of the service's health.
pub(crate) struct Health {
    /// How far this machine's clock may be ahead of the database's, if that matters.
    clock_tolerance: Option<TimeDelta>,
    /// When the database last answered, and what.
    last: Mutex<Option<(Instant, Readiness)>>,
}

impl Health {
    pub(crate) fn new(clock_tolerance: Option<TimeDelta>) -> Self {
        Self { clock_tolerance, last: Mutex::default() }
    }
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
    if let SchemaState::Behind(pending) = schema {
        return Err(Problem::schema_behind(&pending, RETRY_SECONDS));
    }
    if let Some(tolerance) = state.health.clock_tolerance
        && let Some(clocks) = state.reader.compare_clocks().await?
    {
        let refused = |clocks| Problem::clock_ahead(clocks, RETRY_SECONDS);
        clocks.ensure_not_ahead(tolerance).map_err(refused)?;
    }
    Ok(())
}
