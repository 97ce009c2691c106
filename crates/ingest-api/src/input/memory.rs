//! How much memory bodies may take together, while they arrive and until they are understood.
//!
//! A body that arrives slowly is not in hand, and a thousand of them keep nobody out; but a thousand of a mebibyte each
//! would be a gibibyte. What of a body is small is nobody's business, and for the rest there is so much for backends,
//! and as much for browsers: whoever sends bodies slowly from a browser does not stop a backend's arrays.

use crate::access::limits::Credential;
use crate::problem::{Code, Problem};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As much of each body is not counted: no more than a connection takes anyway.
const SMALL_BYTES: usize = 16 * 1024;
/// Bytes of backends' bodies beyond that, and as many of browsers': what lanes come to in a quarter of a second.
const LARGE_BYTES: usize = 32 * 1024 * 1024;
/// Before there is room again, in seconds.
const RETRY_SECONDS: u32 = 1;

/// What is left.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    backends: Arc<Semaphore>,
    browsers: Arc<Semaphore>,
}

impl Default for BodyMemory {
    fn default() -> Self {
        let new = || Arc::new(Semaphore::new(LARGE_BYTES));
        Self { backends: new(), browsers: new() }
    }
}

impl BodyMemory {
    /// For a body of this caller.
    pub(super) fn of(&self, caller: Credential) -> BodyRoom {
        let left = match caller {
            Credential::Browser(..) => &self.browsers,
            Credential::Root | Credential::Key(_) => &self.backends,
        };
        BodyRoom { left: Arc::clone(left), bytes: 0, counted: None }
    }
}

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub(super) struct BodyRoom {
    left: Arc<Semaphore>,
    bytes: usize,
    counted: Option<OwnedSemaphorePermit>,
}

impl BodyRoom {
    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let counted = |bytes: usize| bytes.saturating_sub(SMALL_BYTES);
        let more = counted(self.bytes + bytes) - counted(self.bytes);
        self.bytes += bytes;
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).ok();
        let more = more.and_then(|more| Arc::clone(&self.left).try_acquire_many_owned(more).ok());
        let Some(more) = more else {
            let detail = "nothing was recorded: too many large bodies are being sent at once; try again later";
            return Err(Problem::unavailable(Code::Overloaded, detail, RETRY_SECONDS));
        };
        match &mut self.counted {
            Some(counted) => counted.merge(more),
            None => self.counted = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plg_core::ids::{HotelId, UserId};
    use uuid::Uuid;

    const BODY_BYTES: usize = 1024 * 1024;

    /// As many large bodies as find room, each in pieces.
    fn fill(memory: &BodyMemory, caller: Credential) -> Vec<BodyRoom> {
        let arrives = |_| {
            let mut room = memory.of(caller);
            (0..16).all(|_| room.grow(BODY_BYTES / 16).is_ok()).then_some(room)
        };
        (0..10_000).map_while(arrives).collect()
    }

    #[test]
    fn large_bodies_are_bounded_together_and_browsers_leave_backends_their_room() {
        let memory = BodyMemory::default();
        let browser = Credential::Browser(HotelId(Uuid::nil()), UserId(Uuid::nil()));
        let (of_browsers, of_backends) = (fill(&memory, browser), fill(&memory, Credential::Root));
        assert_eq!((of_browsers.len(), of_backends.len()), (32, 32));
        for caller in [browser, Credential::Key(Uuid::nil())] {
            assert!(memory.of(caller).grow(SMALL_BYTES).is_ok(), "small ones always find room");
            assert!(memory.of(caller).grow(BODY_BYTES).is_err());
        }
        drop(of_browsers);
        assert_eq!(fill(&memory, browser).len(), 32);
    }
}
