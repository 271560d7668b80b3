//! Each op alone, forward and with its gradients, on what fine-tuning MiniLM gives it: 64 sequences of 27 tokens, and the
//! ranking loss of two batches. A gradient's time includes the sum over the output that it starts from.
//!
//! `cargo bench -p temper-kernels --bench ops`; after `--` comes part of a name, or what `--help` lists.

use std::fmt;

use burn::tensor::{Device, Distribution, Tensor};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box_drop};
use rayon::{ThreadPool, ThreadPoolBuilder};
use temper_kernels::{
    Activation, AdamW, Attend, EmbedInput, Gate, Offsets, Pool, Reach, Rotary, adamw, add, add_norm,
    attention, embed, embed_norm, gated, head_norm, joined_linear, layer_norm, linear, normalize, pool,
    ranking_loss, rms_norm, rotary,
};

const SEQUENCES: usize = 64;
const TOKENS: usize = 64 * 27;
const DIM: usize = 384;
const INNER: usize = 4 * DIM;
const HEADS: usize = 12;
const HEAD_DIM: usize = DIM / HEADS;
const WORDS: usize = 30522;
const EPS: f64 = 1e-12;

/// An op, and the shapes of its matrices and vectors.
struct Case {
    name: &'static str,
    matrices: &'static [[usize; 2]],
    vectors: &'static [usize],
    op: fn(Vec<Tensor<2>>, Vec<Tensor<1>>) -> Tensor<2>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const CASES: [Case; 18] = [
    Case {
        name: "linear 384 to 1536, gelu",
        matrices: &[[TOKENS, DIM], [INNER, DIM]],
        vectors: &[INNER],
        op: |x, b| linear(x[0].clone(), x[1].clone(), b.into_iter().next(), Activation::Gelu),
    },
    Case {
        name: "linear 1536 to 384",
        matrices: &[[TOKENS, INNER], [DIM, INNER]],
        vectors: &[DIM],
        op: |x, b| linear(x[0].clone(), x[1].clone(), b.into_iter().next(), Activation::Identity),
    },
    Case {
        name: "joined_linear 384 to 3 x 384",
        matrices: &[[TOKENS, DIM], [DIM, DIM], [DIM, DIM], [DIM, DIM]],
        vectors: &[DIM, DIM, DIM],
        op: |x, b| joined_linear(x[0].clone(), x[1..].to_vec(), b, Activation::Identity),
    },
    Case {
        name: "attention, 12 heads",
        matrices: &[[TOKENS, 3 * DIM]],
        vectors: &[],
        op: |x, _| attention(x[0].clone(), None, &offsets(), &Attend::new(HEADS, HEADS, HEAD_DIM), None),
    },
    Case {
        name: "attention, 12 heads, 4 of keys, local",
        matrices: &[[TOKENS, 5 * DIM / 3]],
        vectors: &[],
        op: |x, _| {
            let attend = Attend { reach: Reach::local(8), ..Attend::new(HEADS, HEADS / 3, HEAD_DIM) };
            attention(x[0].clone(), None, &offsets(), &attend, None)
        },
    },
    Case {
        name: "rotary, 24 of 36 heads",
        matrices: &[[TOKENS, 3 * DIM]],
        vectors: &[],
        op: |x, _| rotary(x[0].clone(), &angles(), 2 * HEADS, HEAD_DIM),
    },
    Case {
        name: "head_norm, 24 of 36 heads",
        matrices: &[[TOKENS, 3 * DIM]],
        vectors: &[HEAD_DIM, HEAD_DIM],
        op: |x, v| head_norm(x[0].clone(), v[0].clone(), v[1].clone(), HEADS, HEADS, EPS),
    },
    Case {
        name: "gated 2 x 1536, gelu",
        matrices: &[[TOKENS, 2 * INNER]],
        vectors: &[],
        op: |x, _| gated(x[0].clone(), Activation::Gelu, Gate::First),
    },
    Case {
        name: "add",
        matrices: &[[TOKENS, DIM], [TOKENS, DIM]],
        vectors: &[],
        op: |x, _| add(x[0].clone(), x[1].clone(), None),
    },
    Case {
        name: "layer_norm",
        matrices: &[[TOKENS, DIM]],
        vectors: &[DIM, DIM],
        op: |x, v| layer_norm(x[0].clone(), v[0].clone(), v.get(1).cloned(), EPS),
    },
    Case {
        name: "rms_norm",
        matrices: &[[TOKENS, DIM]],
        vectors: &[DIM],
        op: |x, v| rms_norm(x[0].clone(), v[0].clone(), EPS),
    },
    Case {
        name: "add_norm",
        matrices: &[[TOKENS, DIM], [TOKENS, DIM]],
        vectors: &[DIM, DIM],
        op: |x, v| add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v.get(1).cloned(), EPS, None),
    },
    Case {
        name: "embed",
        matrices: &[[WORDS, DIM]],
        vectors: &[],
        op: |x, _| embed(x[0].clone(), &embed_input().ids, None),
    },
    Case {
        name: "embed_norm",
        matrices: &[[WORDS, DIM], [512, DIM], [2, DIM]],
        vectors: &[DIM, DIM],
        op: |x, v| {
            let [word, position, token_type] = [0, 1, 2].map(|i| x[i].clone());
            let (gamma, beta) = (v[0].clone(), v.get(1).cloned());
            embed_norm(word, Some(position), Some(token_type), &embed_input(), gamma, beta, EPS, None, None)
        },
    },
    Case {
        name: "pool, mean",
        matrices: &[[TOKENS, DIM]],
        vectors: &[],
        op: |x, _| pool(x[0].clone(), &offsets(), Pool::Mean),
    },
    Case {
        name: "normalize",
        matrices: &[[SEQUENCES, DIM]],
        vectors: &[],
        op: |x, _| normalize(x[0].clone()),
    },
    Case { name: "ranking_loss 32 x 32", matrices: &[[32, DIM], [32, DIM]], vectors: &[], op: rank },
    Case { name: "ranking_loss 1024 x 1024", matrices: &[[1024, DIM], [1024, DIM]], vectors: &[], op: rank },
];

fn rank(x: Vec<Tensor<2>>, _: Vec<Tensor<1>>) -> Tensor<2> {
    ranking_loss(x[0].clone(), x[1].clone(), 20.0, Vec::new()).unsqueeze()
}

fn offsets() -> Offsets {
    Offsets::from_lengths([TOKENS / SEQUENCES; SEQUENCES])
}

fn angles() -> Rotary {
    Rotary::new(&[0.1; HEAD_DIM / 2], 1.0, &embed_input().positions)
}

fn embed_input() -> EmbedInput {
    let tokens = 0..TOKENS as u32;
    EmbedInput {
        ids: tokens.clone().map(|i| i * 7919 % WORDS as u32).collect(),
        positions: tokens.clone().map(|i| i % (TOKENS / SEQUENCES) as u32).collect(),
        token_types: Some(tokens.map(|_| 0).collect()),
    }
}

impl Case {
    /// Tokens, or examples.
    fn rows(&self) -> ItemsCount {
        ItemsCount::new(if self.name.starts_with("embed") { TOKENS } else { self.matrices[0][0] })
    }

    fn run(&self, device: Device) -> impl Fn() -> Tensor<2> + Sync {
        let matrices: Vec<_> = self.matrices.iter().map(|shape| random(*shape, &device)).collect();
        let vectors: Vec<_> = self.vectors.iter().map(|len| random([*len], &device)).collect();
        let op = self.op;
        move || op(matrices.clone(), vectors.clone())
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let x = Tensor::random(shape, Distribution::Normal(0.0, 0.05), device);
    if device.is_autodiff() { x.require_grad() } else { x }
}

fn threads(count: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(count).build().expect("a pool")
}

fn main() {
    temper_kernels::keep_pages();
    divan::main();
}

#[divan::bench(args = CASES, consts = [1, 2])]
fn forward<const THREADS: usize>(bencher: Bencher, case: &Case) {
    let (pool, run) = (threads(THREADS), case.run(Device::flex()));
    bencher.counter(case.rows()).bench_local(|| pool.install(|| black_box_drop(run())));
}

#[divan::bench(args = CASES, consts = [1, 2])]
fn forward_and_backward<const THREADS: usize>(bencher: Bencher, case: &Case) {
    let (pool, run) = (threads(THREADS), case.run(Device::flex().autodiff()));
    bencher.counter(case.rows()).bench_local(|| pool.install(|| black_box_drop(run().sum().backward())));
}

#[divan::bench(name = "adamw 1536 x 384", consts = [1, 2])]
fn adamw_step<const THREADS: usize>(bencher: Bencher) {
    let (pool, step) = (
        threads(THREADS),
        AdamW {
            learning_rate: 1e-5,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            step: 10,
            gradient_scale: 1.0,
        },
    );
    let of = || random([INNER, DIM], &Device::flex());
    let (gradient, mut state) = (of(), Some((of(), of(), of().abs())));
    bencher.counter(ItemsCount::new(INNER * DIM)).bench_local(|| {
        let (parameter, m, v) = state.take().expect("each step leaves the next one's");
        state = Some(pool.install(|| adamw(parameter, gradient.clone(), m, v, &step)));
    });
}
