//! AdamW over a table that gets its gradient in rows: the steps of all other rows wait until a row is needed.
//!
//! The bytes are those of the dense update. A row is caught up by the very operations that the dense update would
//! have done with gradients of zero, one step after the other, each with its own constants.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::adamw::{Factors, element, primitive, update};
use crate::simd::vectorised;
use crate::{AdamW, RowGradient};

/// Elements whose waiting steps are done in registers.
const LANES: usize = 32;

/// Rows of a table.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// Every row.
    All,
    /// These, in any order, as often as they come.
    Of(&'a [u32]),
}

/// The moments of a table, and the steps that some of its rows have not had yet.
///
/// Who reads a row of the table calls [`RowAdamW::catch_up`] for it first.
#[derive(Debug)]
pub struct RowAdamW {
    first: FlexTensor,
    second: FlexTensor,
    width: usize,
    /// The steps since all rows were last caught up: 32 bytes each.
    steps: Vec<Factors>,
    /// How many of the steps each row has had.
    had: Vec<usize>,
    /// Whether a row with moments of +0 has nothing but its decay from each of the steps.
    only_decay: bool,
}

/// What a step changes of one row.
struct Row<'a> {
    parameters: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    had: &'a mut usize,
}

impl RowAdamW {
    /// Goes on from the flat first and second moments of a table with rows of `width`, all of them caught up.
    pub fn new(moments: [Tensor<1>; 2], width: usize) -> Self {
        let rows = moments[0].dims()[0] / width;
        let [first, second] = moments.map(primitive);
        Self { first, second, width, steps: Vec::new(), had: vec![0; rows], only_decay: true }
    }

    /// One step, now for the rows of `gradient` and later for the others; in place if nobody else holds the table.
    #[must_use]
    pub fn update<const D: usize>(
        &mut self,
        table: Tensor<D>,
        gradient: &RowGradient,
        step: &AdamW,
    ) -> Tensor<D> {
        let mut table = primitive(self.catch_up(table, Rows::Of(&gradient.ids)));
        let factors = Factors::new(step);
        self.steps.push(factors);
        self.only_decay &= factors.only_decay();
        let (steps, width) = (self.steps.len(), self.width);
        let rows = self.rows(&mut table, &gradient.ids);
        rows.into_par_iter().zip(gradient.values.par_chunks(width)).for_each(|(row, gradient)| {
            update(row.parameters, gradient, row.first, row.second, factors);
            *row.had = steps;
        });
        Tensor::from_primitive::<Flex>(table)
    }

    /// Gives these rows the steps that wait for them; in place if nobody else holds the table.
    #[must_use]
    pub fn catch_up<const D: usize>(&mut self, table: Tensor<D>, rows: Rows<'_>) -> Tensor<D> {
        let ids = self.behind(rows);
        let mut table = table.inner();
        if !ids.is_empty() {
            table = self.replay(table, &ids);
        }
        if matches!(rows, Rows::All) {
            self.steps.clear();
            self.had.fill(0);
            self.only_decay = true;
        }
        table
    }

    fn replay<const D: usize>(&mut self, table: Tensor<D>, ids: &[u32]) -> Tensor<D> {
        let mut table = primitive(table);
        let (steps, only_decay) = (std::mem::take(&mut self.steps), self.only_decay);
        self.rows(&mut table, ids).into_par_iter().for_each(|row| {
            let waiting = &steps[*row.had..];
            if only_decay && all_zero(row.first) && all_zero(row.second) {
                decay(row.parameters, waiting);
            } else {
                replay(row.parameters, row.first, row.second, waiting);
            }
            *row.had = steps.len();
        });
        self.steps = steps;
        Tensor::from_primitive::<Flex>(table)
    }

    /// First and second moments, flat. Every row must be caught up.
    pub fn moments(&self) -> [Tensor<1>; 2] {
        assert!(self.behind(Rows::All).is_empty(), "this is a bug: moments of rows that are behind");
        [&self.first, &self.second].map(|x| Tensor::from_primitive::<Flex>(x.clone()))
    }

    /// Those of the rows that steps wait for, in ascending order, each once.
    fn behind(&self, rows: Rows<'_>) -> Vec<u32> {
        let behind = |id: &u32| self.had[*id as usize] < self.steps.len();
        match rows {
            Rows::All => (0..self.had.len() as u32).filter(behind).collect(),
            Rows::Of(ids) => {
                let mut ids: Vec<u32> = ids.iter().copied().filter(behind).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            }
        }
    }

    /// What belongs to each of the rows, whose ids ascend.
    fn rows<'a>(&'a mut self, table: &'a mut FlexTensor, ids: &[u32]) -> Vec<Row<'a>> {
        let parameters = pick(table.storage_mut(), self.width, ids);
        let first = pick(self.first.storage_mut(), self.width, ids);
        let second = pick(self.second.storage_mut(), self.width, ids);
        let had = pick(&mut self.had, 1, ids);
        let rows = parameters.zip(first).zip(second).zip(had);
        rows.map(|(((parameters, first), second), had)| Row { parameters, first, second, had: &mut had[0] })
            .collect()
    }
}

/// The rows with these ascending ids.
fn pick<'a, T>(table: &'a mut [T], width: usize, ids: &[u32]) -> impl Iterator<Item = &'a mut [T]> {
    let (mut rest, mut next) = (table, 0);
    ids.iter().map(move |&id| {
        let (_, from) = std::mem::take(&mut rest).split_at_mut((id as usize - next) * width);
        let (row, behind) = from.split_at_mut(width);
        (rest, next) = (behind, id as usize + 1);
        row
    })
}

impl Factors {
    /// Whether a step without a gradient leaves moments of +0 as they are and of the parameter `p * decay`.
    ///
    /// What the step subtracts from `p * decay` does not depend on p, and -0 minus it is -0 only if it is +0; minus
    /// +0, every `p * decay` is itself.
    fn only_decay(self) -> bool {
        let [mut p, mut m, mut v] = [[-0.0], [0.0], [0.0]];
        update(&mut p, &[0.0], &mut m, &mut v, self);
        [p, m, v].map(|[x]| x.to_bits()) == [-0.0f32, 0.0, 0.0].map(f32::to_bits)
    }
}

vectorised! {
    /// Whether every element is +0.
    fn all_zero(x: &[f32]) -> bool {
        x.iter().fold(0, |bits, x| bits | x.to_bits()) == 0
    }
}

vectorised! {
    /// Steps without a gradient on a row whose moments are +0; see [`Factors::only_decay`].
    fn decay(parameters: &mut [f32], steps: &[Factors]) {
        for block in parameters.chunks_mut(LANES) {
            let mut p = load(block);
            for step in steps {
                for p in &mut p {
                    *p *= step.decay;
                }
            }
            block.copy_from_slice(&p[..block.len()]);
        }
    }
}

vectorised! {
    /// Steps without a gradient, a block at a time.
    fn replay(parameters: &mut [f32], first: &mut [f32], second: &mut [f32], steps: &[Factors]) {
        let moments = first.chunks_mut(LANES).zip(second.chunks_mut(LANES));
        for (parameters, (first, second)) in parameters.chunks_mut(LANES).zip(moments) {
            let [mut p, mut m, mut v] = [&*parameters, first, second].map(load);
            for step in steps {
                for l in 0..LANES {
                    element::<FMA>(&mut p[l], 0.0, &mut m[l], &mut v[l], step);
                }
            }
            for (to, from) in [(parameters, p), (first, m), (second, v)] {
                to.copy_from_slice(&from[..to.len()]);
            }
        }
    }
}

/// A block, zeros behind its end.
#[inline(always)]
fn load(block: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..block.len()].copy_from_slice(block);
    lanes
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::adamw;
    use crate::testing::{random, values, with_threads};

    const ROWS: usize = 40;

    /// One step of a run: which rows the tokens look up, and the step's own constants.
    #[derive(Clone, Debug)]
    struct Touch {
        lookup: Vec<u32>,
        learning_rate: f64,
        gradient_scale: f32,
        then: Then,
    }

    /// What happens after a step.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Then {
        Next,
        /// All rows are caught up, as for a checkpoint.
        Save,
        /// And another process goes on from it.
        Resume,
    }

    #[derive(Clone, Debug)]
    struct Run {
        width: usize,
        weight_decay: f64,
        eps: f64,
        touches: Vec<Touch>,
    }

    impl Run {
        fn step(&self, at: usize) -> AdamW {
            let Touch { learning_rate, gradient_scale, .. } = self.touches[at];
            let (weight_decay, eps) = (self.weight_decay, self.eps);
            let step = at as u64 + 1;
            AdamW { learning_rate, beta1: 0.9, beta2: 0.999, eps, weight_decay, step, gradient_scale }
        }

        fn gradient(&self, at: usize) -> RowGradient {
            let lookup = &self.touches[at].lookup;
            RowGradient::sum(&random(lookup.len() * self.width, at as u64 + 1), lookup, self.width)
        }

        /// Zeros of both signs and the smallest numbers are among the parameters.
        fn table(&self) -> Tensor<2> {
            let mut table = random(ROWS * self.width, 77);
            let special = [0.0, -0.0, f32::MIN_POSITIVE, -f32::from_bits(1)];
            table.iter_mut().step_by(7).zip(special.iter().cycle()).for_each(|(x, s)| *x = *s);
            Tensor::from_data(TensorData::new(table, [ROWS, self.width]), &Device::flex())
        }

        /// Zero first moments; the second moments of the first rows are not.
        fn moments(&self) -> [Tensor<1>; 2] {
            let (first, mut second) = (vec![0.0; ROWS * self.width], vec![0.0; ROWS * self.width]);
            second[..3 * self.width].fill(1e-4f32);
            [first, second].map(|x| {
                let data = TensorData::new(x, [ROWS * self.width]);
                Tensor::from_data(data, &Device::flex())
            })
        }

        /// Bits of the table and both moments after the dense update of every row at every step.
        fn dense(&self) -> [Vec<u32>; 3] {
            let [mut m, mut v] = self.moments();
            let mut p = self.table().reshape([-1]);
            for at in 0..self.touches.len() {
                let data = TensorData::new(self.gradient(at).dense(ROWS), [ROWS * self.width]);
                let gradient = Tensor::from_data(data, &Device::flex());
                (p, m, v) = adamw(p, gradient, m, v, &self.step(at));
            }
            [p, m, v].map(bits)
        }

        /// The same after updates by rows, with the catch-ups that `saves` allows.
        fn by_rows(&self, saves: bool) -> [Vec<u32>; 3] {
            let mut optimizer = RowAdamW::new(self.moments(), self.width);
            let mut table = self.table();
            for (at, touch) in self.touches.iter().enumerate() {
                table = optimizer.catch_up(table, Rows::Of(&touch.lookup));
                table = optimizer.update(table, &self.gradient(at), &self.step(at));
                if saves && touch.then != Then::Next {
                    table = optimizer.catch_up(table, Rows::All);
                }
                if saves && touch.then == Then::Resume {
                    optimizer = RowAdamW::new(optimizer.moments(), self.width);
                }
            }
            table = optimizer.catch_up(table, Rows::All);
            let [m, v] = optimizer.moments();
            [table.reshape([-1]), m, v].map(bits)
        }
    }

    fn bits(x: Tensor<1>) -> Vec<u32> {
        values(x).into_iter().map(f32::to_bits).collect()
    }

    fn runs() -> impl Strategy<Value = Run> {
        let lookup = prop::collection::vec(0..ROWS as u32, 0..12);
        let rate = prop_oneof![Just(0.0), 1e-6..1e-1f64];
        let scale = prop_oneof![Just(1.0f32), 1e-3..1.0f32];
        let then = prop_oneof![4 => Just(Then::Next), 1 => Just(Then::Save), 1 => Just(Then::Resume)];
        let touch = (lookup, rate, scale, then).prop_map(|(lookup, learning_rate, gradient_scale, then)| {
            Touch { lookup, learning_rate, gradient_scale, then }
        });
        let touches = prop::collection::vec(touch, 1..40);
        let decay = prop_oneof![Just(0.0), 1e-3..1.0f64];
        // Without epsilon a row that was never touched becomes NaN.
        let eps = prop_oneof![4 => Just(1e-8), 1 => Just(0.0)];
        (1usize..100, decay, eps, touches).prop_map(|(width, weight_decay, eps, touches)| Run {
            width,
            weight_decay,
            eps,
            touches,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_bytes_of_the_dense_update(run in runs()) {
            prop_assert!(run.by_rows(false) == run.dense());
        }

        #[test]
        fn the_same_bytes_with_or_without_checkpoints(run in runs()) {
            prop_assert!(run.by_rows(true) == run.by_rows(false));
        }
    }

    /// Long after its last gradient a row's first moment is among the smallest numbers there are.
    #[test]
    fn the_bytes_of_the_dense_update_after_a_thousand_steps() {
        let touch = |at: usize| Touch {
            lookup: if at == 0 { vec![3, 9, 3] } else { vec![at as u32 % 3] },
            learning_rate: 1e-3 / (at + 1) as f64,
            gradient_scale: 0.3,
            then: if at == 700 { Then::Save } else { Then::Next },
        };
        let run = Run { width: 37, weight_decay: 0.01, eps: 1e-8, touches: (0..1000).map(touch).collect() };
        let dense = run.dense();
        assert!(run.by_rows(false) == dense && run.by_rows(true) == dense);
        assert!([1, 3].iter().all(|&threads| with_threads(threads, || run.by_rows(true)) == dense));
    }

    #[test]
    fn in_place_and_only_the_rows_of_the_gradient() {
        let touch = Touch { lookup: vec![8, 2], learning_rate: 0.1, gradient_scale: 1.0, then: Then::Next };
        let run = Run { width: 5, weight_decay: 0.1, eps: 1e-8, touches: vec![touch] };
        let table = run.table();
        let before = values(table.clone());
        let address = |x: &Tensor<2>| {
            x.clone().try_into_primitive::<Flex>().expect("a CPU tensor").storage::<f32>().as_ptr()
        };
        let at = address(&table);
        let mut optimizer = RowAdamW::new(run.moments(), run.width);
        let table = optimizer.update(table, &run.gradient(0), &run.step(0));
        assert_eq!(address(&table), at);
        let after = values(table.clone());
        let changed = |row: usize| before[row * 5..][..5] != after[row * 5..][..5];
        assert_eq!((0..ROWS).filter(|&row| changed(row)).collect::<Vec<_>>(), [2, 8]);
        let table = optimizer.catch_up(table, Rows::All);
        assert_eq!(address(&table), at);
    }

    #[test]
    #[should_panic(expected = "rows that are behind")]
    fn moments_are_not_read_while_rows_are_behind() {
        let touch = Touch { lookup: vec![1], learning_rate: 0.1, gradient_scale: 1.0, then: Then::Next };
        let run = Run { width: 2, weight_decay: 0.0, eps: 1e-8, touches: vec![touch] };
        let mut optimizer = RowAdamW::new(run.moments(), run.width);
        let _ = optimizer.update(run.table(), &run.gradient(0), &run.step(0));
        let _ = optimizer.moments();
    }
}
