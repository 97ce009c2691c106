//! What is broken behind the service's back.

use plg_testkit::Backend;
use plg_testkit::ledger;
use plg_testkit::scenario::{Books, GROUP, Hotel};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// Damage to one hotel-month.
pub(crate) struct Damage {
    pub(crate) hotel: &'static Hotel,
    /// `YYYY-MM`
    pub(crate) month: &'static str,
    /// Counters that are changed, each with what is assigned to it.
    pub(crate) counters: &'static [(&'static str, &'static str)],
    /// The type of an event whose row is deleted.
    pub(crate) lost_event: Option<&'static str>,
    /// What was done.
    pub(crate) words: &'static str,
}

impl Damage {
    fn of(
        (name, month): (&str, &'static str),
        counters: &'static [(&'static str, &'static str)],
        words: &'static str,
    ) -> Self {
        let hotel = GROUP.iter().find(|hotel| hotel.name == name).expect(name);
        Self { hotel, month, counters, lost_event: None, words }
    }

    /// The hotel-month in the books.
    pub(crate) fn key(&self) -> (Uuid, String) {
        (self.hotel.id(), self.month.to_owned())
    }

    /// Whether it was done to this hotel-month.
    pub(crate) fn is_of(&self, hotel: Uuid, month: &str) -> bool {
        (self.hotel.id(), self.month) == (hotel, month)
    }

    /// What has to come of it.
    pub(crate) const fn remedy(&self) -> &'static str {
        match self.lost_event {
            Some(_) => "reported as missing, not refunded",
            None => "corrected",
        }
    }

    /// Takes what cannot come back out of the books.
    pub(crate) fn forget_lost_event(&self, books: &mut Books) {
        let Some(event_type) = self.lost_event else { return };
        let totals = books.get_mut(&self.key()).expect("a month");
        *totals.events.get_mut(event_type).expect("such events") -= 1;
    }
}

fn damages() -> Vec<Damage> {
    let (up, down) = (&[("imports", "imports + 2")], &[("exports", "exports - 7")]);
    let zeroed = &[("imports", "0"), ("exports", "0")];
    let (more_seats, less_seats) =
        (&[("active_users", "active_users + 3")], &[("active_users", "active_users - 2")]);
    let lost = Damage::of(("Paddington Arms", "2026-10"), &[], "the row of an export is deleted");
    vec![
        Damage::of(("Adler Wien", "2026-10"), up, "two imports too many"),
        Damage::of(("Hudson House", "2026-10"), zeroed, "set to zero"),
        Damage::of(
            ("Sakura Gate", "2026-10"),
            more_seats,
            "three seats too many in a closed month",
        ),
        Damage::of(("Grand Palais", "2026-10"), down, "seven exports too few"),
        Damage { lost_event: Some("export_success"), ..lost },
        Damage::of(("Marigold", "2026-11"), less_seats, "two seats too few in the open month"),
    ]
}

/// Breaks things by SQL.
pub(crate) async fn inflict(db: &impl ConnectionTrait, backend: Backend) -> Vec<Damage> {
    let damages = damages();
    for damage in &damages {
        let id = damage.hotel.id();
        let id = match backend {
            Backend::Postgres => format!("'{id}'"),
            Backend::Sqlite => format!("x'{}'", id.simple()),
        };
        let month = damage.month.replace('-', "");
        let place = format!("hotel_id = {id} and month = {month}");
        for (counter, value) in damage.counters {
            let sql = format!("update usage_monthly set {counter} = {value} where {place}");
            assert_eq!(ledger::damage(db, &sql).await, 1, "{sql}");
        }
        if let Some(event_type) = damage.lost_event {
            let sql = format!(
                "delete from product_event where {place} and seq = (select min(seq) from \
                 product_event where {place} and event_type = '{event_type}')"
            );
            assert_eq!(ledger::damage(db, &sql).await, 1, "{sql}");
        }
    }
    damages
}
