//! Seats: granted, refused, given up, and granted again.

use super::diary::{Diary, is_weekend};
use super::request::{Call, Sending};
use super::start;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// In September the first users get their seats, so that October opens with them.
pub(super) fn opening(diary: &mut Diary) {
    for number in 0..3 {
        let at = start() + TimeDelta::minutes(5 + i64::from(number));
        let seat = diary.hotel.user(number).to_string();
        let sending = diary.keyed("seat_added", seat);
        diary.act(at, sending);
    }
}

/// Somebody comes, somebody goes; nobody has looked whether there is a seat to add or to give up.
pub(super) fn comings_and_goings(diary: &mut Diary, day: NaiveDate) {
    if is_weekend(day) {
        return;
    }
    for _ in 0..diary.up_to(3) {
        let Some(at) = diary.working_hour(day) else { continue };
        if diary.one_in(3) {
            give_up(diary, at);
        } else {
            grant(diary, at);
        }
    }
    if diary.one_in(9)
        && let Some(at) = diary.working_hour(day)
    {
        // The backend has refused an invitation by itself, and tells.
        let sending = diary.sending("invite_attempt_blocked");
        diary.send(at, Call::Event(sending));
    }
}

fn grant(diary: &mut Diary, at: DateTime<Utc>) {
    let seat = diary.user().to_string();
    let id = diary.one_in(2).then(|| diary.name("invite"));
    // However the UUID is written, it is the same seat.
    let seat = if diary.one_in(3) { seat.to_uppercase() } else { seat };
    let sending = Sending { id, ..diary.keyed("seat_added", seat) };
    diary.act(at, sending.clone());
    if diary.one_in(2) {
        let again = at + diary.between(1, 3_000);
        diary.act(again, sending);
    }
}

fn give_up(diary: &mut Diary, at: DateTime<Utc>) {
    let seat = diary.user().to_string();
    let sending = diary.keyed("seat_removed", seat);
    diary.act(at, sending);
    if diary.one_in(2) {
        // And the successor takes the chair at once.
        let successor = diary.user().to_string();
        let sending = diary.keyed("seat_added", successor);
        let then = at + diary.between(1, 120);
        diary.act(then, sending);
    }
}
