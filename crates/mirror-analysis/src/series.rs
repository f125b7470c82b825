//! A series over steps of any number in memory that is bounded: when it would grow too long it grows coarser.

/// What two neighbouring bins can become one by.
pub trait Absorb {
    /// Takes in what `other` has gathered.
    fn absorb(&mut self, other: &Self);
}

/// Bins of equal width over positions 0, 1, 2, …; the width is a power of two and doubles when the bins would be more
/// than `capacity`.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<T> {
    capacity: usize,
    width: u64,
    bins: Vec<T>,
}

impl<T: Absorb + Clone + Default> Series<T> {
    /// An empty series of at most `capacity` bins, at least two.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(2),
            width: 1,
            bins: Vec::new(),
        }
    }

    /// The bin of a position.
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
            .expect("the bins have just been made long enough")
    }

    /// Positions a bin covers.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Whether nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The bins, each with the middle of the positions that it covers.
    pub fn bins(&self) -> impl Iterator<Item = (f64, &T)> {
        (0_u64..).map(|bin| middle(bin, self.width)).zip(&self.bins)
    }

    /// The bins when each covers `width` positions, a multiple of this series' width by a power of two.
    pub fn widened(&self, width: u64) -> Vec<T> {
        let neighbours = usize::try_from(width / self.width).unwrap_or(usize::MAX);
        merged(&self.bins, neighbours.max(1))
    }
}

/// The middle of what bin number `bin` covers.
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
    fn a_long_series_keeps_every_value_in_bins_that_are_few() {
        let mut series = Series::<Mean>::new(500);
        for position in 0..100_000 {
            series.at(position).push(position as f64);
        }
        let bins: Vec<_> = series.bins().collect();
        assert!((250..=500).contains(&bins.len()), "{} bins", bins.len());
        // Positions 0 … 99,999 rise evenly: the mean of a full bin is its middle.
        for (middle, bin) in &bins[..bins.len() - 1] {
            assert_eq!(bin.mean(), Some(*middle));
        }
    }

    #[test]
    fn the_order_of_positions_changes_nothing() {
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
    fn the_last_position_there_is_has_its_bin() {
        let mut series = Series::<Mean>::new(500);
        series.at(3).push(1.0);
        series.at(u64::MAX).push(2.0);
        let means: Vec<_> = series.bins().filter_map(|(_, bin)| bin.mean()).collect();
        assert_eq!(means, [1.0, 2.0]);
    }
}
