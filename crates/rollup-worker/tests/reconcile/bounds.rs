//! The largest chunks that the settings allow fit on every statement.

use crate::support::{Books, NOVEMBER, full, incremental, month};
use plg_core::reconcile::Verdict;
use plg_store::connect::{self, Planning};
use plg_store::rollup::Reading;
use plg_store::rollup::runs::Figures;
use plg_testkit::commands::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use rollup_worker::{Options, Progress, Stop};
use rstest::rstest;

/// `rollup.read_chunk` and `rollup.write_chunk` at most.
const READ_CHUNK: usize = 10_000;
const WRITE_CHUNK: usize = 2_000;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_chunk_with_everything_to_correct_is_written(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::new(backend).await;
    let new_uuid = match backend {
        Backend::Sqlite => "randomblob(16)",
        Backend::Postgres => "gen_random_uuid()",
    };
    let insert = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {READ_CHUNK}) \
         insert into usage_monthly (hotel_id, month, imports, exports, active_users) \
         select {new_uuid}, {}, 5, 6, 7 from n",
        month(NOVEMBER).number()
    );
    ledger::damage(&books.db, &insert).await;

    let options = Options { read_chunk: READ_CHUNK, write_chunk: WRITE_CHUNK, ..incremental() };
    let run = books.reconcile(&options).await;

    let hotels = i64::try_from(READ_CHUNK).unwrap();
    assert_eq!((run.figures.drifted, run.figures.corrected), (hotels, 3 * hotels));
    assert_eq!(books.audited().await, 3 * hotels);
    let wrong = "select count(*) as n from usage_monthly \
                 where imports <> 0 or exports <> 0 or active_users <> 0";
    assert_eq!(ledger::number(&books.db, wrong).await, 0);
    let options = Options { read_chunk: READ_CHUNK, write_chunk: WRITE_CHUNK, ..full() };
    assert_eq!(books.reconcile(&options).await.figures.corrected, 0);
}

/// Or a run would take time with the square of the hotels. SQLite keeps no account of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_read_once_however_many_chunks_there_are() {
    let hotels = (1..=20).map(hotel).collect::<Vec<_>>();
    // Of a distributed table it would be the shards that are read.
    let mut books = Books::on(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    // One session: those of a pool would tell in a second what each of them has read.
    let url = books.database.url().parse().unwrap();
    books.db = connect::single(&url, Planning::Fresh).await.unwrap();
    books.spend_a_day(&hotels).await;
    // It is so small that reading it all looks best.
    ledger::damage(&books.db, "vacuum (analyze) usage_monthly").await;
    // What was read so far is told now, or after the reset.
    for tell in ["pg_stat_force_next_flush()", "pg_stat_reset()"] {
        ledger::number(&books.db, &format!("select 1::bigint as n from {tell}")).await;
    }

    let run = books.reconcile(&Options { read_chunk: 1, write_chunk: 1, ..incremental() }).await;

    assert_eq!(run.figures.hotel_months, 20);
    books.sessions_ended().await;
    let scans = "select seq_scan as n from pg_stat_user_tables where relname = 'usage_monthly'";
    assert_eq!(ledger::number(&books.db, scans).await, 1);
}

struct AtOnce(Vec<usize>);

impl Progress for AtOnce {
    fn advanced(&mut self, _: &Figures, verified: &[&(Reading, Verdict)]) {
        self.0.push(verified.len());
    }
}

/// Or a chunk would have as many events as its hotel-months have, and no deadline would do for it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotel_months_with_many_events_are_counted_in_smaller_chunks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(incremental(), full())] options: Options,
) {
    let hotels = (1..=4).map(hotel).collect::<Vec<_>>();
    let books = Books::of(backend, &hotels).await;
    // How many there are is known by that.
    for id in &hotels[2..] {
        books.damage(*id, NOVEMBER, "last_seq = 600000").await;
    }
    let mut at_once = AtOnce(Vec::new());
    let options = Options { dry_run: true, write_chunk: 4, ..options };
    books.try_reconcile(&options, &mut at_once, &Stop::default()).await.unwrap();
    assert_eq!(at_once.0, [3, 1]);
}
