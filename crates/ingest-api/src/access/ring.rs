//! The service keys that are valid, in memory.
//!
//! They are read again every few seconds, and when an unknown one is presented, though once a second
//! for all who try: so a new key works within a second, a revoked one for some seconds more, a
//! database that is away stops nobody who was known, and guessing keys costs the database nothing.

use crate::problem::{Code, Problem};
use chrono::{DateTime, Utc};
use plg_core::access::Caller;
use plg_service::SharedClock;
use plg_store::{StoreError, api_keys};
use sea_orm::DatabaseConnection;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use uuid::Uuid;

/// How often unknown keys may cause a look at the database.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK_DEADLINE: Duration = Duration::from_millis(2_500);
/// Requests that wait for a look at the most: nobody knows yet who they are.
const WAITING_MAX: usize = 64;
/// When those may come again who would be one more, in seconds.
const RETRY_SECONDS: u32 = 1;
/// Keys remembered at the most that a look did not find.
const ABSENT_MAX: usize = 1_024;

struct Entry {
    hash: [u8; 32],
    caller: Arc<Caller>,
    /// In microseconds since 1970, and what of it the database knows.
    used_at: AtomicI64,
    noted_at: AtomicI64,
}

/// The last time that somebody came with an unknown key, and the keys were read.
struct Look {
    began: Instant,
    ended: Instant,
    failed: bool,
}

pub(super) struct KeyRing {
    keys: RwLock<HashMap<Uuid, Arc<Entry>>>,
    /// Held while the keys are read, so that what was read later is what stays.
    look: Mutex<Option<Look>>,
    /// Of those who wait for a look.
    places: Arc<Semaphore>,
    /// Keys that a look did not find. A key is stored before anybody has it, so another look would not,
    /// either; and whoever goes on with a revoked one takes no place from others.
    absent: RwLock<HashSet<Uuid>>,
    db: DatabaseConnection,
    runtime: Handle,
    clock: SharedClock,
}

impl KeyRing {
    pub(super) async fn open(
        db: DatabaseConnection,
        clock: SharedClock,
        refresh_seconds: u32,
    ) -> Result<Arc<Self>, StoreError> {
        let ring = Arc::new(Self {
            keys: RwLock::default(),
            look: Mutex::new(None),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            absent: RwLock::default(),
            db,
            runtime: Handle::current(),
            clock,
        });
        ring.refresh().await?;
        let pause = Duration::from_secs(refresh_seconds.into());
        tokio::spawn(keep_fresh(Arc::downgrade(&ring), pause));
        Ok(ring)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Who holds this key; `None` when it is not valid.
    pub(super) async fn caller(
        self: &Arc<Self>,
        key_id: Uuid,
        hash: &[u8; 32],
    ) -> Result<Option<Arc<Caller>>, Problem> {
        if let Some(known) = self.known(key_id, hash) {
            return Ok(known);
        }
        if self.absent.read().unwrap_or_else(PoisonError::into_inner).contains(&key_id) {
            return Ok(None);
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // No error of the service: strangers would page somebody.
            let detail = "too many keys that are not known are presented: try again";
            return Err(Problem::unavailable(Code::RateLimited, detail, RETRY_SECONDS));
        };
        let ring = Arc::clone(self);
        // The pool belongs to the other runtime. The deadline is there, too: whoever waits for a database that is away
        // does not wait there for longer than here.
        let look = async move {
            let _place = place;
            timeout(LOOK_DEADLINE, ring.look_again()).await
        };
        match self.runtime.spawn(look).await {
            Ok(Ok(looked)) => looked?,
            Ok(Err(_)) | Err(_) => {
                return Err(StoreError::Unavailable("no answer in time".to_owned()).into());
            }
        }
        let known = self.known(key_id, hash);
        if known.is_none() {
            let mut absent = self.absent.write().unwrap_or_else(PoisonError::into_inner);
            if absent.len() == ABSENT_MAX {
                absent.clear();
            }
            absent.insert(key_id);
        }
        Ok(known.flatten())
    }

    /// `None` when no such key is known; `Some(None)` when it is another's.
    fn known(&self, key_id: Uuid, hash: &[u8; 32]) -> Option<Option<Arc<Caller>>> {
        let entry = self.read().get(&key_id).cloned()?;
        if !bool::from(entry.hash.ct_eq(hash)) {
            return Some(None);
        }
        entry.used_at.store(self.clock.now().timestamp_micros(), Ordering::Relaxed);
        Some(Some(Arc::clone(&entry.caller)))
    }

    /// Reads the keys, unless somebody does so from now on: all who wait are content with one look.
    async fn look_again(&self) -> Result<(), StoreError> {
        let came = Instant::now();
        let mut last = self.look.lock().await;
        if let Some(look) = &*last {
            if look.failed && look.ended.elapsed() < LOOK_PAUSE {
                return Err(StoreError::Unavailable("the last look has failed".to_owned()));
            }
            if !look.failed && look.began >= came {
                return Ok(());
            }
            sleep_until(look.ended + LOOK_PAUSE).await;
        }
        let began = Instant::now();
        let looked = self.refresh().await;
        *last = Some(Look { began, ended: Instant::now(), failed: looked.is_err() });
        looked
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let stored = api_keys::active(&self.db).await?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = HashMap::with_capacity(stored.len());
        for stored in stored {
            let mut hash = [0; 32];
            if hex::decode_to_slice(&stored.secret_hash, &mut hash).is_err() {
                tracing::error!(key_id = %stored.key_id, "a service key's hash cannot be read");
                continue;
            }
            let caller = Caller::Service(stored.grant);
            let known = keys.remove(&stored.key_id);
            let known = known.filter(|known| known.hash == hash && *known.caller == caller);
            let new = || {
                let (used_at, noted_at) = (AtomicI64::new(0), AtomicI64::new(0));
                Arc::new(Entry { hash, caller: Arc::new(caller), used_at, noted_at })
            };
            fresh.insert(stored.key_id, known.unwrap_or_else(new));
        }
        *keys = fresh;
        Ok(())
    }

    /// Tells the database which keys were used since it was told last.
    async fn note_use(&self) -> Result<(), StoreError> {
        let used = |(key_id, entry): (&Uuid, &Arc<Entry>)| {
            let used_at = entry.used_at.load(Ordering::Relaxed);
            let noted_at = entry.noted_at.swap(used_at, Ordering::Relaxed);
            let at: DateTime<Utc> = DateTime::from_timestamp_micros(used_at)?;
            (used_at > noted_at).then_some((*key_id, at))
        };
        let mut uses: Vec<_> = self.read().iter().filter_map(used).collect();
        // All replicas in the same order.
        uses.sort_unstable();
        api_keys::note_use(&self.db, &uses).await
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Uuid, Arc<Entry>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the service ends.
async fn keep_fresh(ring: Weak<KeyRing>, pause: Duration) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(ring) = ring.upgrade() else { return };
        let work = async {
            let look = ring.look.lock().await;
            ring.refresh().await?;
            drop(look);
            ring.note_use().await
        };
        match timeout(LOOK_DEADLINE, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "service keys stay as they were"),
            Err(_) => tracing::warn!("service keys stay as they were: no answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plg_service::SystemClock;
    use sea_orm::Database;

    /// Without a table to read keys from.
    async fn ring() -> Arc<KeyRing> {
        Arc::new(KeyRing {
            keys: RwLock::default(),
            look: Mutex::new(None),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            absent: RwLock::default(),
            db: Database::connect("sqlite::memory:").await.unwrap(),
            runtime: Handle::current(),
            clock: Arc::new(SystemClock),
        })
    }

    #[tokio::test]
    async fn while_the_keys_cannot_be_read_not_everybody_tries() {
        let ring = ring().await;
        assert!(ring.caller(Uuid::nil(), &[0; 32]).await.is_err());
        let create = "create table api_key (key_id)";
        sea_orm::ConnectionTrait::execute_unprepared(&ring.db, create).await.unwrap();
        let error = ring.look_again().await.unwrap_err().to_string();
        assert!(error.contains("the last look has failed"), "{error}");
    }

    #[tokio::test]
    async fn no_more_than_some_wait_for_a_look_and_none_for_a_key_that_is_absent() {
        let ring = ring().await;
        let reading = ring.look.lock().await;
        let hash = [0; 32];
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|number| Box::pin(ring.caller(Uuid::from_u128(number as u128), &hash)))
            .collect();
        for caller in &mut waiting {
            assert!(futures_util::poll!(caller).is_pending());
        }
        let refused = ring.caller(Uuid::max(), &hash).await.unwrap_err().to_string();
        assert!(refused.starts_with("rate_limited"), "{refused}");
        ring.absent.write().unwrap().insert(Uuid::max());
        assert!(ring.caller(Uuid::max(), &hash).await.unwrap().is_none());
        drop(reading);
    }

    #[tokio::test]
    async fn whoever_has_waited_long_enough_leaves_nobody_behind() {
        let ring = ring().await;
        let reading = ring.look.lock().await;
        tokio::time::pause();
        assert!(ring.caller(Uuid::nil(), &[0; 32]).await.is_err());
        assert_eq!(Arc::strong_count(&ring), 1, "somebody still waits with it");
        drop(reading);
    }
}
