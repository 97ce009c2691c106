//! The command line: arguments, exit codes, and what is said where.

use crate::process::Worker;
use crate::support::{Books, EVENTS_OF_A_DAY, NOVEMBER, OCTOBER};
use plg_core::ids::HotelId;
use plg_store::rollup::runs::Run;
use plg_testkit::commands::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use serde_json::Value;

const HOTELS: [HotelId; 3] = [hotel(1), hotel(2), hotel(3)];

/// Two hotels have drifted, one of them in two counters; one event is missing.
async fn damaged(backend: Backend) -> Books {
    let books = Books::of(backend, &HOTELS).await;
    books.damage(hotel(1), NOVEMBER, "imports = imports + 3, exports = 0").await;
    books.damage(hotel(2), NOVEMBER, "active_users = 0").await;
    books.lose_event(hotel(3), NOVEMBER, 6).await;
    books
}

/// One run has been added, and its row says what the summary says.
async fn assert_on_record(books: &Books, runs: usize, summary: &Value) {
    let all: Vec<Run> = books.runs().await;
    assert_eq!(all.len(), runs);
    assert_eq!(serde_json::to_value(&all[0]).unwrap(), *summary);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_its_summary_in_one_json_object(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;

    let first = Worker::of(&books).run(&["--json"]).await;

    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.stdout.lines().count(), 1);
    let summary = first.summary();
    assert_eq!(summary["status"], "done");
    let figures = ["hotels", "hotel_months", "events", "drifted", "corrected", "missing"];
    let numbers: Vec<_> = figures.map(|figure| summary[figure].as_i64()).to_vec();
    let events = 3 * EVENTS_OF_A_DAY - 1;
    assert_eq!(numbers, [3, 3, events, 2, 3, 1].map(Some));
    assert!(summary["duration_ms"].as_i64().unwrap() >= 0);
    assert_on_record(&books, 1, &summary).await;
    // What was found is in the log too.
    assert_eq!(first.stderr.matches("counter had drifted").count(), 3);
    assert_eq!(first.stderr.matches("events are missing").count(), 1);

    let second = Worker::of(&books).run(&["--json"]).await;
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
    let summary = second.summary();
    assert_eq!((&summary["hotels"], &summary["corrected"]), (&0.into(), &0.into()));
    assert_on_record(&books, 2, &summary).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn without_json_it_is_for_people(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let finished = Worker::of(&books).run(&["--full"]).await;
    let said = finished.stdout;
    assert!(said.starts_with("reconciled 3 hotels (3 hotel-months, 17 events) in 0."), "{said}");
    for line in ["drifted    2 hotel-months", "corrected  3 counters", "missing    1 event"] {
        assert!(said.contains(line), "{said}");
    }
    let run = &books.runs().await[0];
    assert!(said.contains(&run.run_id.to_string()), "{said}");
    assert!(run.full);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_exits_with_2_when_a_counter_has_drifted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let before = books.usage().await;

    for (runs, arguments) in
        [(1, ["--dry-run", "--json"].as_slice()), (2, &["--dry-run", "--full", "--json"])]
    {
        let dry = Worker::of(&books).run(arguments).await;
        assert_eq!(dry.code, 2, "{dry:?}");
        let summary = dry.summary();
        let numbers = ["drifted", "corrected", "missing"].map(|figure| summary[figure].as_i64());
        assert_eq!(numbers, [2, 0, 1].map(Some));
        assert_on_record(&books, runs, &summary).await;
    }

    assert_eq!((books.usage().await, books.audited().await), (before, 0));
    let said = Worker::of(&books).run(&["--dry-run"]).await.stdout;
    assert!(said.contains("corrected  nothing, this was a dry run"), "{said}");

    assert_eq!(Worker::of(&books).run(&[]).await.code, 0);
    // Missing events are no drift: nothing could be corrected.
    for arguments in [["--dry-run"].as_slice(), &["--dry-run", "--full"]] {
        assert_eq!(Worker::of(&books).run(arguments).await.code, 0);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn arguments_narrow_the_run(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let books = damaged(backend).await;
    let run = async |arguments: &[&str]| {
        let all = [arguments, &["--json"]].concat();
        let summary = Worker::of(&books).run(&all).await.summary();
        ["hotels", "corrected"].map(|figure| summary[figure].as_i64().unwrap())
    };
    let [first, second, third] = HOTELS.map(|id| id.to_string());
    assert_eq!(run(&["--month", OCTOBER]).await, [0, 0]);
    assert_eq!(run(&["--hotel", &third, "--hotel", &second]).await, [2, 1]);
    assert_eq!(run(&["--full", "--hotel", &first, "--month", NOVEMBER]).await, [1, 2]);
    assert_eq!(run(&["--full"]).await, [3, 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_schema_is_named(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::empty(backend).await;
    let db = migrations::connect(database.url()).await.unwrap();
    let state = migrations::schema_state(&db).await.unwrap();
    let migrations::SchemaState::Behind(pending) = state else { panic!("{state:?}") };
    db.close().await.unwrap();

    let finished = Worker::at(database.url()).run(&[]).await;

    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    let complaint = finished.complaint();
    assert!(complaint.starts_with("rollup-worker: "), "{complaint}");
    let lacks = format!("lacks {} of its migrations: run `migrate up`", pending.len());
    assert!(complaint.contains(&lacks), "{complaint}");
}

/// Where there is no database, and what is said about it.
#[rstest]
#[case::nobody_listens("postgres://plg:geheim@127.0.0.1:1/plg", "cannot reach the database at ")]
#[case::no_such_file("sqlite:///nowhere/plg.db?mode=rwc", "ingest-api or `migrate up` creates it")]
#[case::no_database("sqlite:///dev/null", "cannot ")]
#[case::another_kind("mysql://localhost/plg", "postgres:// or sqlite:")]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_opened_is_one_line(#[case] url: &str, #[case] expected: &str) {
    let finished = Worker::at(url).run(&["--json"]).await;
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{finished:?}");
    let complaint = finished.complaint();
    assert!(complaint.starts_with("rollup-worker: "), "{complaint}");
    assert!(complaint.contains(expected), "{complaint}");
    assert!(!complaint.contains("geheim"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_not_created() {
    let database = TestDatabase::empty(Backend::Sqlite).await;
    assert_eq!(Worker::at(database.url()).run(&[]).await.code, 1);
    let path = database.url().trim_start_matches("sqlite://").split('?').next().unwrap();
    assert!(!std::path::Path::new(path).exists());
}

#[rstest]
#[case::hotel(&["--hotel", "seven"], "must be a UUID, for example")]
#[case::month(&["--month", "2026-13"], "must be a month written YYYY-MM")]
#[case::no_value(&["--hotel"], "a value is required for '--hotel <UUID>'")]
#[case::unknown(&["--dryrun"], "unexpected argument '--dryrun'")]
#[case::positional(&["all"], "unrecognized subcommand 'all'")]
#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_explained(#[case] arguments: &[&str], #[case] expected: &str) {
    let finished = Worker::at("sqlite:///nowhere/plg.db").run(arguments).await;
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{finished:?}");
    assert!(finished.stderr.starts_with("error: "), "{finished:?}");
    assert!(finished.stderr.contains(expected), "{finished:?}");
}

#[rstest]
#[case::out_of_bounds(
    "PLG__ROLLUP__WRITE_CHUNK",
    "0",
    "rollup.write_chunk must be 1 to 2000, got 0"
)]
#[case::no_number("PLG__ROLLUP__PAUSE_MS", "soon", "pause_ms")]
#[case::no_such_setting("PLG__ROLLUP__REED_CHUNK", "1", "did you mean rollup.read_chunk")]
#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_one_line(
    #[case] name: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let finished = Worker::at("sqlite:///nowhere/plg.db").with(name, value).run(&[]).await;
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.complaint().contains(expected), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_told_with_their_origin_and_without_secrets() {
    let worker = Worker::at("postgres://plg:geheim@db/plg").with("PLG__ROLLUP__PAUSE_MS", "7");
    let finished = worker.run(&["config"]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{finished:?}");
    let line = |name: &str| {
        let line = finished.stdout.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("pause_ms"), "pause_ms = 7 # PLG__ROLLUP__PAUSE_MS");
    assert_eq!(line("read_chunk"), "read_chunk = 2000 # default");
    assert_eq!(line("url"), "url = \"postgres://plg:***@db/plg\" # DATABASE_URL");
}

/// As the README says: the defaults, `plg.toml` or the file that is named, `DATABASE_URL`, the environment.
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_goes_before_a_file_and_that_before_the_defaults() {
    let folder = std::env::temp_dir().join(format!("plg-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[database]\nurl = \"sqlite://file.db\"\n[rollup]\npause_ms = 3\nread_chunk = 4\n";
    std::fs::write(folder.join("plg.toml"), text).unwrap();
    std::fs::write(folder.join("other.toml"), text.replace('4', "5")).unwrap();
    let url = ("DATABASE_URL", "sqlite://url.db");
    let setting = ("PLG__DATABASE__URL", "sqlite://setting.db");
    let pause = ("PLG__ROLLUP__PAUSE_MS", "7");
    let other = ("PLG_CONFIG", "other.toml");
    for (environment, expected) in [
        (&[][..], ["\"sqlite://file.db\" # plg.toml", "3 # plg.toml", "4 # plg.toml"]),
        (
            &[pause],
            ["\"sqlite://file.db\" # plg.toml", "7 # PLG__ROLLUP__PAUSE_MS", "4 # plg.toml"],
        ),
        (&[other], ["\"sqlite://file.db\" # other.toml", "3 # other.toml", "5 # other.toml"]),
        (&[url], ["\"sqlite://url.db\" # DATABASE_URL", "3 # plg.toml", "4 # plg.toml"]),
        (
            &[url, setting],
            ["\"sqlite://setting.db\" # PLG__DATABASE__URL", "3 # plg.toml", "4 # plg.toml"],
        ),
    ] {
        let mut worker = Worker::at("").in_folder(&folder);
        for (name, value) in environment {
            worker = worker.with(name, value);
        }
        let finished = worker.run(&["config"]).await;
        let told: Vec<String> = ["url", "pause_ms", "read_chunk"]
            .iter()
            .map(|name| {
                let mut lines = finished.stdout.lines();
                let line = lines.find_map(|line| line.strip_prefix(&format!("{name} = ")));
                line.expect(name).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(told, expected, "{environment:?}");
        assert!(finished.stdout.contains("busy_pause_ms = 10 "), "{finished:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_need_no_database() {
    for (argument, expected) in [("--help", "Exit codes:"), ("--version", "rollup-worker 0.")] {
        let finished = Worker::at("sqlite:///nowhere/plg.db").run(&[argument]).await;
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
        assert!(finished.stdout.contains(expected), "{finished:?}");
    }
}

/// Whose clock is ahead would forget events, and open months of the log, before their time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_while_the_clock_is_ahead_of_the_databases() {
    let books = Books::of(Backend::Postgres, &HOTELS).await;
    let back = "create function public.clock_timestamp() returns timestamptz language sql as \
                $$ select pg_catalog.clock_timestamp() - interval '1 hour' $$";
    ledger::damage(&books.db, back).await;
    let first = "do $$ begin execute format('alter database %I set search_path = \
                 public, pg_catalog', current_database()); end $$";
    ledger::damage(&books.db, first).await;
    for arguments in [&["--json"][..], &["--dry-run"], &["retain"]] {
        let finished = Worker::of(&books).run(arguments).await;
        assert_eq!(finished.code, 1, "{finished:?}");
        let complaint = finished.complaint();
        assert!(complaint.contains("this machine's clock says 20"), "{complaint}");
        assert!(complaint.contains("database.clock_tolerance_seconds"), "{complaint}");
    }
    assert!(books.runs().await.is_empty());
    for tolerance in ["7200", "0"] {
        let worker = Worker::of(&books).with("PLG__DATABASE__CLOCK_TOLERANCE_SECONDS", tolerance);
        let finished = worker.run(&["--json"]).await;
        assert_eq!(finished.code, 0, "{finished:?}");
    }
}
