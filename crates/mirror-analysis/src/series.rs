//! A series over any number of steps in bounded memory. Its resolution is halved when it would exceed its capacity.

/// A value that can be merged with that of an adjacent bin.
pub trait Absorb {
    /// Adds the values of `other`.
    fn absorb(&mut self, other: &Self);
}

/// Bins of equal width over the positions 0, 1, 2, …. The width is a power of two. It is doubled when there would be
/// more than `capacity` bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<T> {
    capacity: usize,
    width: u64,
    bins: Vec<T>,
}

impl<T: Absorb + Clone + Default> Series<T> {
    /// Creates an empty series of at most `capacity` bins, but at least two.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(2),
            width: 1,
            bins: Vec::new(),
        }
    }

    /// Returns the bin of a position.
    pub fn at(&mut self, position: u64) -> &mut T {
        while position / self.width >= self.capacity as u64 {
            self.bins = merged(&self.bins, 2);
            self.width *= 2;
        }
        let bin = (position / self.width) as usize;
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, T::default());
        }
        self.bins
            .get_mut(bin)
            .expect("the bins were extended to this index")
    }

    /// Returns the number of positions that a bin covers.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Returns whether the series has no values.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Returns the bins, each with the middle of the positions that it covers.
    pub fn bins(&self) -> impl Iterator<Item = (f64, &T)> {
        (0_u64..).map(|bin| middle(bin, self.width)).zip(&self.bins)
    }

    /// Adds the values of `other`, at the coarser resolution of the two.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let width = self.width.max(other.width);
        let mut bins = self.widened(width);
        let others = other.widened(width);
        bins.resize(bins.len().max(others.len()), T::default());
        for (bin, other) in bins.iter_mut().zip(&others) {
            bin.absorb(other);
        }
        (self.width, self.bins) = (width, bins);
    }

    /// Returns the bins merged so that each covers `width` positions, which must be this series' width times a power of
    /// two.
    pub fn widened(&self, width: u64) -> Vec<T> {
        let neighbours = usize::try_from(width / self.width).unwrap_or(usize::MAX);
        merged(&self.bins, neighbours.max(1))
    }
}

/// Returns the middle of the positions that bin number `bin` covers.
pub(crate) fn middle(bin: u64, width: u64) -> f64 {
    bin as f64 * width as f64 + (width - 1) as f64 / 2.0
}

fn merged<T: Absorb + Clone + Default>(bins: &[T], neighbours: usize) -> Vec<T> {
    let merge = |bins: &[T]| {
        bins.iter().fold(T::default(), |mut merged, bin| {
            merged.absorb(bin);
            merged
        })
    };
    bins.chunks(neighbours).map(merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::Mean;

    #[test]
    fn a_long_series_keeps_every_value_in_a_bounded_number_of_bins() {
        let mut series = Series::<Mean>::new(500);
        for position in 0..100_000 {
            series.at(position).push(position as f64);
        }
        let bins: Vec<_> = series.bins().collect();
        assert!((250..=500).contains(&bins.len()), "{} bins", bins.len());
        // Positions 0 … 99,999 rise evenly, so the mean of a full bin is its middle.
        for (middle, bin) in &bins[..bins.len() - 1] {
            assert_eq!(bin.mean(), Some(*middle));
        }
    }

    #[test]
    fn a_series_and_another_are_together_a_series_of_all_values() {
        let [mut one, mut other, mut all] = [(); 3].map(|()| Series::<Mean>::new(16));
        for position in 0..40 {
            let value = position as f64;
            all.at(position).push(value);
            // The first series keeps its fine resolution.
            let part = if position < 10 { &mut one } else { &mut other };
            part.at(position).push(value);
        }
        let mut reversed = other.clone();
        reversed.absorb(&one);
        one.absorb(&other);
        assert_eq!((&one, &reversed), (&all, &all));
    }

    #[test]
    fn the_order_of_positions_does_not_matter() {
        let positions = [0_u64, 1, 7, 1_000, 1_001, 999_999];
        let mut rising = Series::<Mean>::new(16);
        let mut falling = Series::<Mean>::new(16);
        for position in positions {
            rising.at(position).push(1.0);
        }
        for position in positions.into_iter().rev() {
            falling.at(position).push(1.0);
        }
        assert_eq!(rising, falling);
    }

    #[test]
    fn the_largest_position_has_a_bin() {
        let mut series = Series::<Mean>::new(500);
        series.at(3).push(1.0);
        series.at(u64::MAX).push(2.0);
        let means: Vec<_> = series.bins().filter_map(|(_, bin)| bin.mean()).collect();
        assert_eq!(means, [1.0, 2.0]);
    }
}
