//! Hotels whose plan has left the configuration, or never was in that of this replica. They have the limits of the default
//! plan, which may be far lower than what they pay for, and nothing else would say so.

use crate::app::State;
use plg_store::hotels;
use std::sync::Weak;
use std::time::Duration;

/// How often is looked: it reads all hotels.
const PAUSE: Duration = Duration::from_secs(600);

/// Looks for them, for as long as the service runs.
pub(crate) async fn watch(state: Weak<State>) {
    let mut known = Vec::new();
    while let Some(state) = state.upgrade() {
        look(&state, &mut known).await;
        drop(state);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(state: &State, known: &mut Vec<(String, i64)>) {
    let plans = state.plans.clone();
    let read =
        state.reader.read(move |db| async move { hotels::of_other_plans(&db, &plans).await });
    // Another look will come.
    let Ok(found) = read.await else { return };
    state.metrics.hotels_of_unknown_plan.set(found.iter().map(|(_, hotels)| hotels).sum());
    for (plan, hotels) in found.iter().filter(|found| !known.contains(found)) {
        tracing::warn!(
            plan,
            hotels,
            "this plan is not configured: its hotels have the default's limits"
        );
    }
    *known = found;
}
