//! What a chunk adds to a run's figures.

use plg_core::ids::HotelId;
use plg_core::reconcile::Verdict;
use plg_store::rollup::Reading;
use plg_store::rollup::runs::Figures;

/// The figures of what was looked at. Hotels come in order, so that one is new when it is not the
/// last one, which the caller keeps from chunk to chunk.
pub(crate) fn looked_at(
    verdicts: &[(Reading, Verdict)],
    last_hotel: &mut Option<HotelId>,
) -> Figures {
    let mut figures = Figures::default();
    for (reading, _) in verdicts {
        let hotel = Some(reading.key.hotel_id);
        figures.hotels += i64::from(hotel != *last_hotel);
        figures.hotel_months += 1;
        figures.events += reading.facts.all.unwrap_or(reading.facts.new).events;
        *last_hotel = hotel;
    }
    figures
}

/// Adds what the verdicts say.
pub(crate) fn with_findings(mut figures: Figures, verdicts: &[&(Reading, Verdict)]) -> Figures {
    for (_, verdict) in verdicts {
        figures.drifted += i64::from(!verdict.corrections.is_empty());
        figures.missing += verdict.missing.max(0);
    }
    figures
}

/// Adds a chunk to a run.
pub(crate) fn add(sum: &mut Figures, more: &Figures) {
    let Figures { hotels, hotel_months, events, drifted, corrected, missing } = *more;
    sum.hotels += hotels;
    sum.hotel_months += hotel_months;
    sum.events += events;
    sum.drifted += drifted;
    sum.corrected += corrected;
    sum.missing += missing;
}

/// A number of things in memory, as a figure.
pub(crate) fn from(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
