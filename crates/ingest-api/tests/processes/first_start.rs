//! What a person sees who starts it for the first time.

use plg_testkit::{Backend, TestDatabase};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use tokio::task::block_in_place;

/// Of the lines that are printed, in their order, and more between them.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_to_try_it_with_is_printed() {
    let database = TestDatabase::empty(Backend::Sqlite).await;
    let path = database.url().strip_prefix("sqlite:").unwrap().split('?').next().unwrap();
    let file = format!("{}.key", path.trim_start_matches("//"));
    block_in_place(|| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ingest-api"))
            .env("DATABASE_URL", database.url())
            .envs([("PLG__SERVER__PORT", "0"), ("PLG__METRICS__PORT", "0")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let lines: Vec<String> =
            lines.take_while(|line| !line.contains("Stop with Ctrl-C")).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let said = lines.join("\n");
        let key = std::fs::read_to_string(&file).expect("kept");
        let key = key.trim();
        assert!(lines[0].starts_with("ingest-api ") && lines[0].contains(" listening on http://"));
        assert!(
            said.contains(&format!("development key: {key} (works on loopback only)")),
            "{said}"
        );
        assert!(said.contains("KEY=\"$(cat ") && said.contains(&file), "{said}");
    });
}
