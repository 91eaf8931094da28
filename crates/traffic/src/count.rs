//! What was sent, what arrived, and what arrived more than once.

use std::collections::BTreeSet;
use std::ops::Add;

/// Packets or messages of one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) sent: u32,
    /// How many of those arrived, each counted once.
    pub(crate) arrived: u32,
    /// Further copies of what had arrived.
    pub(crate) copies: u32,
}

impl Count {
    pub(crate) fn lost(self) -> u32 {
        self.sent.saturating_sub(self.arrived)
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            arrived: self.arrived + other.arrived,
            copies: self.copies + other.copies,
        }
    }
}

/// Keeps count of numbered packets as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    numbers: BTreeSet<u32>,
    copies: u32,
}

impl Arrivals {
    pub(crate) fn saw(&mut self, number: u32) {
        if !self.numbers.insert(number) {
            self.copies += 1;
        }
    }

    /// How many different ones there were.
    pub(crate) fn different(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn of(&self, sent: u32) -> Count {
        Count { sent, arrived: self.different(), copies: self.copies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_makes_up_for_no_loss() {
        let mut arrivals = Arrivals::default();
        for number in [0, 1, 1, 4, 1] {
            arrivals.saw(number);
        }
        let count = arrivals.of(5);
        assert_eq!(count, Count { sent: 5, arrived: 3, copies: 2 });
        assert_eq!(count.lost(), 2);
        let both = count + Count { sent: 5, arrived: 5, copies: 0 };
        assert_eq!(both, Count { sent: 10, arrived: 8, copies: 2 });
    }
}
