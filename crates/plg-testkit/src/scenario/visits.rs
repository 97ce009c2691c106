//! People before their screens: tabs opened, reloaded and opened once more, prices calculated,
//! walls hit.

use super::diary::{Diary, is_weekend};
use super::request::{Call, Sending};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;

/// The session window of the catalogue: a reload comes just in it, or just behind it.
const WINDOW: TimeDelta = TimeDelta::minutes(30);

/// Somebody's tab.
struct Tab {
    user: Uuid,
    session: String,
    /// The frontend may name the session in the header.
    by_header: bool,
}

impl Tab {
    fn open(diary: &mut Diary) -> Self {
        let (user, session) = (diary.user(), diary.name("tab"));
        Self { user, session, by_header: diary.one_in(3) }
    }

    fn sending(&self, diary: &mut Diary, event_type: &'static str) -> Sending {
        let session = (!self.by_header).then(|| self.session.clone());
        Sending { user: self.user, session, ..diary.sending(event_type) }
    }

    fn header(&self) -> Option<&str> {
        self.by_header.then_some(self.session.as_str())
    }

    fn event(&self, diary: &mut Diary, at: DateTime<Utc>, event_type: &'static str) {
        let sending = self.sending(diary, event_type);
        diary.send_in(self.header(), at, Call::Event(sending));
    }

    /// An event that the frontend gives an id, so that it may send it again.
    fn named_event(&self, diary: &mut Diary, at: DateTime<Utc>, event_type: &'static str) {
        let id = diary.name(event_type);
        let sending = Sending { id: Some(id), ..self.sending(diary, event_type) };
        let call = Call::Event(sending);
        if diary.one_in(10) {
            let again = at + diary.between(1, 600);
            diary.send_in(self.header(), again, call.clone());
        }
        diary.send_in(self.header(), at, call);
    }
}

/// The visits of a day.
pub(super) fn of_a_day(diary: &mut Diary, day: NaiveDate) {
    let usual = diary.hotel.visits;
    let most = if is_weekend(day) { usual / 2 } else { usual + usual / 2 };
    for _ in 0..diary.up_to(most) {
        if let Some(at) = diary.working_hour(day) {
            visit(diary, at);
        }
    }
}

fn visit(diary: &mut Diary, at: DateTime<Utc>) {
    let tab = Tab::open(diary);
    if diary.one_in(8) {
        return beacon(diary, &tab, at);
    }
    tab.event(diary, at, "dashboard_view_session");
    if diary.one_in(5) {
        diary.send(at, Call::Usage(diary.hotel.id()));
    }
    reloads(diary, &tab, at, "dashboard_view_session");
    if diary.one_in(4) {
        second_tab(diary, &tab, at);
    }
    if diary.one_in(5) {
        let read = at + diary.between(30, 600);
        tab.event(diary, read, "playbook_open");
        if diary.one_in(3) {
            let read_again = read + diary.between(10, 3_000);
            tab.event(diary, read_again, "playbook_open");
        }
    }
    if diary.one_in(2) {
        prices(diary, &tab, at);
    }
    if diary.one_in(3) {
        export(diary, &tab, at);
    }
    if diary.one_in(60) {
        let at = at + diary.between(60, 900);
        tab.named_event(diary, at, "create_hotel_attempt");
    }
}

/// The same page in the same session once more: in the window, at its last microsecond, at its end.
fn reloads(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>, event_type: &'static str) {
    for _ in 0..diary.up_to(2) {
        let later = at + diary.between(1, 1_799);
        tab.event(diary, later, event_type);
    }
    match diary.up_to(11) {
        0 => tab.event(diary, at + WINDOW, event_type),
        1 => tab.event(diary, at + WINDOW - TimeDelta::microseconds(1), event_type),
        2 => {
            let much_later = at + diary.between(1_900, 9_000);
            tab.event(diary, much_later, event_type);
        }
        _ => {}
    }
}

/// A second tab: of the same session where the browser copied it, else of one of its own.
fn second_tab(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>) {
    let session = if diary.one_in(2) { tab.session.clone() } else { diary.name("tab") };
    let second = Tab { user: tab.user, session, by_header: false };
    let at = at + diary.between(2, 900);
    second.event(diary, at, "dashboard_view_session");
}

fn prices(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>) {
    let mut at = at + diary.between(10, 300);
    tab.event(diary, at, "pricing_tab_session_view");
    if diary.one_in(3) {
        reloads(diary, tab, at, "pricing_tab_session_view");
    }
    for _ in 0..diary.up_to(6) {
        at += diary.between(5, 120);
        run_prices(diary, tab, at);
    }
}

fn run_prices(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>) {
    if diary.one_in(3) {
        tab.named_event(diary, at, "pricing_quote_run");
    } else {
        tab.event(diary, at, "pricing_quote_run");
    }
}

/// An export by hand. Whoever meets the wall looks at it, and perhaps clicks, and tries again.
fn export(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>) {
    let at = at + diary.between(60, 1_200);
    let key = diary.name("export");
    let sending = Sending { key: Some(key), ..tab.sending(diary, "export_success") };
    diary.send_in(tab.header(), at, Call::Action(sending.clone()));
    if diary.one_in(3) {
        let seen = at + diary.between(1, 5);
        tab.event(diary, seen, "paywall_view");
        if diary.one_in(2) {
            let clicked = seen + diary.between(2, 60);
            tab.named_event(diary, clicked, "upgrade_click");
        }
        let again = at + diary.between(10, 2_400);
        if diary.one_in(2) {
            diary.send_in(tab.header(), again, Call::Action(sending));
        } else {
            // The backend tries by itself, and knows of no session.
            diary.send(again, Call::Action(Sending { session: None, ..sending }));
        }
    }
    if diary.one_in(6) {
        // The backend has refused something by itself, and tells; perhaps once more.
        let mut blocked = at;
        for _ in 0..=diary.up_to(1) {
            blocked += diary.between(1, 2_000);
            tab.event(diary, blocked, "export_blocked");
        }
    }
}

/// A tab that sends everything at once when it is closed.
fn beacon(diary: &mut Diary, tab: &Tab, at: DateTime<Utc>) {
    let mut sendings = Vec::new();
    for event_type in ["dashboard_view_session", "pricing_tab_session_view", "paywall_view"] {
        sendings.push(tab.sending(diary, event_type));
    }
    for _ in 0..diary.up_to(5) {
        sendings.push(tab.sending(diary, "pricing_quote_run"));
    }
    sendings.push(tab.sending(diary, "dashboard_view_session"));
    if diary.one_in(4) {
        sendings.push(tab.sending(diary, "page_scrolled"));
    }
    diary.send_in(tab.header(), at, Call::Events(sendings));
}

/// Prices around midnight, and again when the clocks are put back and it is two o'clock again.
pub(super) fn night_audit(diary: &mut Diary, day: NaiveDate) {
    let tab = Tab::open(diary);
    for hour in [0, 1, 2, 23] {
        for _ in 0..=diary.up_to(3) {
            let (minute, second) = (diary.up_to(59), diary.up_to(59));
            let time = NaiveTime::from_hms_opt(hour, minute, second).expect("a time");
            for at in diary.instants(day, time) {
                run_prices(diary, &tab, at);
            }
        }
    }
    if diary.one_in(6) {
        // The stroke of midnight belongs to the new day, and what comes just before it does not.
        if let Some(midnight) = diary.hour(day, 0) {
            run_prices(diary, &tab, midnight - TimeDelta::microseconds(1));
            run_prices(diary, &tab, midnight);
        }
    }
}
