//! How long one short query takes inside a process that is warm: `latency MODEL QUERIES [--precision int8] [--threads N]`.
//!
//! QUERIES is JSONL with a `text` a line. Prints one JSON line, as the peers' scripts do; `benches/run` compares them.

use std::path::Path;
use std::time::Instant;

use clap::Parser;
use temper_encoder::{LinearPrecision, ReadOptions};

/// Queries before the clock starts.
const WARM_UP: usize = 20;

#[derive(Parser)]
struct Args {
    model: String,
    queries: std::path::PathBuf,
    #[arg(long, default_value = "f32")]
    precision: String,
    #[arg(long)]
    threads: Option<usize>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    temper_kernels::keep_pages();
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    let precision = match args.precision.as_str() {
        "int8" => LinearPrecision::Int8,
        _ => LinearPrecision::F32,
    };
    let device = burn::tensor::Device::flex();
    let loaded = temper_encoder::read(Path::new(&args.model), &ReadOptions::default(), &device)?;
    let encoder = loaded.encoder.for_inference(precision);
    let texts = temper_data::Texts::open(&args.queries, Some("text"))?.collect::<Result<Vec<_>, _>>()?;
    let mut milliseconds = Vec::with_capacity(texts.len());
    for text in texts.iter().take(WARM_UP).chain(&texts) {
        let begin = Instant::now();
        std::hint::black_box(encoder.embed(&[text], None, &mut |_| ())?);
        milliseconds.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let mut milliseconds = milliseconds.split_off(WARM_UP.min(texts.len()));
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| milliseconds[((milliseconds.len() - 1) as f64 * share).round() as usize];
    let mean = milliseconds.iter().sum::<f64>() / milliseconds.len() as f64;
    let result = serde_json::json!({
        "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "mean_ms": mean, "n": texts.len(),
    });
    std::io::Write::write_all(&mut std::io::stdout(), format!("{result}\n").as_bytes())?;
    Ok(())
}
