//! Leaving numbers out of a count, so that what remains has no holes of our making.

/// Maps the numbers of a source onto a count of our own.
///
/// Holes of the source stay holes (the number may still come late, and then has its place); numbers
/// that were left out close up. A number's place never changes once it, or a later one, was mapped.
/// Remembers the last `64 * WORDS` numbers; older ones have no place any more.
#[derive(Clone, Debug)]
pub(super) struct Compaction<const WORDS: usize> {
    /// Nothing before this number has a place.
    first: u64,
    /// The highest number seen.
    highest: u64,
    /// Added to `highest`, wrapping, gives its place.
    shift: u64,
    /// Bit `number % WINDOW`: the number was left out. Valid for the last `WINDOW` numbers.
    left_out: [u64; WORDS],
}

impl<const WORDS: usize> Compaction<WORDS> {
    /// How many numbers are remembered.
    const WINDOW: u64 = 64 * WORDS as u64;

    /// Starts with `number`, whose place is `place`.
    pub(super) const fn new(number: u64, place: u64) -> Self {
        Self {
            first: number,
            highest: number,
            shift: place.wrapping_sub(number),
            left_out: [0; WORDS],
        }
    }

    /// The highest number seen.
    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// The place `number` has or would be given; `None`: it has none and never will.
    pub(super) fn peek(&self, number: u64) -> Option<u64> {
        let ahead = self.ahead(number);
        if ahead > 0 {
            return Some(number.wrapping_add(self.shift_at(number, ahead.unsigned_abs())));
        }
        let behind = ahead.unsigned_abs();
        let before_first = number.wrapping_sub(self.first).cast_signed() < 0;
        if behind >= Self::WINDOW || before_first || self.is_left_out(number) {
            return None;
        }
        let closed_up = self.count_left_out(number.wrapping_add(1), behind);
        Some(number.wrapping_add(self.shift).wrapping_add(closed_up))
    }

    /// Gives `number` its place; `None`: it was left out, or is too old.
    pub(super) fn keep(&mut self, number: u64) -> Option<u64> {
        let place = self.peek(number)?;
        self.advance_to(number);
        Some(place)
    }

    /// Leaves `number` out. `Some`: too late for that, this place is already promised to it.
    pub(super) fn leave_out(&mut self, number: u64) -> Option<u64> {
        if self.ahead(number) <= 0 {
            return self.peek(number);
        }
        self.advance_to(number);
        if let Some(word) = self.left_out.get_mut(Self::word_index(number)) {
            *word |= 1 << (number % 64);
        }
        self.shift = self.shift.wrapping_sub(1);
        None
    }

    /// How far `number` is beyond the highest one; negative for late ones.
    const fn ahead(&self, number: u64) -> i64 {
        number.wrapping_sub(self.highest).cast_signed()
    }

    /// A leap past the whole window is a source that started anew: it becomes a hole of one, so that
    /// receivers notice a loss but do not ask for thousands of packets.
    const fn shift_at(&self, number: u64, ahead: u64) -> u64 {
        if ahead < Self::WINDOW {
            return self.shift;
        }
        let place = self.highest.wrapping_add(self.shift).wrapping_add(2);
        place.wrapping_sub(number)
    }

    fn advance_to(&mut self, number: u64) {
        let ahead = self.ahead(number);
        if ahead <= 0 {
            return;
        }
        let ahead = ahead.unsigned_abs();
        if ahead < Self::WINDOW {
            let mut from = self.highest.wrapping_add(1);
            let mut left = ahead;
            while left > 0 {
                let (mask, taken) = Self::run(from, left);
                if let Some(word) = self.left_out.get_mut(Self::word_index(from)) {
                    *word &= !mask;
                }
                from = from.wrapping_add(taken);
                left -= taken;
            }
        } else {
            self.shift = self.shift_at(number, ahead);
            self.left_out = [0; WORDS];
            self.first = number;
        }
        self.highest = number;
    }

    fn is_left_out(&self, number: u64) -> bool {
        self.left_out
            .get(Self::word_index(number))
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many of the `count` numbers from `from` on were left out.
    fn count_left_out(&self, mut from: u64, mut count: u64) -> u64 {
        let mut total = 0;
        while count > 0 {
            let (mask, taken) = Self::run(from, count);
            let word = self.left_out.get(Self::word_index(from)).copied().unwrap_or(0);
            total += u64::from((word & mask).count_ones());
            from = from.wrapping_add(taken);
            count -= taken;
        }
        total
    }

    /// The bits of the numbers from `from` on that share a word, at most `count`; and how many.
    fn run(from: u64, count: u64) -> (u64, u64) {
        let bit = from % 64;
        let taken = count.min(64 - bit);
        (u64::MAX >> (64 - taken) << bit, taken)
    }

    fn word_index(number: u64) -> usize {
        usize::try_from(number / 64 % WORDS as u64).unwrap_or(0)
    }
}
