//! When the requests of a constant rate are due.
//!
//! Not by the runtime's timers: they count whole milliseconds and round up, so that requests came up to two of these late,
//! and all of a millisecond at once. HTTP alone had a median of 1.3 ms at 16,000/s by them, and has 0.2.

use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_timerfd::Interval;

/// How far apart it looks at the time. Whoever woke for each request would need a core for that.
const TICK: Duration = Duration::from_micros(200);

/// A constant rate, of clients that take turns.
#[derive(Debug)]
pub(crate) struct Pace {
    begin: Instant,
    rate: f64,
    /// For each client, how many of its requests are due and not sent.
    turns: Vec<Semaphore>,
}

impl Pace {
    /// So many requests a second of all clients together, from then on.
    pub(crate) fn new(clients: usize, rate: f64, begin: Instant) -> Arc<Self> {
        let turns = (0..clients).map(|_| Semaphore::new(0)).collect();
        Arc::new(Self { begin, rate, turns })
    }

    /// When a client's request is due, of which so many were before.
    fn due(&self, client: usize, before: u64) -> Instant {
        let number = before as f64 * self.turns.len() as f64 + client as f64;
        self.begin + Duration::from_secs_f64(number / self.rate)
    }

    /// Waits until a client's next request is due, of which so many were before, and says when that was.
    pub(crate) async fn turn(&self, client: usize, before: u64) -> Instant {
        self.turns[client].acquire().await.expect("it is never closed").forget();
        self.due(client, before)
    }

    /// Lets the clients send, each at its time, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = Interval::new_interval(TICK).expect("a timer");
        let all = (0..).flat_map(|before| (0..self.turns.len()).map(move |c| (c, before)));
        for (client, before) in all {
            while Instant::now() < self.due(client, before) {
                ticks.next().await.expect("it ticks for ever").expect("a tick");
            }
            self.turns[client].add_permits(1);
        }
    }
}
