//! What PostgreSQL distributed by hotel (Citus) refuses is not sent, as long as transactions are of
//! one hotel. On PostgreSQL only: nobody distributes SQLite.

use plg_core::event::Command;
use plg_core::plan::{LimitOverrides, Plans};
use plg_store::connect::{self, Planning};
use plg_store::{hotels, record_batch};
use plg_testkit::commands::{Workload, add_seat, export, hotel, remove_seat};
use plg_testkit::postgres::Cluster;
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::{ConnectionTrait, Statement};
use std::collections::BTreeSet;

/// A server that logs every statement, after the name of the program that sent it.
fn start_talkative() -> Cluster {
    Cluster::start(&["fsync=off", "log_statement=all", "log_line_prefix=%a|"])
}

/// The statements that a server has got from the store, without repetitions.
fn statements(cluster: &Cluster) -> BTreeSet<String> {
    let log = std::fs::read_to_string(cluster.socket_folder().join("log")).unwrap();
    // Further lines of a statement are indented.
    let log = log.replace("\n\t", " ");
    let of_the_store = log.lines().filter_map(|line| line.strip_prefix("plg|LOG:  "));
    of_the_store
        .filter_map(|line| line.split_once(": "))
        .filter(|(kind, _)| *kind == "statement" || kind.starts_with("execute "))
        .map(|(_, statement)| statement.to_lowercase())
        .collect()
}

/// Why Citus 13 refuses a statement, or why it would be sent to every node.
fn objection(statement: &str) -> Option<&'static str> {
    let has = |text: &str| statement.contains(text);
    let updates = statement.split("do update set").skip(1).map(clause);
    if updates.into_iter().any(|update| {
        ["$", "select", "now()", "current_timestamp"].iter().any(|part| update.contains(part))
    }) {
        return Some("ON CONFLICT DO UPDATE takes values from elsewhere than `excluded`");
    }
    let looked_up = statement.split(" exists (").skip(1).map(|after| &after[..closing(after)]);
    if looked_up.into_iter().any(|rows| !rows.contains("hotel_id = $")) {
        return Some("rows that are looked for beside others are not bound to one hotel");
    }
    if has("advisory") {
        return Some("an advisory lock holds on one node only");
    }
    if has("now()") || has("current_timestamp") || has("clock_timestamp") {
        return Some("time comes from the process, not from SQL");
    }
    // Partitions are made for all hotels at once, where the distributed table is known.
    let makes_partition = ["alter table ", "create table ", "lock table "];
    if makes_partition.iter().any(|start| statement.starts_with(start)) {
        return None;
    }
    let touches = |part: &str| {
        let in_part = |table: &&str| {
            part.contains(&format!(" {table} ")) || part.contains(&format!(" \"{table}\" "))
        };
        TABLES.iter().any(in_part)
    };
    // New rows say where they belong. What looks for rows has to say it beside the join with what is
    // looked for, and by `=`: of an array it is not known that what is joined lies in the same shard.
    let is_bound = |part: &str| {
        let is_insert = part.trim_start().starts_with("insert into ");
        let compared = ["hotel_id = $", "\"hotel_id\" = $"].iter().any(|how| part.contains(how));
        (is_insert && part.contains("hotel_id")) || compared
    };
    if parts(statement).into_iter().any(|part| touches(part) && !is_bound(part)) {
        return Some("the statement is not bound to one hotel");
    }
    None
}

/// The statements that a statement consists of: its CTEs and what follows them.
fn parts(statement: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = statement;
    while rest.starts_with("with ") || rest.starts_with(", ") {
        let Some((_, opened)) = rest.split_once(" as (") else { break };
        let end = closing(opened);
        parts.push(&opened[..end]);
        rest = opened.get(end + 1..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

/// Where the parenthesis is closed that was opened before this text.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    let closes = |(_, character): &(usize, char)| {
        depth += i32::from(*character == '(') - i32::from(*character == ')');
        depth < 0
    };
    text.char_indices().find(closes).map_or(text.len(), |(index, _)| index)
}

const TABLES: [&str; 6] =
    ["hotel", "product_event", "usage_monthly", "event_gate", "event_window", "seat"];

/// What belongs to a `DO UPDATE SET`: up to the end of its CTE, or its `RETURNING`.
fn clause(after: &str) -> &str {
    after[..closing(after)].split(" returning ").next().unwrap_or_default()
}

/// Every kind of write: months opened and turned, gates claimed, put and given back, seats,
/// refusals.
async fn write_everything(url: &str) {
    let db = connect::single(&url.parse().unwrap(), Planning::Keyed).await.unwrap();
    let plans: Plans = plg_service::Settings::defaults().unwrap().plans;
    let record = async |now: &str, commands: &[Command]| {
        let now = now.parse().unwrap();
        record_batch(&db, &plans, || now, commands).await.unwrap();
    };
    for id in [hotel(1), hotel(2)] {
        let seats = [add_seat(id, 1), add_seat(id, 2), remove_seat(id, 1)];
        record("2026-11-15T12:00:00Z", &seats).await;
        record("2026-11-15T12:00:00Z", &[export(id, "export-0")]).await;
        let exports: Vec<_> = (0..31).map(|n| export(id, &format!("export-{n}"))).collect();
        record("2026-11-15T12:00:00Z", &exports).await;
        let mut workload = Workload::new(3, &[id]);
        for now in ["2026-11-15T12:00:00Z", "2026-11-15T13:00:00Z", "2026-12-01T00:00:00Z"] {
            record(now, &workload.batch(100)).await;
        }
        let profile = ("suite", "UTC".parse().unwrap(), LimitOverrides::default());
        let over = "2027-01-01T00:00:00Z".parse().unwrap();
        assert!(hotels::change(&db, &plans, id, None, profile, over).await.unwrap());
    }
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_path_sends_nothing_that_citus_refuses() {
    let cluster = tokio::task::spawn_blocking(start_talkative).await.unwrap();
    let url = cluster.url("postgres");
    let migrator = migrations::connect(&url).await.unwrap();
    migrations::up(&migrator).await.unwrap();

    write_everything(&url).await;

    let statements = statements(&cluster);
    for statement in &statements {
        assert_eq!(objection(statement), None, "{statement}");
    }
    // All that the write path can send was sent.
    for expected in [
        "for update of u",
        "set closed = true, limits = ",
        "insert into usage_monthly",
        "update usage_monthly as u set imports",
        "insert into event_gate",
        "do nothing returning gate_id",
        "g.hotel_id = t.hotel_id and g.hotel_id = $4) returning gate_id",
        "do update set last_at = excluded.last_at",
        "delete from event_gate",
        "(select unnest($1::uuid[]) as gate_id, unnest($2::uuid[]) as hotel_id) as t join event_gate",
        "join event_window",
        "insert into event_window",
        "insert into product_event",
        "insert into seat",
        "delete from seat",
        "insert into \"hotel\"",
    ] {
        assert!(statements.iter().any(|sent| sent.contains(expected)), "not sent: {expected}");
    }
    ledger::assert_balanced(&migrator).await;
}

/// The check itself has to tell good from bad.
#[test]
fn what_citus_refuses_is_recognised() {
    let upsert = "with w as (insert into event_gate (gate_id, hotel_id) select t.k, t.h from \
                  unnest($1::uuid[], $2::uuid[]) as t(k, h) where true on conflict \
                  (gate_id, hotel_id) do update set";
    let set = "update usage_monthly as u set imports = t.imports from unnest($1::uuid[]) as t(hotel_id) \
               where u.hotel_id = t.hotel_id";
    let absent = "insert into event_gate (gate_id, hotel_id) select t.k, t.h from \
                  (select unnest($1::uuid[]) as k, unnest($2::uuid[]) as h) as t where true and \
                  not exists (select from event_gate g where g.gate_id = t.k and g.hotel_id = t.h)";
    let refused = [
        "select 1 from usage_monthly u where not u.closed for update of u".to_owned(),
        "select 1 from unnest($1) t join usage_monthly u on u.hotel_id = t.h for update".to_owned(),
        "select 1 from usage_monthly u where u.hotel_id = any($1) for update of u".to_owned(),
        format!("{upsert} last_at = $3) select 1"),
        format!("{upsert} passed = (select 1)) select 1"),
        format!("{upsert} last_at = now()) select 1"),
        absent.to_owned(),
        "select pg_advisory_xact_lock(1)".to_owned(),
        "insert into seat (hotel_id, added_at) values ($1, now())".to_owned(),
        "update usage_monthly set closed = true".to_owned(),
        set.to_owned(),
        format!(
            "with w0 as (insert into seat (hotel_id) select t.h from unnest($2) as t(h)) {set}"
        ),
    ];
    for statement in refused {
        assert!(objection(&statement).is_some(), "{statement}");
    }
    let taken = [
        "select 1 from usage_monthly u where u.hotel_id = $1 for update of u".to_owned(),
        format!("{upsert} last_at = excluded.last_at) select $3 from seat where hotel_id = $4"),
        format!("{upsert} last_at = excluded.last_at) {set} and u.hotel_id = $3"),
        absent.replace("t.h)", "t.h and g.hotel_id = $3)"),
        "begin".to_owned(),
    ];
    for statement in taken {
        assert_eq!(objection(&statement), None, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_can_be_distributed_by_hotel() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let db = database.connect().await;
    // Of unique keys, those of the tables that belong to hotels have to name the hotel.
    let foreign = "select c.relname as name from pg_index i \
         join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid \
         join pg_namespace n on n.oid = t.relnamespace \
         where n.nspname = 'public' and i.indisunique and not exists (\
           select from pg_attribute a where a.attrelid = c.oid and a.attname = 'hotel_id') \
         order by name";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), foreign)).await;
    let names: Vec<String> =
        rows.unwrap().iter().map(|row| row.try_get("", "name").unwrap()).collect();
    let of_no_hotel =
        ["api_key_pkey", "event_retention_pkey", "rollup_run_pkey", "seaql_migrations_pkey"];
    assert_eq!(names, of_no_hotel);
    for (what, select) in [
        ("triggers", "select count(*) as n from pg_trigger"),
        ("foreign keys", "select count(*) as n from pg_constraint where contype = 'f'"),
        (
            "defaults that read a clock",
            "select count(*) as n from information_schema.columns where table_schema = 'public' \
             and (column_default like '%now%' or column_default like '%current%')",
        ),
    ] {
        assert_eq!(ledger::number(&db, select).await, 0, "{what}");
    }
}
