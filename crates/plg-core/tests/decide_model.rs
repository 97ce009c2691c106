//! `decide::Batch` against a naive model that knows neither gates nor batches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod input;
mod model;
mod store;

use chrono::{DateTime, Utc};
use input::{HOTELS, Round, Scenario, hotel_id, scenario};
use model::catalogue::Meter;
use model::{Model, Said, Terms, Told, Used};
use plg_core::catalogue::{DedupRule, EventType};
use plg_core::decide::{Answer, Batch, NotLocked, Outcome, QuotaStatus};
use plg_core::event::{Command, NewEvent};
use plg_core::ids::HotelId;
use plg_core::quota::Quota;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{TestCaseError, TestCaseResult, TestRunner};
use std::collections::HashMap;
use store::{Store, counter, limit};

const CASES: u32 = 256;

fn config() -> ProptestConfig {
    // A failing input is printed; files beside the sources would only be left behind.
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn batches_do_what_the_model_does(scenario in scenario()) {
        play(&scenario, |play, round| play.compare(round))?;
    }

    #[test]
    fn a_batch_is_its_commands_one_by_one(scenario in scenario()) {
        let mut apart = Store::default();
        play(&scenario, |play, round| play.split(&mut apart, round))?;
    }

    #[test]
    fn what_is_supposed_new_and_is_new_is_decided_the_same(scenario in scenario()) {
        play(&scenario, |play, round| {
            play.suppose(round)?;
            play.compare(round)
        })?;
    }
}

/// The rounds of a scenario, as they go by.
struct Play {
    now: DateTime<Utc>,
    terms: [Terms; HOTELS],
    store: Store,
    model: Model,
}

fn play(
    scenario: &Scenario,
    mut each: impl FnMut(&mut Play, &Round) -> TestCaseResult,
) -> TestCaseResult {
    let Scenario { start, terms, .. } = *scenario;
    let mut play = Play { now: start, terms, store: Store::default(), model: Model::default() };
    for round in &scenario.rounds {
        play.now += round.step;
        round.change(&mut play.terms);
        each(&mut play, round)?;
    }
    Ok(())
}

fn commands(events: &[NewEvent]) -> Vec<Command> {
    events.iter().map(|event| event.clone().try_into().unwrap()).collect()
}

impl Play {
    fn terms_of(&self) -> impl Fn(HotelId) -> Terms + use<> {
        let terms = self.terms;
        move |id| terms[(0..HOTELS).position(|index| hotel_id(index) == id).unwrap()]
    }

    fn compare(&mut self, round: &Round) -> TestCaseResult {
        let decision = self.store.run(self.now, self.terms_of(), &commands(&round.commands))?;
        let before = self.model.len();
        let terms_of = self.terms_of();
        for (sent, answer) in round.commands.iter().zip(&decision.answers) {
            let told = self.model.send(self.now, &terms_of(sent.hotel_id), sent);
            compare_answer(answer, &told, sent)?;
        }
        let events: Vec<_> = decision.events.iter().map(AsRef::as_ref).collect();
        prop_assert_eq!(events, self.model.since(before).collect::<Vec<_>>());
        prop_assert_eq!(self.store.seats(), self.model.held());
        for hotel in self.store.hotels() {
            prop_assert_eq!(Some(hotel.month), self.model.month(hotel.hotel_id));
            for meter in [Meter::Imports, Meter::Exports, Meter::Seats] {
                let used = self.model.used(hotel.hotel_id, meter, hotel.month);
                prop_assert_eq!(hotel.counters[counter(meter)], used, "{:?}", meter);
            }
        }
        Ok(())
    }

    /// Those of a round that only ask for gates that close for ever, apart from it: how often they could be supposed
    /// new, and were.
    fn suppose(&self, round: &Round) -> Result<(usize, usize), TestCaseError> {
        let mut apart = self.store.clone();
        let (supposed, held) = (apart.supposed, apart.held);
        for part in commands(&round.commands).chunks(4) {
            let rule = |command: &Command| command.event().event_type.entry().dedup;
            let is_once = |rule| matches!(rule, DedupRule::OncePerKey | DedupRule::Each);
            let once_only: Vec<_> = part.iter().filter(|c| is_once(rule(c))).cloned().collect();
            apart.run(self.now, self.terms_of(), &once_only)?;
        }
        Ok((apart.supposed - supposed, apart.held - held))
    }

    fn split(&mut self, apart: &mut Store, round: &Round) -> TestCaseResult {
        let commands = commands(&round.commands);
        let together = self.store.run(self.now, self.terms_of(), &commands)?;
        let mut answers = Vec::new();
        for command in &commands {
            let alone = std::slice::from_ref(command);
            answers.extend(apart.run(self.now, self.terms_of(), alone)?.answers);
        }
        prop_assert_eq!(together.answers, answers);
        prop_assert!(self.store.is_as(apart), "what was written differs");
        Ok(())
    }
}

fn compare_answer(answer: &Answer, told: &Told, sent: &NewEvent) -> TestCaseResult {
    let outcome = match told.said {
        Said::Recorded => Outcome::Recorded,
        Said::Duplicate => Outcome::Duplicate,
        Said::SeenInSession => Outcome::SuppressedSession,
        Said::DayIsFull => Outcome::SuppressedDailyCap,
        Said::QuotaIsFull => Outcome::QuotaExceeded,
    };
    prop_assert_eq!(answer.outcome, outcome, "{:?}", sent);
    prop_assert_eq!(answer.event.as_deref(), told.event.as_ref(), "{:?}", sent);
    let quota = told.used.map(|Used { meter, used, cap, resets_at }| QuotaStatus {
        counter: counter(meter),
        quota: Quota::new(used, limit(cap)),
        resets_at,
    });
    prop_assert_eq!(answer.quota, quota, "{:?}", sent);
    Ok(())
}

#[test]
fn a_hotel_that_is_not_locked_is_refused() {
    let mut runner = TestRunner::deterministic();
    let scenario = scenario().new_tree(&mut runner).unwrap().current();
    let commands = commands(&scenario.rounds[0].commands);
    let refused = Batch::new(scenario.start, Vec::new(), &commands);
    assert_eq!(refused.map(drop), Err(NotLocked(commands[0].hotel_id())));
}

/// What the random input reaches, so that the properties above are about something.
#[derive(Debug, Default)]
struct Reached {
    outcomes: HashMap<Outcome, usize>,
    /// Blocked events that were logged, and refusals that had been logged before.
    blocked: usize,
    refused_again: usize,
    /// Seats given up and granted again in one batch.
    regranted: usize,
    months_opened: usize,
    given_back: usize,
    /// Batches that were new as it was supposed, and those that were not.
    held: usize,
    not_held: usize,
    /// Batches that had to be looked up.
    looked_up: usize,
}

impl Reached {
    fn round(&mut self, play: &mut Play, round: &Round) -> TestCaseResult {
        let months = |store: &Store| -> HashMap<_, _> {
            store.hotels().map(|hotel| (hotel.hotel_id, hotel.month)).collect()
        };
        let (months_before, seats_before) = (months(&play.store), play.store.seats());
        let (supposed, held) = play.suppose(round)?;
        self.held += held;
        self.not_held += supposed - held;
        let looked_up = play.store.looked_up;
        let decision = play.store.run(play.now, play.terms_of(), &commands(&round.commands))?;
        self.looked_up += play.store.looked_up - looked_up;
        let later = |(id, month)| months_before.get(id).is_some_and(|before| before < month);
        self.months_opened += months(&play.store).iter().filter(|entry| later(*entry)).count();
        self.given_back += decision.given_back.len();
        let regranted = decision.seats_added.iter().filter(|seat| {
            let key = (seat.hotel_id, seat.seat_user_id);
            seats_before.iter().any(|(hotel, user, ..)| (*hotel, *user) == key)
        });
        self.regranted += regranted.count();
        for (answer, sent) in decision.answers.iter().zip(&round.commands) {
            *self.outcomes.entry(answer.outcome).or_default() += 1;
            let logs = sent.event_type != EventType::ImportSuccess;
            self.refused_again += usize::from(answer.outcome == Outcome::QuotaExceeded && logs);
        }
        let answered = decision.answers.iter().filter(|answer| answer.event.is_some()).count();
        let blocked = decision.events.len() - answered;
        self.blocked += blocked;
        self.refused_again -= blocked;
        Ok(())
    }
}

#[test]
fn the_input_reaches_every_corner() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for _ in 0..64 {
        let scenario = scenario().new_tree(&mut runner).unwrap().current();
        play(&scenario, |play, round| reached.round(play, round)).unwrap();
    }
    let Reached { blocked, refused_again, regranted, months_opened, given_back, .. } = reached;
    let Reached { held, not_held, looked_up, .. } = reached;
    let corners =
        [blocked, refused_again, regranted, months_opened, given_back, held, not_held, looked_up];
    assert_eq!(reached.outcomes.len(), 5, "{reached:?}");
    assert!(corners.iter().chain(reached.outcomes.values()).all(|n| *n >= 10), "{reached:?}");
}
