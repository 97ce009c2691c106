//! What a request holds of its job: it waits for the results, but not for ever.

use super::{WriteError, WriteResult};
use crate::desk::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long a job waits for its lane to take it.
const QUEUE_DEADLINE: Duration = Duration::from_millis(1_500);
/// How long a job takes in all, whatever the database does: nobody waits for an answer longer than
/// 3 s.
const ANSWER_DEADLINE: Duration = Duration::from_millis(2_500);

/// A job is either taken by its lane or given up by its request, whoever comes first.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Whether the caller was first.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// The request's end of a job.
pub(super) struct Ticket {
    commands: usize,
    reply: oneshot::Receiver<Vec<WriteResult>>,
    claim: Claim,
    enqueued_at: Instant,
}

impl Ticket {
    /// For a job of so many commands that is enqueued now; and what its lane needs of it.
    pub(super) fn new(commands: usize) -> (Self, Reply<Vec<WriteResult>>, Claim) {
        let (sender, reply) = Reply::here();
        let claim = Claim::default();
        let ticket = Self { commands, reply, claim: claim.clone(), enqueued_at: Instant::now() };
        (ticket, sender, claim)
    }

    /// Waits for the results, one for each command.
    pub(super) async fn results(mut self) -> Vec<WriteResult> {
        let mut reply = timeout_at(self.enqueued_at + QUEUE_DEADLINE, &mut self.reply).await;
        if reply.is_err() {
            if self.claim.take() {
                return self.all(|| WriteError::Overloaded);
            }
            reply = timeout_at(self.enqueued_at + ANSWER_DEADLINE, &mut self.reply).await;
        }
        match reply {
            Ok(Ok(results)) => results,
            // Its lane is gone, or has stumbled over the batch that it was in.
            Ok(Err(_)) if self.claim.take() => self.all(|| WriteError::ShuttingDown),
            Ok(Err(_)) => self.all(|| WriteError::OutcomeUnknown),
            Err(_) => self.all(|| WriteError::OutcomeUnknown),
        }
    }

    fn all(&self, error: impl Fn() -> WriteError) -> Vec<WriteResult> {
        (0..self.commands).map(|_| Err(error())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_job_that_nobody_takes_is_given_up_for_good() {
        let (ticket, _reply, claim) = Ticket::new(2);
        let results = ticket.results().await;
        assert!(matches!(results[..], [Err(WriteError::Overloaded), Err(WriteError::Overloaded)]));
        assert!(!claim.take(), "its lane must not record it any more");
    }

    #[actix_web::test]
    async fn a_job_that_was_taken_and_not_answered_may_have_been_recorded() {
        let (ticket, _reply, claim) = Ticket::new(1);
        assert!(claim.take());
        assert!(matches!(ticket.results().await[..], [Err(WriteError::OutcomeUnknown)]));
    }

    #[actix_web::test]
    async fn a_job_whose_lane_has_died_is_answered_at_once() {
        let (ticket, reply, claim) = Ticket::new(1);
        drop(reply);
        assert!(matches!(ticket.results().await[..], [Err(WriteError::ShuttingDown)]));
        assert!(!claim.take(), "nobody must record it any more");

        let (ticket, reply, claim) = Ticket::new(1);
        assert!(claim.take());
        drop(reply);
        assert!(matches!(ticket.results().await[..], [Err(WriteError::OutcomeUnknown)]));
    }
}
