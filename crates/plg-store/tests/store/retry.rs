//! What others stood in the way of is tried again.

use crate::support::Store;
use chrono::TimeDelta;
use plg_store::StoreError;
use plg_store::connect::begin_write;
use plg_store::retention;
use plg_testkit::Backend;
use plg_testkit::commands::{hotel, import};
use sea_orm::ConnectionTrait as _;
use std::sync::Arc;
use tokio::sync::Notify;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Tells of each attempt that another one follows.
struct Attempts(Arc<Notify>);

impl Subscriber for Attempts {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "plg_store::retry"
    }

    fn event(&self, _: &Event<'_>) {
        self.0.notify_one();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// On SQLite only: of PostgreSQL's rows nobody locks those that are old.
#[tokio::test]
async fn the_retention_waits_for_whoever_writes_to_the_file() {
    let store = Store::new(Backend::Sqlite).await;
    store.record(&[import(hotel(1), "job-1")]).await;
    let db = store.connection().await;
    // It waits for as long before it says that the file is locked.
    db.execute_unprepared("pragma busy_timeout = 0").await.unwrap();
    let other = store.connection().await;
    let writing = begin_write(&other).await.unwrap();
    let attempted = Arc::new(Notify::new());
    let _guard = tracing::subscriber::set_default(Attempts(Arc::clone(&attempted)));

    let horizon = store.now() + TimeDelta::days(1);
    let pruned = retention::prune_gates(&db, horizon);
    let let_go = async {
        attempted.notified().await;
        Ok::<_, StoreError>(writing.rollback().await?)
    };
    let (pruned, ()) = tokio::try_join!(pruned, let_go).unwrap();

    assert_eq!(pruned, 1);
}
