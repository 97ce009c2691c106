//! What a batch takes, whatever is in it. It tells whether batches work, or wait for the network or the disk.

use std::time::Duration;

/// Longer than the processors have to do with it: 0.2 to 0.5 ms were seen with PostgreSQL on the same machine.
const WAITING: Duration = Duration::from_millis(1);
/// What a command adds.
const PER_COMMAND: Duration = Duration::from_micros(13);
/// Beside what more than so many add, the rest says nothing.
const SMALL: u32 = 64;
/// So much more is believed for each batch that took longer: hundreds have to, as some wait for the processors.
const DOUBT: Duration = Duration::from_micros(5);

/// That of the quickest batch of late.
#[derive(Default)]
pub(super) struct Overhead(Duration);

impl Overhead {
    /// So many commands were recorded in so long.
    pub(super) fn learn(&mut self, count: usize, took: Duration) {
        let Some(count) = u32::try_from(count).ok().filter(|&count| count <= SMALL) else { return };
        self.0 = took.saturating_sub(PER_COMMAND * count).min(self.0 + DOUBT);
    }

    /// Whether batches wait more than they work: another would not be in their way.
    pub(super) fn is_waiting(&self) -> bool {
        self.0 > WAITING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: Duration = Duration::from_micros(400);
    const FAR: Duration = Duration::from_micros(2_400);

    /// After so many batches of these.
    #[track_caller]
    fn learned(overhead: &mut Overhead, times: u32, count: usize, took: Duration, expected: bool) {
        for _ in 0..times {
            overhead.learn(count, took);
        }
        assert_eq!(overhead.is_waiting(), expected, "{count} commands in {took:?}");
    }

    #[test]
    fn one_that_was_quick_says_more_than_a_hundred_that_were_not() {
        let mut overhead = Overhead::default();
        learned(&mut overhead, 1, 1, FAR, false);
        learned(&mut overhead, 300, 1, FAR, true);
        learned(&mut overhead, 1, 1, NEAR, false);
        learned(&mut overhead, 100, 1, FAR, false);
        learned(&mut overhead, 100, 1, FAR, true);
    }

    #[test]
    fn what_its_commands_take_is_no_waiting() {
        let mut overhead = Overhead::default();
        let work = PER_COMMAND * 60;
        assert!(work + NEAR > WAITING);
        learned(&mut overhead, 1_000, 60, work + NEAR, false);
        learned(&mut overhead, 1_000, 60, work + FAR, true);
    }

    #[test]
    fn arrays_say_nothing_of_it() {
        let mut overhead = Overhead::default();
        learned(&mut overhead, 1_000, 1_000, 100 * FAR, false);
        learned(&mut overhead, 1_000, 1, FAR, true);
        learned(&mut overhead, 1_000, 1_000, NEAR, true);
    }
}
