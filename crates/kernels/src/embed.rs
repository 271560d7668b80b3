//! Table lookup, and the gradients of the tables that were looked up in.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements, tensor};
use crate::norm::add_row;
use crate::{RowGradient, RowSink};

/// `[word]` to the rows of `ids`.
pub(crate) fn forward(inputs: Vec<FlexTensor>, ids: Vec<u32>, sink: Option<RowSink>, track: bool) -> Forward {
    let (table, shape) = (elements(&inputs[0]), dims(&inputs[0]));
    let width = shape[1];
    let mut output = vec![0.0; ids.len() * width];
    output.par_chunks_exact_mut(width).zip(&ids).for_each(|(row, id)| {
        row.copy_from_slice(&table[*id as usize * width..][..width]);
    });
    let output = tensor(output, [ids.len(), width]);
    let gradient = track.then(|| {
        let backward = move |gradient: FlexTensor, wanted: &[bool]| {
            table_gradients(elements(&gradient), &[shape], &[ids], wanted, sink)
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

/// The gradient of each table where it is wanted, from that of its looked up rows. The first table's goes to `sink`, if
/// there is one.
pub(crate) fn table_gradients(
    gradient: &[f32],
    shapes: &[[usize; 2]],
    lookups: &[Vec<u32>],
    wanted: &[bool],
    sink: Option<RowSink>,
) -> Vec<Option<FlexTensor>> {
    let sink = sink.filter(|_| wanted[0]);
    if let Some(sink) = &sink {
        sink.put(RowGradient::sum(gradient, &lookups[0], shapes[0][1]));
    }
    let tables = shapes.iter().zip(lookups).zip(wanted).enumerate();
    tables
        .map(|(at, ((shape, lookup), wanted))| {
            let dense = *wanted && (at > 0 || sink.is_none());
            dense.then(|| scatter(gradient, lookup, *shape))
        })
        .collect()
}

/// A table of zeros to which each token's gradient is added at its row, in token order.
fn scatter(gradient: &[f32], lookup: &[u32], shape: [usize; 2]) -> FlexTensor {
    let width = shape[1];
    let mut table = vec![0.0; shape[0] * width];
    for (row, &at) in gradient.chunks_exact(width).zip(lookup) {
        add_row(&mut table[at as usize * width..(at as usize + 1) * width], row);
    }
    tensor(table, shape)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, matrix, values};
    use crate::{RowSink, embed, plain};

    fn ids(tokens: usize) -> Vec<u32> {
        (0..tokens as u32).map(|token| token * token % 50).collect()
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let ids = ids(700);
        assert_same_bytes(&|x, _| embed(x[0].clone(), &ids, None), &[matrix(50, 384, 1)], &[]);
    }

    #[test]
    fn no_tokens_is_no_work() {
        let word = Tensor::<2>::zeros([9, 4], &Device::flex());
        assert_eq!(embed(word, &[], None).dims(), [0, 4]);
    }

    #[test]
    fn the_sink_has_the_gradient_or_autodiff() {
        let word = Tensor::<2>::from_data(matrix(50, 8, 1), &Device::flex().autodiff()).require_grad();
        let gradient = |sink: Option<RowSink>| {
            let loss = embed(word.clone(), &ids(70), sink).square().sum();
            word.grad(&loss.backward()).map(values)
        };
        let sink = RowSink::default();
        assert_eq!(gradient(Some(sink.clone())), None);
        assert_eq!(Some(sink.take().expect("rows").dense(50)), gradient(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn matches_plain(tokens in 1usize..150, width in 1usize..80) {
            let ids = ids(tokens);
            assert_agree(
                &|x, _| embed(x[0].clone(), &ids, None),
                &|x, _| plain::embed(x[0].clone(), &ids),
                &[matrix(50, width, 1)],
                &[],
            );
        }
    }
}
