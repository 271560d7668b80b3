//! The matrix products of a transformer layer, temper's own beside the crates `gemm` and `matrixmultiply`, as a Markdown
//! table of GF/s. `products_blas.py` measures OpenBLAS on the same shapes.
//!
//! `cargo bench -p temper-kernels --bench products -- 2` runs on two threads. Contenders take turns, and each cell is the
//! median of its turns. temper's times are those of the public `linear`, with packing, a new output, and for a
//! gradient the sum that it starts from; the other two write into the same output again and again.

#![allow(unsafe_code, clippy::print_stdout)]

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use temper_kernels::{Activation, LinearPrecision, PackedLinear, linear};

/// Turns of each contender.
const TURNS: usize = 9;

/// Operations of one turn at least, so that short products are repeated within it.
const WORK: f64 = 5e8;

/// Models by hidden size.
const MODELS: [(&str, usize); 2] = [("MiniLM", 384), ("BERT-base", 768)];

/// Tokens of a batch in training, and of a short query.
const BATCH: usize = 1728;
const QUERY: usize = 11;

/// Which product of a layer `[output, input]`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Product {
    /// `x weight^T`.
    Forward,
    /// `dy weight`.
    DataGradient,
    /// `dy^T x`.
    WeightGradient,
}

/// A layer on so many tokens.
#[derive(Clone, Copy)]
struct Layer {
    tokens: usize,
    input: usize,
    output: usize,
}

/// What takes part: told how often to multiply, it says how long that took.
type Contender = Box<dyn FnMut(usize) -> Duration>;

fn main() {
    temper_kernels::keep_pages();
    let threads = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
    println!("GF/s in f32, threads: {threads}, {}\n", temper_kernels::instruction_set());
    println!("| model | product | m | n | k | temper | packed once | gemm | matrixmultiply |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for (model, dim) in MODELS {
        for (tokens, products) in [
            (BATCH, &[Product::Forward, Product::DataGradient, Product::WeightGradient][..]),
            (QUERY, &[Product::Forward]),
        ] {
            for (output, input) in [(dim, dim), (3 * dim, dim), (4 * dim, dim), (dim, 4 * dim)] {
                let layer = Layer { tokens, input, output };
                for product in products {
                    let [m, n, k] = layer.sizes(*product);
                    let [own, packed, gemm, matrixmultiply] = measure(layer, *product, threads);
                    let cells = [own, packed, gemm, matrixmultiply]
                        .map(|rate| if rate.is_nan() { "-".to_owned() } else { format!("{rate:.0}") });
                    println!("| {model} | {product:?} | {m} | {n} | {k} | {} |", cells.join(" | "));
                }
            }
        }
    }
}

/// GF/s of each contender; NaN of one that has no such product, or no threads.
fn measure(layer: Layer, product: Product, threads: usize) -> [f64; 4] {
    let operations = 2.0 * layer.sizes(product).iter().map(|&size| size as f64).product::<f64>();
    let repeats = (WORK / operations).ceil() as usize;
    let mut contenders = [
        Some(temper(layer, product)),
        (product == Product::Forward).then(|| packed(layer)),
        Some(gemm(layer, product, threads)),
        (threads == 1).then(|| matrixmultiply(layer, product)),
    ];
    let mut seconds = [const { Vec::new() }; 4];
    for turn in 0..=TURNS {
        for (run, seconds) in contenders.iter_mut().zip(&mut seconds) {
            let Some(run) = run else { continue };
            let time = run(repeats).as_secs_f64();
            if turn > 0 {
                seconds.push(time);
            }
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(TURNS / 2).map_or(f64::NAN, |median| operations * repeats as f64 / median / 1e9)
    })
}

impl Layer {
    /// m, n and k.
    fn sizes(self, product: Product) -> [usize; 3] {
        let Self { tokens, input, output } = self;
        match product {
            Product::Forward => [tokens, output, input],
            Product::DataGradient => [tokens, input, output],
            Product::WeightGradient => [output, input, tokens],
        }
    }
}

fn temper(layer: Layer, product: Product) -> Contender {
    let device = if product == Product::Forward { Device::flex() } else { Device::flex().autodiff() };
    let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let (mut x, mut weight) = (random([layer.tokens, layer.input]), random([layer.output, layer.input]));
    match product {
        Product::Forward => {}
        Product::DataGradient => x = x.require_grad(),
        Product::WeightGradient => weight = weight.require_grad(),
    }
    let forward = move || linear(x.clone(), weight.clone(), None, Activation::Identity);
    if product == Product::Forward {
        return repeated(move || drop(std::hint::black_box(forward())));
    }
    Box::new(move |repeats| {
        let once = |_| {
            let loss = forward().sum();
            let start = Instant::now();
            std::hint::black_box(loss.backward());
            start.elapsed()
        };
        (0..repeats).map(once).sum()
    })
}

/// temper with the weight packed once for many products, as inference has it.
fn packed(layer: Layer) -> Contender {
    let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
    let (x, weight) = (random([layer.tokens, layer.input]), random([layer.output, layer.input]));
    let weight = PackedLinear::new(vec![weight], Vec::new(), LinearPrecision::F32).expect("f32 on the CPU");
    repeated(move || drop(std::hint::black_box(weight.forward(x.clone(), Activation::Identity))))
}

fn repeated(mut once: impl FnMut() + 'static) -> Contender {
    Box::new(move |repeats| {
        let start = Instant::now();
        (0..repeats).for_each(|_| once());
        start.elapsed()
    })
}

/// A product's operands, each with its row and column stride.
struct Job {
    sizes: [usize; 3],
    lhs: (Vec<f32>, [isize; 2]),
    rhs: (Vec<f32>, [isize; 2]),
    out: Vec<f32>,
}

impl Job {
    fn new(layer: Layer, product: Product) -> Self {
        let sizes @ [m, n, k] = layer.sizes(product);
        let by_rows = |width: usize| [width as isize, 1];
        let by_columns = |width: usize| [1, width as isize];
        let (lhs, rhs) = match product {
            Product::Forward => (by_rows(k), by_columns(k)),
            Product::DataGradient => (by_rows(k), by_rows(n)),
            Product::WeightGradient => (by_columns(m), by_rows(n)),
        };
        Self { sizes, lhs: (random(m * k), lhs), rhs: (random(k * n), rhs), out: vec![0.0; m * n] }
    }
}

fn random(len: usize) -> Vec<f32> {
    let x = Tensor::<1>::random([len], Distribution::Normal(0.0, 1.0), &Device::flex());
    x.into_data().try_into_vec().expect("f32")
}

fn gemm(layer: Layer, product: Product, threads: usize) -> Contender {
    let Job {
        sizes: [m, n, k],
        lhs: (lhs, [lhs_rows, lhs_columns]),
        rhs: (rhs, [rhs_rows, rhs_columns]),
        mut out,
    } = Job::new(layer, product);
    let threads = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    repeated(move || {
        // SAFETY: `Job` made the operands for these sizes and strides, and the output `[m, n]`.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                n as isize,
                false,
                lhs.as_ptr(),
                lhs_columns,
                lhs_rows,
                rhs.as_ptr(),
                rhs_columns,
                rhs_rows,
                0.0,
                1.0,
                false,
                false,
                false,
                threads,
            );
        }
    })
}

fn matrixmultiply(layer: Layer, product: Product) -> Contender {
    let Job {
        sizes: [m, n, k],
        lhs: (lhs, [lhs_rows, lhs_columns]),
        rhs: (rhs, [rhs_rows, rhs_columns]),
        mut out,
    } = Job::new(layer, product);
    repeated(move || {
        // SAFETY: as for `gemm`.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                lhs.as_ptr(),
                lhs_rows,
                lhs_columns,
                rhs.as_ptr(),
                rhs_rows,
                rhs_columns,
                0.0,
                out.as_mut_ptr(),
                n as isize,
                1,
            );
        }
    })
}
