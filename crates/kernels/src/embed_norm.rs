//! Embedding rows summed, LayerNorm and dropout in one pass.

use burn_flex::FlexTensor;

use crate::embed::table_gradients;
use crate::fused::{Forward, dims, elements, tensor};
use crate::norm::{Affine, Kind, Normalised, add_row, drop_row, wanted_vectors};
use crate::{Dropout, RowSink};

/// The op's arguments beside its tensors.
pub(crate) struct Embed {
    /// For each table, the row of each token.
    pub(crate) lookups: Vec<Vec<u32>>,
    pub(crate) eps: f64,
    pub(crate) dropout: Option<Dropout>,
    /// Takes the first table's gradient.
    pub(crate) rows: Option<RowSink>,
}

impl Embed {
    /// `[tables.., gamma, beta]` to `dropout(LayerNorm(sum of the tables' rows))`; there may be no beta.
    pub(crate) fn forward(self, inputs: Vec<FlexTensor>, track: bool) -> Forward {
        let lookups = self.lookups;
        let (tables, vectors) = inputs.split_at(lookups.len());
        let (tokens, [_, width]) = (lookups[0].len(), dims(&tables[0]));
        let sampler = self.dropout.map(|dropout| dropout.sampler());
        let affine = Affine::new(Kind::Layer, vectors, self.eps);
        let slices: Vec<&[f32]> = tables.iter().map(elements).collect();
        let embed_row = |at: usize, row: &mut [f32], normalised: Option<&mut [f32]>| {
            for (table, lookup) in slices.iter().zip(&lookups) {
                let source = lookup[at] as usize * width;
                add_row(row, &table[source..source + width]);
            }
            let inverse = affine.apply(row, normalised);
            drop_row(row, sampler, (at * width) as u64);
            inverse
        };
        let mut output = vec![0.0; tokens * width];
        let saved = Normalised::of(&mut output, width, track, embed_row);
        let shapes: Vec<[usize; 2]> = tables.iter().map(dims).collect();
        let gradient = track.then(|| {
            let gamma = vectors[0].clone();
            let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
                let rows = gradient.storage_mut();
                let sums = saved.backward(rows, Kind::Layer, elements(&gamma), sampler);
                let (want_tables, want_vectors) = wanted.split_at(lookups.len());
                let mut gradients =
                    table_gradients(elements(&gradient), &shapes, &lookups, want_tables, self.rows);
                gradients.extend(wanted_vectors(sums, want_vectors));
                gradients
            };
            Box::new(backward) as _
        });
        Forward { output: tensor(output, [tokens, width]), gradient }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{
        TestOp, assert_agree, assert_close, assert_same_bytes, matrix, random, values, vector,
    };
    use crate::{Dropout, EmbedInput, RowSink, embed_norm, plain};

    const DROPOUT: Option<Dropout> = Some(Dropout { probability: 0.1, key: 5 });

    fn input(tokens: usize, types: bool) -> EmbedInput {
        let row = |i: usize, rows: f32, seed| ((random(i + 1, seed)[i].abs() * 100.0) % rows) as u32;
        EmbedInput {
            ids: (0..tokens).map(|i| row(i, 50.0, 1)).collect(),
            positions: (0..tokens).map(|i| (i % 20) as u32).collect(),
            token_types: types.then(|| (0..tokens).map(|i| row(i, 2.0, 2)).collect()),
        }
    }

    fn inputs(width: usize) -> (Vec<TensorData>, Vec<TensorData>) {
        (
            vec![matrix(50, width, 1), matrix(20, width, 2), matrix(2, width, 3)],
            vec![vector(width, 1.0, 4), vector(width, 0.0, 5)],
        )
    }

    type BoxedOp<'a> = Box<dyn Fn(&[Tensor<2>], &[Tensor<1>]) -> Tensor<2> + Sync + 'a>;

    /// The op as the test helpers take it: the tables as matrices, gamma and beta as vectors.
    fn with_tables<'a>(
        op: impl Fn(Tensor<2>, Option<Tensor<2>>, Option<Tensor<2>>, Tensor<1>, Option<Tensor<1>>) -> Tensor<2>
        + Sync
        + 'a,
    ) -> BoxedOp<'a> {
        Box::new(move |x, v| {
            op(x[0].clone(), x.get(1).cloned(), x.get(2).cloned(), v[0].clone(), v.get(1).cloned())
        })
    }

    fn check(tokens: usize, width: usize, tables: usize, dropout: Option<Dropout>) {
        let input = input(tokens, tables == 3);
        let (matrices, vectors) = inputs(width);
        let fused = with_tables(|w, p, t, g, b| embed_norm(w, p, t, &input, g, b, 1e-12, dropout, None));
        let plain = with_tables(|w, p, t, g, b| plain::embed_norm(w, p, t, &input, g, b, 1e-12, dropout));
        let (fused, plain): (TestOp<'_>, TestOp<'_>) = (&*fused, &*plain);
        assert_agree(fused, plain, &matrices[..tables], &vectors);
        assert_agree(fused, plain, &matrices[..tables], &vectors[..1]);
    }

    #[test]
    fn matches_plain_with_one_to_three_tables() {
        for tables in 1..=3 {
            check(70, 36, tables, None);
            check(70, 36, tables, DROPOUT);
        }
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let input = input(700, true);
        let (matrices, vectors) = inputs(384);
        let op = with_tables(|w, p, t, g, b| embed_norm(w, p, t, &input, g, b, 1e-12, DROPOUT, None));
        assert_same_bytes(&*op, &matrices, &vectors);
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let (word, v) = (Tensor::<2>::zeros([9, 4], &device), Tensor::<1>::ones([4], &device));
        let input = EmbedInput { ids: Vec::new(), positions: Vec::new(), token_types: None };
        assert_eq!(
            embed_norm(word, None, None, &input, v.clone(), Some(v), 1e-12, None, None).dims(),
            [0, 4]
        );
    }

    /// The word table's gradient as a whole table, and whether autodiff had it, by one of three ways.
    fn word_gradient(
        input: &EmbedInput,
        width: usize,
        fused: bool,
        sink: Option<RowSink>,
    ) -> (Vec<f32>, bool) {
        let device = Device::flex().autodiff();
        let (matrices, vectors) = inputs(width);
        let [w, p] = [0, 1].map(|i| Tensor::<2>::from_data(matrices[i].clone(), &device).require_grad());
        let [g, b] = [0, 1].map(|i| Tensor::<1>::from_data(vectors[i].clone(), &device).require_grad());
        let (word, position) = (w.clone(), Some(p.clone()));
        let output = if fused {
            embed_norm(word, position, None, input, g, Some(b), 1e-12, DROPOUT, sink.clone())
        } else {
            plain::embed_norm(word, position, None, input, g, Some(b), 1e-12, DROPOUT)
        };
        let weights = Tensor::from_data(matrix(input.ids.len(), width, 99), &device);
        let gradients = (output * weights).sum().backward();
        assert!(p.grad(&gradients).is_some(), "the other tables are autodiff's in any case");
        let dense = w.grad(&gradients).map(values);
        let rows = sink.and_then(|sink| sink.take()).map(|rows| rows.dense(50));
        let found = dense.is_some();
        (dense.or(rows).expect("a gradient"), found)
    }

    #[test]
    fn rows_are_the_dense_gradient() {
        for (tokens, width) in [(0, 8), (1, 36), (70, 36), (300, 384)] {
            let mut input = input(tokens, false);
            input.ids.iter_mut().skip(tokens / 2).for_each(|id| *id = 7); // many of one row
            let (rows, autodiff) = word_gradient(&input, width, true, Some(RowSink::default()));
            assert!(!autodiff);
            assert_eq!((rows.clone(), true), word_gradient(&input, width, true, None));
            assert_close(&rows, &word_gradient(&input, width, false, None).0, "rows");
        }
    }

    #[test]
    fn a_frozen_table_leaves_no_rows() {
        let device = Device::flex().autodiff();
        let (matrices, vectors) = inputs(8);
        let word = Tensor::<2>::from_data(matrices[0].clone(), &device);
        let [g, b] = [0, 1].map(|i| Tensor::<1>::from_data(vectors[i].clone(), &device).require_grad());
        let sink = RowSink::default();
        let output = embed_norm(
            word,
            None,
            None,
            &input(9, false),
            g.clone(),
            Some(b),
            1e-12,
            None,
            Some(sink.clone()),
        );
        assert!(g.grad(&output.sum().backward()).is_some());
        assert_eq!(sink.take(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        // From width 3: of two numbers LayerNorm knows only which is larger, so that gradients are rounding alone.
        #[test]
        fn matches_plain_at_any_size(tokens in 1usize..150, width in 3usize..80, tables in 1usize..=3) {
            check(tokens, width, tables, DROPOUT);
        }
    }
}
