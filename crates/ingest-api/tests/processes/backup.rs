//! `ingest-api backup`: a copy of the embedded database, beside the service that writes it.

use crate::support::Service;
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::block_in_place;

/// A database, in a folder that goes with it.
struct Place {
    database: TestDatabase,
    folder: PathBuf,
}

/// A command that has ended.
struct Finished {
    succeeded: bool,
    stdout: Vec<u8>,
    stderr: String,
}

impl Place {
    async fn new() -> Self {
        let database = TestDatabase::new(Backend::Sqlite).await;
        let file = database.url().parse::<plg_store::DatabaseUrl>().unwrap().file().unwrap();
        Self { database, folder: file.parent().unwrap().to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn back_up(&self, to: &str) -> Finished {
        back_up(self.database.url(), &self.folder, to)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn back_up(url: &str, folder: &Path, to: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest-api"));
    command.args(["backup", to]).env("DATABASE_URL", url).current_dir(folder);
    let output = block_in_place(|| command.stdin(Stdio::null()).output()).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Finished { succeeded: output.status.success(), stdout: output.stdout, stderr }
}

/// How many imports a copy has, of which the books are right.
async fn imports_of(copy: &Path) -> usize {
    let url = format!("sqlite://{}", copy.display());
    let db = plg_store::connect::pool(&url.parse().unwrap(), 1).await.unwrap();
    ledger::assert_balanced(&db).await;
    let imports = ledger::number(&db, "select count(*) as n from product_event").await;
    db.close().await.unwrap();
    imports.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_is_in_a_copy_made_beside_traffic() {
    let place = Place::new().await;
    let service = Service::start(place.database.url(), &[]);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let sender = tokio::spawn({
        let (api, acknowledged) = (service.api.clone(), Arc::clone(&acknowledged));
        async move {
            for number in 0_u128.. {
                api.register(hotel(number), "suite", "UTC").await;
                if api.import(hotel(number), "job").await.status != 201 {
                    return;
                }
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 20 {
        assert!(!sender.is_finished(), "it was refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (number, to) in ["copy.db", "-"].into_iter().enumerate() {
        let before = acknowledged.load(Ordering::SeqCst);
        let finished = place.back_up(to);
        assert!(finished.succeeded, "{}", finished.stderr);
        assert!(finished.stderr.contains("which were read through"), "{}", finished.stderr);
        let copy = place.file(if to == "-" { "sent.db" } else { to });
        if to == "-" {
            std::fs::write(&copy, finished.stdout).unwrap();
        }
        let imports = imports_of(&copy).await;
        assert!(imports >= before, "{imports} of {before}, {number}");
    }
    assert!(!sender.is_finished(), "beside nobody");
    sender.abort();
    assert!(service.terminate().success());
    assert!(!place.names().iter().any(|name| name.ends_with(".partial")), "{:?}", place.names());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_not_touched_and_none_is_there_that_is_not_whole() {
    let place = Place::new().await;
    std::fs::write(place.file("old.db"), "old").unwrap();
    let finished = place.back_up("old.db");
    assert!(!finished.succeeded && finished.stderr.contains("is there already"));
    assert_eq!(std::fs::read_to_string(place.file("old.db")).unwrap(), "old");

    // What an attempt that was killed has left.
    std::fs::write(place.file("new.db.partial"), "half").unwrap();
    assert!(place.back_up("new.db").succeeded);
    assert_eq!(imports_of(&place.file("new.db")).await, 0);

    // Somebody else is at it.
    let partial = File::create(place.file("next.db.partial")).unwrap();
    partial.lock().unwrap();
    let finished = place.back_up("next.db");
    assert!(
        !finished.succeeded && finished.stderr.contains("another backup"),
        "{}",
        finished.stderr
    );
    drop(partial);

    // A database that cannot be read.
    std::fs::write(place.file("broken.db"), "no database, whatever its name may say ".repeat(99))
        .unwrap();
    let broken = format!("sqlite://{}", place.file("broken.db").display());
    let finished = back_up(&broken, &place.folder, "copy.db");
    assert!(!finished.succeeded && finished.stderr.contains("cannot copy"), "{}", finished.stderr);
    let names = place.names();
    assert!(!names.contains(&"copy.db".to_owned()), "{names:?}");
    assert!(!names.contains(&"copy.db.partial".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_backed_up_otherwise() {
    let folder = std::env::temp_dir();
    for (url, what) in [
        ("postgres://plg:geheim@127.0.0.1:1/plg", "pg_dump"),
        ("sqlite::memory:", "no file"),
        ("sqlite://nowhere.db?mode=rwc", "there is no database"),
    ] {
        for to in ["copy-of-nothing.db", "-"] {
            let finished = back_up(url, &folder, to);
            assert!(!finished.succeeded && finished.stderr.contains(what), "{}", finished.stderr);
            assert!(!finished.stderr.contains("geheim"), "{}", finished.stderr);
            assert!(finished.stdout.is_empty());
        }
        assert!(!folder.join("copy-of-nothing.db").exists());
        assert!(!folder.join("nowhere.db").exists());
    }
}
