//! What runs by itself: imports, exports on schedule, and the retries that a change of plan lets
//! through.

use super::diary::Diary;
use super::request::{Call, Sending};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Imports of a day: one at five in the morning, the others when somebody needs them.
pub(super) fn imports(diary: &mut Diary, day: NaiveDate) {
    let (at_night, by_day) = match diary.hotel.plan {
        "standard" => (diary.one_in(6), diary.up_to(6) / 6),
        "superior" => (diary.one_in(2), diary.up_to(4) / 4),
        "deluxe" => (true, diary.up_to(2)),
        _ => (true, diary.up_to(5)),
    };
    if at_night && let Some(at) = diary.hour(day, 5) {
        import(diary, at);
    }
    for _ in 0..by_day {
        if let Some(at) = diary.working_hour(day) {
            import(diary, at);
        }
    }
}

fn import(diary: &mut Diary, at: DateTime<Utc>) {
    let key = diary.name("job");
    let mut sending = diary.keyed("import_success", key);
    if diary.one_in(4) {
        sending.id = Some(diary.name("sent"));
    }
    diary.act(at, sending.clone());
    // The queue delivers at least once: some jobs report again, hours later, or in the next month.
    if diary.one_in(6) {
        let later = at + diary.between(600, 90_000);
        diary.act(later, Sending { id: None, ..sending });
    }
}

/// An export at six in the morning, for the head office.
pub(super) fn nightly_export(diary: &mut Diary, day: NaiveDate) {
    if let Some(at) = diary.hour(day, 6) {
        export(diary, at);
    }
}

/// An export at every full hour, also when it is two o'clock again.
pub(super) fn hourly_exports(diary: &mut Diary, day: NaiveDate) {
    for hour in (0..24).filter(|hour| *hour != 6) {
        let time = NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour");
        for at in diary.instants(day, time) {
            export(diary, at);
        }
    }
}

fn export(diary: &mut Diary, at: DateTime<Utc>) {
    let key = diary.name("export");
    let sending = diary.keyed("export_success", key);
    diary.act(at, sending.clone());
    // What was refused is tried again, to no avail; what was not, is a duplicate.
    if diary.one_in(8) {
        let later = at + diary.between(60, 7_200);
        diary.act(later, sending);
    }
}

/// Another plan is bought, and what was last sent is sent again.
pub(super) fn change_of_plan(diary: &mut Diary, day: NaiveDate, to: &'static str) {
    let Some(at) = diary.hour(day, 11) else { return };
    let mut last: Vec<Sending> = Vec::new();
    for event_type in ["export_success", "import_success", "seat_added"] {
        let actions = diary.requests.iter().filter_map(|request| match &request.call {
            Call::Action(sending) if request.at < at => Some((request.at, sending)),
            _ => None,
        });
        let mut alike: Vec<_> = actions.filter(|(_, s)| s.event_type == event_type).collect();
        alike.sort_by_key(|(at, _)| *at);
        last.extend(alike.into_iter().rev().take(4).map(|(_, sending)| sending.clone()));
    }
    diary.register(at, to);
    for (seconds, sending) in (5..).zip(last) {
        diary.send(at + TimeDelta::seconds(seconds), Call::Action(sending));
    }
}
