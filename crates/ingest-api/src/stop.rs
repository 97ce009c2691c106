//! How the service stops: not ready any more, until nobody sends it new requests; then what is under way is answered.
//! Connections that are only kept alive are closed then (by actix-web).

use actix_web::dev::ServerHandle;
use plg_service::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Whether the service should be sent requests, and what became of those under way.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    draining: AtomicBool,
    unanswered: AtomicUsize,
}

impl Drain {
    /// From now on the service is not ready, though it still works.
    pub(crate) fn begin(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A request begins.
    pub(crate) fn enter(self: &Arc<Self>) -> UnderWay {
        UnderWay { drain: Arc::clone(self), is_answered: false }
    }

    /// Requests that ended without an answer since it stops: there was no time left, or their clients have gone.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// A request until it ends, with an answer or without.
#[derive(Debug)]
pub(crate) struct UnderWay {
    drain: Arc<Drain>,
    is_answered: bool,
}

impl UnderWay {
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_answered && self.drain.is_draining() {
            self.drain.unanswered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Stops a service.
#[derive(Clone)]
pub struct Stopper {
    pub(crate) drain: Arc<Drain>,
    pub(crate) ready_grace: Duration,
    pub(crate) server: ServerHandle,
    /// Has the server dropped: while it waits for requests it hears nothing.
    pub(crate) at_once: Arc<Notify>,
}

impl Stopper {
    /// Stops when the process is asked to; at once when it is asked again.
    pub async fn stop_on(self, mut signals: Signals) {
        signals.next().await;
        tracing::info!("stopping: asked to");
        let at_once = Arc::clone(&self.at_once);
        tokio::select! {
            () = self.stop() => {}
            () = signals.next() => {
                tracing::warn!("stopping at once: asked again");
                at_once.notify_one();
            }
        }
    }

    /// Is not ready any more, waits, then accepts nothing more, and waits for the requests under way.
    pub async fn stop(self) {
        self.drain.begin();
        tokio::time::sleep(self.ready_grace).await;
        self.server.stop(true).await;
    }
}
