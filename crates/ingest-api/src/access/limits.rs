//! How many requests a credential may send: keys and tokens apart, each replica for itself. The items of a
//! browser's array count as requests: else it would send a thousand times as many events.
//!
//! A generic cell rate algorithm: so many requests at once, and one more whenever its share of the
//! window has passed.

use crate::problem::Problem;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use plg_core::access::Caller;
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
pub(crate) enum Credential {
    /// A service key.
    Key(Uuid),
    /// The root key, or that of development.
    Root,
    /// A user's browsers, whatever tokens they hold.
    Browser(HotelId, UserId),
}

impl fmt::Display for Credential {
    /// As the log names it: a service key by its id, and a browser's user by nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Root => f.write_str("root"),
            Self::Browser(..) => f.write_str("browser"),
        }
    }
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
    /// The time in which one more request is permitted.
    share: Duration,
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
        Some(Self { limiter, limit, share, name })
    }

    fn check(&self, credential: Credential) -> (Allowance, Result<(), Problem>) {
        match self.limiter.check_key(&credential) {
            Ok(left) => (self.allowance(left.remaining_burst_capacity()), Ok(())),
            Err(refused) => {
                let wait = refused.wait_time_from(self.limiter.clock().now());
                (self.allowance(0), Err(Problem::rate_limited(whole_seconds(wait))))
            }
        }
    }

    fn check_more(&self, credential: Credential, more: NonZeroU32) -> Result<Allowance, Problem> {
        match self.limiter.check_key_n(&credential, more) {
            Ok(Ok(left)) => Ok(self.allowance(left.remaining_burst_capacity())),
            Ok(Err(refused)) => {
                // Sent again, the request itself is counted again.
                let wait = refused.wait_time_from(self.limiter.clock().now()) + self.share;
                Err(Problem::rate_limited(whole_seconds(wait)))
            }
            Err(_) => Err(Problem::rate_limited(self.limit.seconds)),
        }
    }

    fn allowance(&self, remaining: u32) -> Allowance {
        Allowance { limit: self.limit, remaining, name: self.name }
    }
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
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

    /// An array of so many items, sent with one request that was counted: of a browser each item counts, up
    /// to all that it may send at once, so that the largest array can be sent. `None` where nothing does.
    pub(super) fn check_array(
        &self,
        caller: &Caller,
        items: usize,
    ) -> Result<Option<Allowance>, Problem> {
        let (Caller::Browser { hotel_id, user_id }, Some(limiter)) = (caller, &self.tokens) else {
            return Ok(None);
        };
        let items = u32::try_from(items).unwrap_or(u32::MAX).min(limiter.limit.requests);
        let more = NonZeroU32::new(items.saturating_sub(1));
        let credential = Credential::Browser(*hotel_id, *user_id);
        more.map(|more| limiter.check_more(credential, more)).transpose()
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
    pub(crate) fn left(self) -> String {
        let used = u64::from(self.limit.requests.saturating_sub(self.remaining));
        let seconds = (used * u64::from(self.limit.seconds)).div_ceil(self.limit.requests.into());
        format!("\"{}\";r={};t={seconds}", self.name, self.remaining)
    }

    /// The header `RateLimit-Policy`: requests in a window of seconds.
    pub(crate) fn policy(self) -> String {
        format!("\"{}\";q={};w={}", self.name, self.limit.requests, self.limit.seconds)
    }
}
