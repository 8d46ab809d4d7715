//! Repeated measurements of one thing.

use std::time::Duration;

/// Values of one measurement, in the order of their size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|known| *known < value);
        self.0.insert(at, value);
    }

    /// The value below which so many percent are.
    ///
    /// # Panics
    /// When nothing was measured.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// Between which eight in ten are; of few, all.
    pub(crate) fn spread(&self) -> [f64; 2] {
        [self.percentile(10), self.percentile(90)]
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Samples {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Samples(sorted)
    }
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn rate(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut samples: Samples = [3.0, 1.0].into_iter().collect();
        samples.add(2.0);
        assert_eq!((samples.median(), samples.spread()), (2.0, [1.0, 3.0]));
        let hundred: Samples = (0..100).map(f64::from).collect();
        assert_eq!((hundred.percentile(99), hundred.median()), (99.0, 50.0));
    }
}
