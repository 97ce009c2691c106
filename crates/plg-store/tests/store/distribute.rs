//! `migrate distribute`. There is no Citus here: functions of its names note what they are told.

use migrations::SchemaState;
use migrations::distribute::{DistributeError, distribute};
use plg_testkit::{Backend, TestDatabase, ledger};

/// What Citus brings, as far as it is asked for.
const STAND_IN: &str = "
    create table distributed (table_name regclass primary key, place serial, by text, beside text);
    create view citus_tables as select table_name, 'distributed' as citus_table_type from distributed;
    create function create_distributed_table(
        t regclass, by text, distribution_type text default 'hash', colocate_with text default 'default'
    ) returns void language sql as
        'insert into distributed (table_name, by, beside) values (t, by, colocate_with)'";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_a_hotel_is_distributed_by_it_once() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let db = migrations::connect(database.url()).await.unwrap();
    let error = distribute(&db).await.unwrap_err();
    assert!(error.to_string().contains("create extension citus"), "{error}");
    ledger::damage(&db, STAND_IN).await;
    assert_eq!(distribute(&db).await.unwrap().len(), 7);
    assert_eq!(distribute(&db).await.unwrap(), [""; 0]);

    // Every table that names hotels, and no other.
    let missing = "select count(*) as n from information_schema.columns c join pg_class t \
                   on t.oid = to_regclass(c.table_name) and t.relkind in ('r', 'p') \
                   and not t.relispartition \
                   where c.table_schema = 'public' and c.column_name = 'hotel_id' \
                   and to_regclass(c.table_name) not in (select table_name from distributed)";
    assert_eq!(ledger::number(&db, missing).await, 0);
    let by_hotel = "select count(*) as n from distributed where by = 'hotel_id'";
    assert_eq!(ledger::number(&db, by_hotel).await, 7);
    let beside = "select count(*) as n from distributed d where (d.place = 1) = (d.beside = 'none') \
                  and d.beside in ('none', 'usage_monthly')";
    assert_eq!(ledger::number(&db, beside).await, 7);

    // Broken off half-way, it goes on there.
    ledger::damage(&db, "delete from distributed where table_name = 'seat'::regclass").await;
    assert_eq!(distribute(&db).await.unwrap(), ["seat"]);
    assert_eq!(migrations::schema_state(&db).await.unwrap(), SchemaState::Current);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_database_cannot_be_distributed() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let db = migrations::connect(database.url()).await.unwrap();
    assert!(matches!(distribute(&db).await, Err(DistributeError::Embedded)));
}
