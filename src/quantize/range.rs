//! From the values of an activation to the range that its integers span.
//!
//! Owns the histogram that calibration fills and the four methods that choose a range: the extremes, a percentile, the least squared
//! error, and the least divergence (Kullback-Leibler). A narrower range has finer steps and cuts off what is outside.

use super::affine::{Bits, Quantization};

/// How the range of an activation is chosen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Method {
    /// From the smallest to the largest value seen.
    MinMax,
    /// The middle that holds this many percent of the values.
    Percentile(f64),
    /// The range whose rounding error is smallest in the mean square.
    Mse,
    /// The range after which the distribution of the values diverges least from what it was.
    Kl,
}

/// Bins on either side of 0. Their width is a power of two that doubles as larger values come, so that histograms of the same values
/// are equal in whatever order those came.
const BINS: usize = 4096;

/// The values that a bin needs in the mean for its share to be known to a tenth.
const FEW: u64 = 100;

/// The values of one activation, counted.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
    /// The width of a bin is 2 to this power.
    exponent: i32,
    /// Bin `BINS + i` counts values in `i * width .. (i + 1) * width`.
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { low: f32::INFINITY, high: f32::NEG_INFINITY, exponent: -200, counts: vec![0; 2 * BINS] }
    }
}

impl Histogram {
    /// Counts finite values.
    pub fn add(&mut self, values: impl Iterator<Item = f32>) {
        for x in values {
            self.low = self.low.min(x);
            self.high = self.high.max(x);
            let mut bin = self.bin(x);
            while bin.is_none() {
                self.widen();
                bin = self.bin(x);
            }
            if let Some(bin) = bin {
                self.counts[bin] += 1;
            }
        }
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, mut other: Histogram) {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        while self.exponent < other.exponent {
            self.widen();
        }
        while other.exponent < self.exponent {
            other.widen();
        }
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn width(&self) -> f64 {
        2f64.powi(self.exponent)
    }

    fn bin(&self, x: f32) -> Option<usize> {
        let bin = (f64::from(x) / self.width()).floor() + BINS as f64;
        (bin >= 0.0 && bin < 2.0 * BINS as f64).then_some(bin as usize)
    }

    /// Joins neighbours, so that twice the range is covered.
    fn widen(&mut self) {
        let mut counts = vec![0; 2 * BINS];
        for (bin, count) in self.counts.iter().enumerate() {
            let from_zero = bin as i64 - BINS as i64;
            counts[(from_zero.div_euclid(2) + BINS as i64) as usize] += count;
        }
        self.counts = counts;
        self.exponent += 1;
    }

    /// The bins that hold values, each as its lower edge and its count.
    fn filled(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let edge = |bin: usize| (bin as f64 - BINS as f64) * self.width();
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(move |(bin, &count)| (edge(bin), count))
    }

    /// The range that a method chooses; it lies within the extremes.
    pub fn range(&self, method: Method, bits: Bits) -> (f64, f64) {
        let extremes = (f64::from(self.low), f64::from(self.high));
        // Sixteen bits have finer steps than the histogram has bins: nothing is gained by cutting off.
        if bits == Bits::Sixteen || self.low >= self.high {
            return extremes;
        }
        let (low, high) = match method {
            Method::MinMax => extremes,
            Method::Percentile(percent) => self.percentile(percent),
            Method::Mse => self.least_error(),
            Method::Kl => self.least_divergence(),
        };
        (low.max(extremes.0), high.min(extremes.1))
    }

    /// The range without `(100 - percent) / 2` percent of the values on either side.
    fn percentile(&self, percent: f64) -> (f64, f64) {
        let cut = self.count() as f64 * (100.0 - percent) / 200.0;
        // Within a bin the values are taken to be spread evenly.
        let edge = |bins: &mut dyn Iterator<Item = (f64, u64)>, upwards: bool| {
            let mut passed = 0.0;
            for (edge, count) in bins {
                let count = count as f64;
                if passed + count > cut {
                    let part = (cut - passed) / count;
                    return edge + self.width() * if upwards { part } else { 1.0 - part };
                }
                passed += count;
            }
            0.0
        };
        let filled: Vec<(f64, u64)> = self.filled().collect();
        (edge(&mut filled.iter().copied(), true), edge(&mut filled.iter().rev().copied(), false))
    }

    /// The range whose rounding error is smallest in the mean square: both ends are drawn in until that does not help.
    fn least_error(&self) -> (f64, f64) {
        const PARTS: usize = 100; // of the way from an extreme to 0: steps of one percent
        let filled: Vec<(f64, u64)> = self.filled().map(|(edge, n)| (edge + self.width() / 2.0, n)).collect();
        let error = |low: f64, high: f64| -> f64 {
            let q = Quantization::of_range(low, high, Bits::Eight);
            let squared =
                |&(x, count): &(f64, u64)| (f64::from(q.rounded(x as f32)) - x).powi(2) * count as f64;
            filled.iter().map(squared).sum()
        };
        let best = |candidates: Vec<(f64, f64)>| {
            let scored = candidates.into_iter().map(|(low, high)| (error(low, high), low, high));
            scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, low, high)| (low, high))
        };
        let parts = |end: f32| (1..=PARTS).map(move |part| f64::from(end) * part as f64 / PARTS as f64);
        let (mut low, mut high) = (f64::from(self.low), f64::from(self.high));
        for _ in 0..2 {
            if self.high > 0.0 {
                (low, high) = best(parts(self.high).map(|high| (low, high)).collect()).unwrap_or((low, high));
            }
            if self.low < 0.0 {
                (low, high) = best(parts(self.low).map(|low| (low, high)).collect()).unwrap_or((low, high));
            }
        }
        (low, high)
    }

    /// The range on both sides of 0 after which the distribution of magnitudes diverges least from what it was (Migacz 2017).
    fn least_divergence(&self) -> (f64, f64) {
        let one_sided = self.low >= 0.0 || self.high <= 0.0;
        let levels = if one_sided { 256 } else { 128 };
        let mut magnitudes: Vec<u64> =
            (0..BINS).map(|i| self.counts[BINS + i] + self.counts[BINS - 1 - i]).collect();
        // Zeros, half of the values behind a ReLU, are exact under every range and would hide the others.
        magnitudes[0] = 0;
        while magnitudes.last() == Some(&0) {
            magnitudes.pop();
        }
        // Sampling noise looks like divergence: bins of too few values are joined.
        let mut joined = 1;
        while magnitudes.len() > 2 * levels && self.count() < FEW * magnitudes.len() as u64 {
            magnitudes = magnitudes.chunks(2).map(|pair| pair.iter().sum()).collect();
            joined *= 2;
        }
        let candidates =
            (levels..=magnitudes.len()).map(|kept| (divergence(&magnitudes, kept, levels), kept));
        let best = candidates.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(magnitudes.len(), |(_, kept)| kept);
        let bound = (best * joined) as f64 * self.width();
        (-bound, bound)
    }
}

/// `sum p * ln(p / q)`, where p are the first `kept` bins with everything beyond them added to the last, and q is p without that,
/// spread evenly over each of `levels` groups of bins.
fn divergence(counts: &[u64], kept: usize, levels: usize) -> f64 {
    let beyond: u64 = counts[kept..].iter().sum();
    let total: u64 = counts.iter().sum();
    let inside: u64 = counts[..kept].iter().sum();
    if inside == 0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for level in 0..levels {
        let (from, to) = (level * kept / levels, (level + 1) * kept / levels);
        let group = &counts[from..to];
        let filled = group.iter().filter(|count| **count > 0).count();
        let mean = group.iter().sum::<u64>() as f64 / filled.max(1) as f64 / inside as f64;
        for (position, &count) in group.iter().enumerate() {
            let cut = if from + position == kept - 1 { beyond } else { 0 };
            let p = (count + cut) as f64 / total as f64;
            if p > 0.0 {
                // A last bin that holds nothing but what was cut off: its level has next to no weight.
                let q = if count > 0 { mean } else { 1e-9 };
                sum += p * (p / q).ln();
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(values.iter().copied());
        histogram
    }

    /// A bell curve of 100 000 values by the inverse of its distribution (Abramowitz and Stegun 26.2.23), and one outlier.
    fn bell(outlier: f32) -> Vec<f32> {
        let half: Vec<f32> = (0..50_000)
            .map(|n| {
                let t = (-2.0 * ((f64::from(n) + 0.5) / 100_000.0).ln()).sqrt();
                let above = 2.515517 + 0.802853 * t + 0.010328 * t * t;
                (t - above / (1.0 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t)) as f32
            })
            .collect();
        half.iter().copied().chain(half.iter().map(|x| -x)).chain([outlier]).collect()
    }

    #[test]
    fn histograms_do_not_depend_on_the_order_of_values() {
        let values = bell(30.0);
        let backwards: Vec<f32> = values.iter().rev().copied().collect();
        let whole = histogram(&values);
        assert_eq!(whole, histogram(&backwards));
        let mut parts = histogram(&values[..100]);
        parts.merge(histogram(&values[100..]));
        assert_eq!((parts.count(), &parts), (values.len() as u64, &whole));
    }

    #[test]
    fn a_percentile_is_where_the_distribution_says() {
        let even: Vec<f32> = (0..=1000).map(|n| n as f32 / 1000.0).collect();
        let (low, high) = histogram(&even).range(Method::Percentile(90.0), Bits::Eight);
        assert!((low - 0.05).abs() < 0.002 && (high - 0.95).abs() < 0.002, "{low} {high}");
        // 1.6449 standard deviations hold nine tenths of a bell curve.
        let (low, high) = histogram(&bell(30.0)).range(Method::Percentile(90.0), Bits::Eight);
        assert!((low + 1.6449).abs() < 0.02 && (high - 1.6449).abs() < 0.02, "{low} {high}");
        assert_eq!(histogram(&even).range(Method::Percentile(100.0), Bits::Eight), (0.0, 1.0));
    }

    #[test]
    fn the_least_error_leaves_an_outlier_out_and_an_even_spread_in() {
        let even: Vec<f32> = (0..10_000).map(|n| n as f32 / 10_000.0).collect();
        let (low, high) = histogram(&even).range(Method::Mse, Bits::Eight);
        assert!(low == 0.0 && high > 0.98, "{low} {high}");
        let (low, high) = histogram(&bell(30.0)).range(Method::Mse, Bits::Eight);
        // The sum of n * (high - low)^2 / (12 * 255^2) and (30 - high)^2 is smallest where high is 26.1.
        assert!(low < -3.0 && low > -4.5 && (high - 26.1).abs() < 0.5, "{low} {high}");
    }

    #[test]
    fn the_least_divergence_leaves_an_outlier_out_and_an_even_spread_in() {
        let even: Vec<f32> = (0..100_000).map(|n| n as f32 / 100_000.0).collect();
        let (low, high) = histogram(&even).range(Method::Kl, Bits::Eight);
        assert!(low == 0.0 && high > 0.95, "{low} {high}");
        let (low, high) = histogram(&bell(30.0)).range(Method::Kl, Bits::Eight);
        assert!(low < -2.0 && high < 8.0 && high > 2.0, "{low} {high}");
    }

    #[test]
    fn sixteen_bits_and_the_extremes_cut_nothing_off() {
        let histogram = histogram(&bell(30.0));
        let extremes = (f64::from(histogram.low), f64::from(histogram.high));
        assert_eq!(histogram.range(Method::MinMax, Bits::Eight), extremes);
        for method in [Method::Percentile(90.0), Method::Mse, Method::Kl] {
            assert_eq!(histogram.range(method, Bits::Sixteen), extremes);
        }
    }

    #[test]
    fn one_value_alone_is_its_own_range() {
        for method in [Method::MinMax, Method::Percentile(99.9), Method::Mse, Method::Kl] {
            assert_eq!(histogram(&[2.5, 2.5]).range(method, Bits::Eight), (2.5, 2.5));
        }
    }
}
