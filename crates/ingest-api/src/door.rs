//! The way in: how many requests are in hand.
//!
//! A request is in hand from when its body has arrived until its answer is made, wherever it waits meanwhile:
//! for a lane, for a read, or for the thread that serves it, of which no lane knows. What would wait longer than
//! `server.max_wait_ms` is refused before its body is understood. A body that arrives slowly is not in hand:
//! whoever sends a thousand of them keeps nobody out.

use crate::admission::{Admission, Bounds, Place};
use crate::app::State;
use crate::problem::Problem;
use crate::writer::WriteError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests in hand at the most, however fast they are answered.
const MOST: usize = 8_192;
/// So many may always be in hand. Also as many as have to be answered, with half as many in hand, before they
/// say how fast that goes.
const ALWAYS: usize = 256;

/// Where requests come in.
#[derive(Debug)]
pub(crate) struct Door {
    admission: Arc<Admission>,
    answers: Mutex<Answers>,
}

/// Answers since when there were always enough requests in hand.
#[derive(Debug)]
struct Answers {
    since: Instant,
    count: usize,
}

/// A request that was let in.
#[derive(Debug)]
struct InHand {
    door: Arc<Door>,
    _place: Place,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.door.answered();
    }
}

impl Door {
    pub(crate) fn new(max_wait: Duration) -> Arc<Self> {
        let bounds = Bounds { max_wait, most: MOST, always: ALWAYS };
        let answers = Mutex::new(Answers { since: Instant::now(), count: 0 });
        Arc::new(Self { admission: Admission::new(bounds), answers })
    }

    /// Requests in hand.
    pub(crate) fn in_hand(&self) -> usize {
        self.admission.waiting()
    }

    /// Requests that may be.
    pub(crate) fn limit(&self) -> usize {
        self.admission.limit()
    }

    fn let_in(self: &Arc<Self>) -> Result<InHand, Problem> {
        let place = self.admission.admit(1).ok_or(WriteError::Overloaded)?;
        Ok(InHand { door: Arc::clone(self), _place: place })
    }

    /// One that is still in hand has its answer.
    fn answered(&self) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.in_hand() <= ALWAYS / 2 {
            *answers = Answers { since: Instant::now(), count: 0 };
            return;
        }
        answers.count += 1;
        if answers.count == ALWAYS {
            self.admission.served(ALWAYS, answers.since.elapsed());
            *answers = Answers { since: Instant::now(), count: 0 };
        }
    }
}

/// Around the routes: a request that has no body is in hand from here, another when that has been read, or the
/// connection could not be used again. Whoever asks whether the service is well is always let in.
pub(crate) async fn guard<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let has_body = matches!(*request.method(), Method::POST | Method::PUT);
    if !has_body
        // As routes see it: `/%761/` leads there, too.
        && request.match_info().as_str().starts_with("/v1/")
        && let Err(problem) = let_in(request.request())
    {
        return Ok(request.error_response(problem).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Takes a request in hand until it is answered.
///
/// # Errors
/// When there are too many.
pub(crate) fn let_in(request: &HttpRequest) -> Result<(), Problem> {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        request.extensions_mut().insert(state.door.let_in()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(door: &Arc<Door>, size: usize) -> Vec<InHand> {
        (0..size).map_while(|_| door.let_in().ok()).collect()
    }

    #[test]
    fn few_are_always_let_in_and_say_nothing() {
        let door = Door::new(Duration::from_millis(10));
        for _ in 0..2 * ALWAYS {
            drop(crowd(&door, ALWAYS / 2));
        }
        assert_eq!((door.in_hand(), door.limit()), (0, MOST));
    }

    #[test]
    fn many_say_how_many_may_be_in_hand() {
        let door = Door::new(Duration::ZERO);
        let _others = crowd(&door, ALWAYS / 2);
        for _ in 0..ALWAYS {
            drop(door.let_in().unwrap());
        }
        // Whatever their pace: nobody may wait here.
        assert_eq!(door.limit(), ALWAYS);
        assert_eq!(crowd(&door, MOST).len(), ALWAYS - ALWAYS / 2);
        assert!(door.let_in().is_ok(), "they are gone");
    }
}
