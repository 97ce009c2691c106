//! What should not be sent, and what is sent in heaps.

use super::diary::Diary;
use super::hotels::Hotel;
use super::request::{Call, Request, Sending};
use super::{days, start};
use chrono::{NaiveDate, TimeDelta};

/// Now and then, a program with a mistake.
pub(super) fn of_a_day(diary: &mut Diary, day: NaiveDate) {
    if !diary.one_in(3) {
        return;
    }
    let Some(at) = diary.working_hour(day) else { return };
    let call = match diary.up_to(7) {
        0 => Call::Event(diary.sending("page_view")),
        1 => Call::Event(diary.sending("dashboard_view_session")),
        2 => Call::Event(diary.sending("import_success")),
        3 => Call::Event(diary.keyed("seat_added", "the new intern".to_owned())),
        4 => Call::Event(Sending { id: Some("x".repeat(129)), ..diary.sending("upgrade_click") }),
        5 => Call::Action(diary.keyed("export_success", String::new())),
        6 => Call::BrokenEvent(diary.sending("upgrade_click")),
        _ => {
            let (hotel, zone) = (diary.hotel.id(), diary.hotel.zone);
            Call::Register { hotel, plan: "platinum", zone, limits: &[] }
        }
    };
    diary.send(at, call);
}

/// Every night the head office sends one array about all hotels, in which one item is broken.
pub(super) fn night_reports(seed: u64, hotels: &'static [Hotel]) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut diaries: Vec<Diary> = hotels.iter().map(|h| Diary::new(!seed, h)).collect();
    for (night, _) in (0..).zip(days().skip(2)) {
        let mut sendings = Vec::new();
        for diary in &mut diaries {
            let click = diary.sending("upgrade_click");
            let id = diary.name("report");
            sendings.push(Sending { id: Some(id.clone()), ..click });
            if diary.one_in(12) {
                // Another hotel's id would be another event, this hotel's is the same again.
                let again = diary.sending("create_hotel_attempt");
                sendings.push(Sending { id: Some(id), ..again });
            }
            if diary.one_in(6) {
                let export = diary.name("night");
                sendings.push(diary.keyed("export_success", export));
            }
        }
        let broken = diaries[0].sending("paywall_view");
        sendings.insert(sendings.len() / 2, broken);
        let at = start() + TimeDelta::days(night) + TimeDelta::milliseconds(31_234_567);
        requests.push(Request { at, session_header: None, call: Call::Events(sendings) });
    }
    requests.retain(|request| request.at < super::end());
    requests
}
