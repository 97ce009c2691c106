//! Trying again what other transactions stood in the way of. The pauses are outside of every transaction.

use crate::error::StoreError;
use std::time::Duration;
use tokio::time::sleep;

/// How often a step is tried.
const ATTEMPTS: u32 = 5;
/// Pause before each further attempt, times the attempts made.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes a step, a whole transaction or a lone statement, until it does not end in a conflict.
///
/// # Errors
/// Any other of the step's at once, and the conflict of the last attempt.
pub async fn on_conflict<T, F>(step: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut attempt = 1;
    loop {
        match step().await {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                tracing::debug!(%error, attempt, "stood in another's way, trying again");
                sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}
