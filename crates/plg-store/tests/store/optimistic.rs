//! Batches that are recorded without a lock first: what others have written meanwhile is never written over.
//!
//! On one machine: where tables are distributed, nobody does it.

use crate::support::{Store, outcomes};
use chrono::TimeDelta;
use futures_util::future::join_all;
use plg_core::catalogue::{Counter, EventType};
use plg_core::decide::{Answer, Outcome};
use plg_core::event::{Command, NewEvent};
use plg_core::ids::{EventId, HotelId};
use plg_core::plan::{Limit, LimitOverrides};
use plg_store::commit::was_committed;
use plg_store::connect::begin_write;
use plg_store::{CommitError, HotelMemory, Recorder, StoreError, Supposition, hotels};
use plg_testkit::commands::{add_seat, click, command, event, export, hotel, import, view};
use plg_testkit::postgres::Cluster;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use std::sync::Arc;
use tokio::sync::Barrier;

const HOTEL: HotelId = hotel(1);
const HELD: Option<Supposition> = Some(Supposition::Held);
const WRONG: Option<Supposition> = Some(Supposition::Wrong);
/// Batches behind a wrong one that are not tried.
const PAUSE: usize = 8;

async fn store(backend: Backend) -> Store {
    let store = Store::of(TestDatabase::on_one_machine(backend).await).await;
    store.register(&[HOTEL, hotel(2), hotel(3)], "suite").await;
    store
}

/// Records a batch, and says whether it was as supposed.
async fn record(
    store: &Store,
    recorder: &mut Recorder,
    batch: &[Command],
) -> (Vec<Answer>, Option<Supposition>) {
    let answers = recorder.record(|| store.now(), batch).await.unwrap();
    (answers, recorder.supposition())
}

async fn outcomes_of(
    store: &Store,
    recorder: &mut Recorder,
    batch: &[Command],
) -> (Vec<Outcome>, Option<Supposition>) {
    let (answers, supposition) = record(store, recorder, batch).await;
    (outcomes(&answers), supposition)
}

/// A recorder that knows the hotels.
async fn acquainted(store: &Store) -> Recorder {
    let mut recorder = store.recorder().await;
    let batch = [click(HOTEL), click(hotel(2)), click(hotel(3))];
    store.record(&batch).await;
    assert_eq!(record(store, &mut recorder, &batch).await.1, HELD);
    recorder
}

fn with_id(command: &Command, id: &str) -> Command {
    let event_id = Some(EventId::parse(id).unwrap());
    NewEvent { event_id, ..command.event().clone() }.try_into().unwrap()
}

fn imports(limit: i64) -> LimitOverrides {
    LimitOverrides { imports: Some(Limit::AtMost(limit)), ..LimitOverrides::default() }
}

fn used(answer: &Answer) -> (i64, i64) {
    (answer.event.as_ref().unwrap().seq, answer.quota.unwrap().quota.used())
}

#[rstest]
#[tokio::test]
async fn what_is_as_supposed_is_written_as_it_is_under_locks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (careful, optimistic) = (store(backend).await, store(backend).await);
    let mut recorder = optimistic.recorder().await;
    let first = [click(HOTEL), click(hotel(2)), click(hotel(3))];
    let few = |limit| Some(Limit::AtMost(limit));
    let few = LimitOverrides { imports: few(1), exports: few(2), ..LimitOverrides::default() };
    for store in [&careful, &optimistic] {
        let profile = ("suite", "UTC".parse().unwrap(), few);
        hotels::put(&store.db, hotel(3), profile, store.now()).await.unwrap();
        let none = ("suite", "UTC".parse().unwrap(), imports(0));
        hotels::put(&store.db, hotel(4), none, store.now()).await.unwrap();
    }
    let batches = [
        vec![import(HOTEL, "1"), import(HOTEL, "1"), import(hotel(2), "1"), export(HOTEL, "1")],
        vec![with_id(&import(HOTEL, "2"), "a"), with_id(&click(hotel(2)), "b"), click(hotel(2))],
        vec![click(HOTEL)],
        vec![import(hotel(2), "3")],
        // What is read first: windows, and what a quota may refuse.
        vec![view(HOTEL, "s"), import(hotel(2), "4"), view(HOTEL, "s"), view(HOTEL, "t")],
        vec![view(HOTEL, "s"), click(hotel(2))],
        vec![view(HOTEL, "t")],
        vec![command(event(HOTEL, EventType::PricingQuoteRun)); 12],
        vec![with_id(&view(HOTEL, "u"), "c"), with_id(&view(HOTEL, "u"), "d")],
        vec![with_id(&view(HOTEL, "u"), "c"), with_id(&view(HOTEL, "v"), "c"), view(HOTEL, "v")],
        (0..4).map(|n| export(hotel(3), &n.to_string())).collect(),
        vec![export(hotel(3), "4"), export(hotel(3), "0"), click(HOTEL), import(HOTEL, "5")],
        vec![export(hotel(3), "4")],
        vec![import(hotel(3), "6"), export(hotel(3), "7")],
        // A job that is sent twice at once, under two ids.
        vec![with_id(&import(HOTEL, "9"), "e"), with_id(&import(HOTEL, "9"), "f"), click(HOTEL)],
        // Of a hotel of which nothing was ever recorded.
        vec![import(hotel(4), "8"), view(HOTEL, "w")],
        vec![import(hotel(4), "9"), click(HOTEL)],
    ];
    // A hotel that was never heard of has its month opened first, and is known then. On SQLite that is done under the lock.
    let behind_an_opening = if backend == Backend::Sqlite { None } else { HELD };
    assert_eq!(outcomes_of(&optimistic, &mut recorder, &first).await.1, behind_an_opening);
    careful.record(&first).await;
    for batch in batches {
        careful.clock.advance(TimeDelta::seconds(1));
        optimistic.clock.advance(TimeDelta::seconds(1));
        let outcomes = outcomes_of(&optimistic, &mut recorder, &batch).await;
        let is_new = batch[0] == import(hotel(4), "8");
        let supposed = if is_new { behind_an_opening } else { HELD };
        assert_eq!(outcomes, (careful.record(&batch).await, supposed), "{batch:?}");
    }
    assert_eq!(optimistic.contents().await, careful.contents().await);
    optimistic.assert_balanced().await;
}

/// Whoever writes the hotel's month is seen, whatever it is that they write.
#[rstest]
#[case::recorded("", &[import(HOTEL, "other")], 2)]
#[case::corrected("update usage_monthly set imports = 5, rollup_version = rollup_version + 1", &[], 6)]
#[case::changed_by_hand("update usage_monthly set imports = 5", &[], 6)]
#[tokio::test]
async fn what_others_have_written_is_not_written_over(
    #[case] sql: &str,
    #[case] batch: &[Command],
    #[case] imports: i64,
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    let mut recorder = acquainted(&store).await;
    if !sql.is_empty() {
        ledger::damage(&store.db, sql).await;
    }
    store.record(batch).await;
    let (answers, supposition) = record(&store, &mut recorder, &[import(HOTEL, "ours")]).await;
    assert_eq!(supposition, WRONG);
    assert_eq!(answers[0].quota.unwrap().quota.used(), imports);
    assert_eq!(store.used(HOTEL, Counter::Imports).await, imports);
    // Nothing is left of what was supposed.
    let events = ledger::number(&store.db, "select count(*) as n from product_event").await;
    let numbered = "select cast(sum(last_seq) as bigint) as n from usage_monthly";
    assert_eq!(events, ledger::number(&store.db, numbered).await);
    let gates = ledger::number(&store.db, "select count(*) as n from event_gate").await;
    assert_eq!(gates, i64::try_from(batch.len()).unwrap() + 1);
}

#[rstest]
#[tokio::test]
async fn what_was_sent_before_is_a_repetition_and_its_neighbours_are_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    store.record(&[with_id(&import(hotel(2), "1"), "a")]).await;
    let mut recorder = acquainted(&store).await;
    // What was sent before is looked for, and nobody locked.
    for (batch, expected) in [
        ([import(hotel(2), "1"), import(HOTEL, "1")], [Outcome::Duplicate, Outcome::Recorded]),
        // The same job under another id, and another job under the same.
        (
            [with_id(&import(hotel(2), "1"), "b"), with_id(&import(hotel(2), "2"), "a")],
            [Outcome::Duplicate; 2],
        ),
    ] {
        let recorded = outcomes_of(&store, &mut recorder, &batch).await;
        assert_eq!(recorded, (expected.to_vec(), HELD));
    }
    assert_eq!(store.used(hotel(2), Counter::Imports).await, 1);
    store.assert_balanced().await;
}

/// Where it goes wrong once it is left for a while, and then tried again.
#[rstest]
#[tokio::test]
async fn behind_a_wrong_batch_some_are_recorded_under_locks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    let mut recorder = acquainted(&store).await;
    store.record(&[click(HOTEL)]).await;
    let mut seen = Vec::new();
    for _ in 0..=PAUSE + 2 {
        seen.push(record(&store, &mut recorder, &[click(HOTEL)]).await.1);
    }
    assert_eq!(seen[0], WRONG);
    assert_eq!(seen[1..=PAUSE], [None; PAUSE]);
    assert_eq!(seen[PAUSE + 1..], [HELD; 2]);
    store.assert_balanced().await;
}

/// "Takes effect with the next action": also when the lane knows the hotel by heart, and that nobody had registered it.
#[rstest]
#[case::of_a_registered_hotel(HOTEL, "")]
#[case::of_a_hotel_that_is_registered_now(hotel(4), "")]
#[case::changed_by_hand(
    HOTEL,
    "update hotel set limit_overrides = '{\"imports\": 2}', time_zone = 'Pacific/Auckland'"
)]
#[tokio::test]
async fn another_plan_holds_at_once(
    #[case] of: HotelId,
    #[case] sql: &str,
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    store.record(&[click(of)]).await;
    let mut recorder = acquainted(&store).await;
    assert_eq!(record(&store, &mut recorder, &[import(of, "0")]).await.1, HELD);
    if sql.is_empty() {
        let profile = ("suite", "Pacific/Auckland".parse().unwrap(), imports(2));
        hotels::put(&store.db, of, profile, store.now()).await.unwrap();
    } else {
        ledger::damage(&store.db, sql).await;
    }
    let batch = [import(of, "1"), import(of, "2")];
    let (answers, supposition) = record(&store, &mut recorder, &batch).await;
    assert_eq!(supposition, WRONG);
    assert_eq!(outcomes(&answers), [Outcome::Recorded, Outcome::QuotaExceeded]);
    // Noon in UTC is the next day there.
    assert_eq!(answers[0].event.as_ref().unwrap().day.to_string(), "2026-11-16");
    store.assert_balanced().await;
}

/// Whoever waits for the hotel's lock finds what was committed meanwhile, not what it remembers.
#[rstest]
#[case::committed(true, WRONG, [Outcome::Recorded, Outcome::QuotaExceeded])]
#[case::rolled_back(false, HELD, [Outcome::Recorded, Outcome::Recorded])]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_while_it_waits_is_seen(
    #[case] is_committed: bool,
    #[case] expected: Option<Supposition>,
    #[case] expected_outcomes: [Outcome; 2],
    // Which has its gate read before it waits.
    #[values(false, true)] is_seen: bool,
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = Arc::new(store(backend).await);
    let mut recorder = acquainted(&store).await;
    let other = begin_write(&store.db).await.unwrap();
    let theirs = [import(HOTEL, "theirs"), view(HOTEL, "session")];
    plg_store::record(&other, &store.plans, store.now(), &theirs).await.unwrap();
    let profile = ("suite", "UTC".parse().unwrap(), imports(2));
    hotels::put(&other, HOTEL, profile, store.now()).await.unwrap();
    let ours = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut batch = vec![import(HOTEL, "1"), import(HOTEL, "2")];
            batch.extend(is_seen.then(|| view(HOTEL, "session")));
            record(&store, &mut recorder, &batch).await
        }
    });
    if backend == Backend::Postgres {
        let waiting = "select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' \
                       and datname = current_database()";
        while !ours.is_finished() && ledger::number(&store.db, waiting).await == 0 {
            tokio::task::yield_now().await;
        }
    }
    if is_committed {
        other.commit().await.unwrap();
    } else {
        other.rollback().await.unwrap();
    }
    let (answers, supposition) = ours.await.unwrap();
    let of_view = if is_committed { Outcome::SuppressedSession } else { Outcome::Recorded };
    let expected_outcomes = expected_outcomes.into_iter().chain(is_seen.then_some(of_view));
    assert_eq!((outcomes(&answers), supposition), (expected_outcomes.collect(), expected));
    assert_eq!(store.used(HOTEL, Counter::Imports).await, 2);
    store.assert_balanced().await;
}

#[rstest]
#[tokio::test]
async fn a_month_that_turns_is_opened_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    store.clock.set_to("2026-11-30T23:59:59Z");
    let mut recorder = acquainted(&store).await;
    assert_eq!(record(&store, &mut recorder, &[import(HOTEL, "1")]).await.1, HELD);
    store.clock.set_to("2026-12-01T00:00:00Z");
    let (answers, supposition) = record(&store, &mut recorder, &[import(HOTEL, "2")]).await;
    assert_eq!((used(&answers[0]), supposition), ((1, 1), None));
    assert_eq!(answers[0].event.as_ref().unwrap().month.to_string(), "2026-12");
    store.assert_balanced().await;
}

#[rstest]
#[tokio::test]
async fn seats_are_recorded_under_locks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    let mut recorder = acquainted(&store).await;
    for batch in [vec![add_seat(HOTEL, 1)], vec![click(HOTEL), add_seat(HOTEL, 2)]] {
        assert_eq!(record(&store, &mut recorder, &batch).await.1, None, "{batch:?}");
        // What cannot be tried is no reason not to try the next.
        assert_eq!(record(&store, &mut recorder, &[click(HOTEL)]).await.1, HELD, "{batch:?}");
    }
    assert_eq!(store.used(HOTEL, Counter::ActiveUsers).await, 2);
    store.assert_balanced().await;
}

/// Nothing would be recorded, if all were as it is remembered.
#[rstest]
#[tokio::test]
async fn who_is_refused_is_so_by_what_is_true(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = store(backend).await;
    let full = ("suite", "UTC".parse().unwrap(), imports(0));
    hotels::put(&store.db, HOTEL, full, store.now()).await.unwrap();
    let mut recorder = acquainted(&store).await;
    let import = [import(HOTEL, "1")];
    let refused = outcomes_of(&store, &mut recorder, &import).await;
    assert_eq!(refused, (vec![Outcome::QuotaExceeded], HELD));
    let free = ("suite", "UTC".parse().unwrap(), imports(1));
    hotels::put(&store.db, HOTEL, free, store.now()).await.unwrap();
    let recorded = outcomes_of(&store, &mut recorder, &import).await;
    assert_eq!(recorded, (vec![Outcome::Recorded], WRONG));
    store.assert_balanced().await;
}

#[tokio::test]
async fn a_hotel_that_somebody_keeps_locked_is_said_to_be() {
    let store = store(Backend::Postgres).await;
    let mut recorder = acquainted(&store).await;
    let other = begin_write(&store.db).await.unwrap();
    other.execute_unprepared("select 1 from usage_monthly for update").await.unwrap();
    let failed = recorder.record(|| store.now(), &[click(HOTEL)]).await;
    let locked = matches!(failed, Err(CommitError::Failed(StoreError::Locked(_))));
    assert!(locked, "{failed:?}");
    other.rollback().await.unwrap();
    // It is still as it was.
    assert_eq!(record(&store, &mut recorder, &[click(HOTEL)]).await.1, HELD);
    store.assert_balanced().await;
}

/// SQLite has one lock for everything: who holds it for long keeps everybody out, and nothing is in doubt.
#[tokio::test]
async fn who_waits_in_vain_for_another_program_has_written_nothing() {
    let store = store(Backend::Sqlite).await;
    let mut recorder = acquainted(&store).await;
    let other = begin_write(&store.db).await.unwrap();
    for batch in [[import(HOTEL, "1")], [add_seat(HOTEL, 1)]] {
        let failed = recorder.record(|| store.now(), &batch).await;
        let is_in_vain = matches!(
            failed,
            Err(CommitError::Failed(StoreError::Unavailable(_) | StoreError::Conflict(_)))
        );
        assert!(is_in_vain, "{failed:?}");
    }
    other.rollback().await.unwrap();
    // On another connection, which has to get to know the hotel.
    for (batch, seq) in [(import(HOTEL, "1"), 3), (import(HOTEL, "2"), 4)] {
        let (answers, supposition) = record(&store, &mut recorder, &[batch]).await;
        assert_eq!((answers[0].event.as_ref().unwrap().seq, supposition), (seq, HELD));
    }
    store.assert_balanced().await;
}

/// The COMMIT goes with the writes, so what takes too long is in doubt, and counts once whatever became of it.
#[tokio::test]
async fn what_is_not_answered_in_time_is_asked_for() {
    let store = store(Backend::Sqlite).await;
    // It counts for some seconds.
    let slow = "create trigger slow before insert on product_event when new.dedup_key = 'slow' begin \
                select count(*) from (with recursive n(i) as (select 1 union all select i + 1 from n \
                where i < 20000000) select i from n); end";
    store.db.execute_unprepared(slow).await.unwrap();
    let mut recorder = acquainted(&store).await;
    let failed = recorder.record(|| store.now(), &[import(HOTEL, "slow")]).await;
    let Err(CommitError::Unknown { written, .. }) = failed else { panic!("{failed:?}") };
    // Whoever asks waits for it, and no longer than a request may take.
    let committed = loop {
        if let Ok(committed) = was_committed(&store.db, &written).await {
            break committed;
        }
    };
    let expected = if committed { Outcome::Duplicate } else { Outcome::Recorded };
    store.db.execute_unprepared("drop trigger slow").await.unwrap();
    let again = recorder.record(|| store.now(), &[import(HOTEL, "slow")]).await.unwrap();
    assert_eq!(outcomes(&again), [expected]);
    assert_eq!(store.used(HOTEL, Counter::Imports).await, 1);
    store.assert_balanced().await;
}

/// Nothing that an operator would look into.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_supposed_wrongly_is_no_error_in_the_log_of_the_server() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&["fsync=off"])).await.unwrap();
    let store = Store::of(TestDatabase::first_on(&cluster).await).await;
    // The last writes nothing: all of the batch was sent before.
    for (other, expected) in
        [(import(HOTEL, "1"), WRONG), (click(HOTEL), WRONG), (with_id(&click(HOTEL), "a"), HELD)]
    {
        let mut recorder = acquainted(&store).await;
        store.record(&[other]).await;
        let batch = [import(HOTEL, "1"), with_id(&click(HOTEL), "a"), import(hotel(2), "1")];
        assert_eq!(record(&store, &mut recorder, &batch).await.1, expected);
        recorder.close().await.unwrap();
    }
    // Nor is a connection that is in no transaction.
    acquainted(&store).await.close().await.unwrap();
    let log = std::fs::read_to_string(cluster.socket_folder().join("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
}

/// As where nobody may make anything, not even for the time of a session.
#[tokio::test]
async fn who_cannot_define_a_function_records_under_locks() {
    let store = store(Backend::Postgres).await;
    store.db.execute_unprepared("drop extension plpgsql").await.unwrap();
    let mut recorder = store.recorder().await;
    for expected in [Outcome::Recorded, Outcome::Duplicate] {
        let recorded = outcomes_of(&store, &mut recorder, &[import(HOTEL, "1")]).await;
        assert_eq!(recorded, (vec![expected], None));
    }
    store.assert_balanced().await;
}

/// Promise 3, by recorders that all believe to know how much is left: those of several replicas, and those of one, where
/// nobody keeps a hotel from two of them.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn recorders_that_remember_never_overshoot_together(#[values(false, true)] is_shared: bool) {
    const RECORDERS: usize = 4;
    const BATCHES: usize = 150;
    const LIMIT: i64 = 400;

    let views_sent = |n: usize| usize::from(n.is_multiple_of(2));
    let store = Arc::new(store(Backend::Postgres).await);
    for of in [HOTEL, hotel(2)] {
        let profile = ("suite", "UTC".parse().unwrap(), imports(LIMIT));
        hotels::put(&store.db, of, profile, store.now()).await.unwrap();
    }
    store.record(&[click(HOTEL), click(hotel(2))]).await;
    let start = Arc::new(Barrier::new(RECORDERS));
    let memory = Arc::new(HotelMemory::of_at_most(1_000));
    let recorders = (0..RECORDERS).map(async |of| {
        let (store, start) = (Arc::clone(&store), Arc::clone(&start));
        let mut recorder = if is_shared {
            store.recorder_with(Arc::clone(&memory)).await
        } else {
            store.recorder().await
        };
        tokio::spawn(async move {
            start.wait().await;
            let (mut recorded, mut seen, mut held) = (0, 0, [0, 0]);
            for n in 0..BATCHES {
                // Half of the jobs are sent by a neighbour, too, and hotels come in no order.
                let job = format!("{}/{n}", if n % 2 == 0 { of } else { of / 2 });
                let batch = [
                    import(hotel(2 - of as u128 % 2), &job),
                    import(hotel(1 + of as u128 % 2), &job),
                ];
                // Every other batch has a window, which all of them ask for.
                let views = (views_sent(n) > 0).then(|| view(HOTEL, &n.to_string()));
                let batch: Vec<_> = batch.into_iter().chain(views).collect();
                let (outcomes, supposition) = outcomes_of(&store, &mut recorder, &batch).await;
                let is_recorded = |outcome: &&Outcome| **outcome == Outcome::Recorded;
                recorded += outcomes[..2].iter().filter(is_recorded).count();
                seen += outcomes[2..].iter().filter(is_recorded).count();
                held[views_sent(n)] += usize::from(supposition == HELD);
            }
            [recorded, seen, held[0], held[1]]
        })
        .await
        .unwrap()
    });
    let results = join_all(recorders).await;
    let [recorded, seen, held, held_with_views] =
        [0, 1, 2, 3].map(|place| results.iter().map(|counts| counts[place]).sum::<usize>());
    assert_eq!(i64::try_from(recorded).unwrap(), 2 * LIMIT);
    assert_eq!(seen, BATCHES.div_ceil(2));
    assert!(held > 0 && held_with_views > 0, "nothing was as supposed");
    for of in [HOTEL, hotel(2)] {
        assert_eq!(store.used(of, Counter::Imports).await, LIMIT);
    }
    store.assert_balanced().await;
}
