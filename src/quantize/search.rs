//! Which layers compute how exactly.
//!
//! Owns the score of a quantized network against the float one, and the search that raises the layers that lose most until the score
//! holds: first to activations of 16 bits, then to float.

use std::collections::BTreeMap;

use nablac_index::Array;

use super::calibrate::calibrate;
use super::network::Network;
use super::plan::{Layers, Precision};
use super::range::{Histogram, Method};
use super::simulate::{Alone, Quantized, Together};
use crate::failure::{Code, Failure, Result};
use crate::samples::Sample;

/// What a network is judged on.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The samples.
    pub samples: Vec<Sample>,
    /// The class of each sample.
    pub labels: Option<Vec<i64>>,
}

/// How often the largest element of the first output is where it should be, in percent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score {
    /// Where the float network has it.
    pub agreement: f64,
    /// Where the labels say, for the float network and for the quantized one.
    pub accuracy: Option<(f64, f64)>,
}

impl Score {
    /// The score of two runs; none if the first output is a single number.
    pub fn of(together: &Together, labels: Option<&[i64]>) -> Option<Score> {
        let top =
            |runs: &[Vec<Array>]| runs.iter().map(|run| largest(run.first()?)).collect::<Option<Vec<i64>>>();
        let (float, quantized) = (top(&together.float)?, top(&together.quantized)?);
        let percent = |a: &[i64], b: &[i64]| {
            100.0 * a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
        };
        let accuracy = labels.map(|labels| (percent(&float, labels), percent(&quantized, labels)));
        Some(Score { agreement: percent(&float, &quantized), accuracy })
    }

    /// What the quantized network loses, in points.
    pub fn drop(&self) -> f64 {
        match self.accuracy {
            Some((before, after)) => before - after,
            None => 100.0 - self.agreement,
        }
    }
}

/// The position of the largest element, the first of equals; none among fewer than two.
fn largest(array: &Array) -> Option<i64> {
    let values = array.to_f64();
    let best = values.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (at, &x)| match best {
        Some((_, y)) if x <= y => best,
        _ => Some((at, x)),
    });
    best.filter(|_| values.len() > 1).map(|(at, _)| at as i64)
}

/// A network that can be quantized in several ways.
#[derive(Debug)]
pub struct Candidate {
    /// The float network.
    pub network: Network,
    /// Its layers.
    pub layers: Layers,
    /// What its values were.
    pub seen: BTreeMap<String, Histogram>,
    /// Whether its weights were equalized.
    pub equalized: bool,
}

/// How scales and biases are found.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How ranges are chosen.
    pub method: Method,
    /// Whether biases take up the mean error.
    pub correct_bias: bool,
}

impl Candidate {
    /// A network, divided and calibrated.
    pub fn new(network: Network, equalized: bool, samples: &[Sample]) -> Result<Candidate> {
        let layers = Layers::new(&network);
        if layers.layers.is_empty() {
            let message = "the model has no operator that is computed with integers";
            return Err(Failure::new(Code::Quantization, message));
        }
        let seen = calibrate(&network, &layers.values(), samples)?;
        Ok(Candidate { network, layers, seen, equalized })
    }

    /// The network with layers of these precisions, its biases as they are.
    pub fn uncorrected(&self, precisions: &[Precision], method: Method) -> Result<Quantized<'_>> {
        let plan = self.layers.plan(&self.network, precisions, &self.seen, method);
        Quantized::new(&self.network, &self.layers, plan, &BTreeMap::new())
    }

    /// The network with layers of these precisions, and what each layer loses by itself before its bias is corrected.
    pub fn quantized(
        &self,
        precisions: &[Precision],
        manner: Manner,
        samples: &[Sample],
    ) -> Result<(Quantized<'_>, Alone)> {
        let quantized = self.uncorrected(precisions, manner.method)?;
        let alone = quantized.alone(samples)?;
        if !manner.correct_bias {
            return Ok((quantized, alone));
        }
        let plan = quantized.plan.clone();
        Ok((Quantized::new(&self.network, &self.layers, plan, &alone.errors)?, alone))
    }
}

/// A search over precisions.
pub struct Search<'a> {
    /// What is quantized.
    pub candidate: &'a Candidate,
    /// How.
    pub manner: Manner,
    /// What ranges and biases are found on.
    pub calibration: &'a [Sample],
    /// What the drop is measured on.
    pub evaluation: &'a Evaluation,
    /// The points that may be lost.
    pub max_drop: f64,
}

impl Search<'_> {
    /// The precisions with the fewest layers raised that lose no more than allowed. `said` hears of each trial.
    pub fn run(&self, said: &mut dyn FnMut(&[Precision])) -> Result<Vec<Precision>> {
        let count = self.candidate.layers.layers.len();
        let start = vec![Precision::W8A8; count];
        said(&start);
        let (quantized, alone) = self.candidate.quantized(&start, self.manner, self.calibration)?;
        if self.holds(&quantized)? {
            return Ok(start);
        }
        let mut worst_first: Vec<usize> = (0..count).collect();
        worst_first.sort_by(|&a, &b| alone.ratios[a].decibels().total_cmp(&alone.ratios[b].decibels()));
        let mut precisions = start;
        for target in [Precision::W8A16, Precision::Float] {
            let raised = |layers: usize| {
                let mut raised = precisions.clone();
                worst_first[..layers].iter().for_each(|&layer| raised[layer] = target);
                raised
            };
            if let Some(layers) = self.fewest(count, &raised, said)? {
                return Ok(raised(layers));
            }
            precisions = raised(count);
        }
        Ok(precisions)
    }

    /// The fewest layers to raise: doubled until it holds, then halved between what holds and what does not.
    fn fewest(
        &self,
        count: usize,
        raised: &dyn Fn(usize) -> Vec<Precision>,
        said: &mut dyn FnMut(&[Precision]),
    ) -> Result<Option<usize>> {
        let mut try_with = |layers: usize| {
            let precisions = raised(layers);
            said(&precisions);
            let (quantized, _) = self.candidate.quantized(&precisions, self.manner, self.calibration)?;
            self.holds(&quantized)
        };
        let (mut fails, mut holds) = (0, 1.min(count));
        while !try_with(holds)? {
            if holds == count {
                return Ok(None);
            }
            (fails, holds) = (holds, (holds * 2).min(count));
        }
        while holds - fails > 1 {
            let middle = (holds + fails) / 2;
            if try_with(middle)? { holds = middle } else { fails = middle }
        }
        Ok(Some(holds))
    }

    fn holds(&self, quantized: &Quantized) -> Result<bool> {
        let together = quantized.together(&self.evaluation.samples)?;
        let score = Score::of(&together, self.evaluation.labels.as_deref());
        Ok(score.is_none_or(|score| score.drop() <= self.max_drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(tops: &[usize]) -> Vec<Vec<Array>> {
        let run = |&top: &usize| {
            let mut values = [0.25f32; 3];
            values[top] = 0.5;
            vec![Array::from_f32(&[1, 3], &values)]
        };
        tops.iter().map(run).collect()
    }

    #[test]
    fn the_score_counts_where_the_largest_element_is() {
        let together =
            Together { float: runs(&[0, 1, 2, 2]), quantized: runs(&[0, 1, 2, 1]), ..Together::default() };
        let score = Score::of(&together, None).unwrap();
        assert_eq!((score.agreement, score.drop()), (75.0, 25.0));
        let score = Score::of(&together, Some(&[0, 0, 2, 2])).unwrap();
        assert_eq!((score.accuracy, score.drop()), (Some((75.0, 50.0)), 25.0));
        let alone = vec![vec![Array::from_f32(&[1], &[0.5])]];
        let together = Together { float: alone.clone(), quantized: alone, ..Together::default() };
        assert_eq!(Score::of(&together, None), None);
    }
}
