//! How many requests a credential may send: keys and tokens apart, each replica for itself.
//!
//! A generic cell rate algorithm: so many requests at once, and one more whenever its share of the
//! window has passed.

use crate::problem::Problem;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use plg_core::ids::{HotelId, UserId};
use plg_service::SharedClock;
use plg_service::settings::{RateLimit, RateLimitSettings};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;
use uuid::Uuid;

/// How often the credentials are forgotten that have all their requests again.
const FORGET_PAUSE: Duration = Duration::from_secs(60);

/// Who is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// A service key.
    Key(Uuid),
    /// The root key, or that of development.
    Root,
    /// A user's browsers, whatever tokens they hold.
    Browser(HotelId, UserId),
}

/// The limits in force.
pub(super) struct Limits {
    keys: Option<Limiter>,
    tokens: Option<Limiter>,
}

/// What a credential has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    limit: RateLimit,
    remaining: u32,
    name: &'static str,
}

struct Limiter {
    limiter: RateLimiter<
        Credential,
        DashMapStateStore<Credential>,
        GovernorClock,
        StateInformationMiddleware,
    >,
    limit: RateLimit,
    name: &'static str,
}

/// The time that passes by the service's clock, as governor reads it. Not the time of day: set back by
/// minutes, it would have everybody wait for as long.
#[derive(Clone)]
struct GovernorClock(SharedClock);

impl Clock for GovernorClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.passed())
    }
}

impl Limiter {
    fn new(limit: RateLimit, name: &'static str, clock: &SharedClock) -> Option<Self> {
        let requests = NonZeroU32::new(limit.requests)?;
        let share = Duration::from_secs(limit.seconds.into()) / limit.requests;
        let quota = Quota::with_period(share)?.allow_burst(requests);
        let clock = GovernorClock(Arc::clone(clock));
        let limiter = RateLimiter::<_, _, _, StateInformationMiddleware>::new(
            quota,
            DashMapStateStore::default(),
            clock,
        );
        Some(Self { limiter, limit, name })
    }

    fn check(&self, credential: Credential) -> (Allowance, Result<(), Problem>) {
        let allowance = |remaining| Allowance { limit: self.limit, remaining, name: self.name };
        match self.limiter.check_key(&credential) {
            Ok(left) => (allowance(left.remaining_burst_capacity()), Ok(())),
            Err(refused) => {
                let wait = refused.wait_time_from(self.limiter.clock().now());
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                (allowance(0), Err(Problem::rate_limited(seconds)))
            }
        }
    }
}

impl Limits {
    pub(super) fn new(settings: RateLimitSettings, clock: &SharedClock) -> Arc<Self> {
        Arc::new(Self {
            keys: Limiter::new(settings.keys, "key", clock),
            tokens: Limiter::new(settings.tokens, "token", clock),
        })
    }

    /// One more request of this credential: what it has left, and whether the request is within it.
    pub(super) fn check(&self, credential: Credential) -> Option<(Allowance, Result<(), Problem>)> {
        let limiter = match credential {
            Credential::Key(_) | Credential::Root => &self.keys,
            Credential::Browser(..) => &self.tokens,
        };
        limiter.as_ref().map(|limiter| limiter.check(credential))
    }

    fn forget(&self) {
        for limiter in [&self.keys, &self.tokens].into_iter().flatten() {
            limiter.limiter.retain_recent();
            limiter.limiter.shrink_to_fit();
        }
    }
}

/// Until the service ends.
pub(super) async fn keep_small(limits: Weak<Limits>) {
    loop {
        tokio::time::sleep(FORGET_PAUSE).await;
        let Some(limits) = limits.upgrade() else { return };
        limits.forget();
    }
}

impl Allowance {
    /// The header `RateLimit`: requests left, and seconds until all are back.
    pub(crate) fn left(self) -> impl fmt::Display {
        let used = u64::from(self.limit.requests.saturating_sub(self.remaining));
        let seconds = (used * u64::from(self.limit.seconds)).div_ceil(self.limit.requests.into());
        format!("\"{}\";r={};t={seconds}", self.name, self.remaining)
    }

    /// The header `RateLimit-Policy`: requests in a window of seconds.
    pub(crate) fn policy(self) -> impl fmt::Display {
        format!("\"{}\";q={};w={}", self.name, self.limit.requests, self.limit.seconds)
    }
}
