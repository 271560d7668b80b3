//! exp, tanh and erf without branches, and sums in a fixed order: bodies for [`crate::simd`]'s loops.
//!
//! Accurate to 1e-6 of libm (relative, or absolute where the value is below one); tests sweep the ranges.

/// `a * b + c`, rounded once where the instruction set can.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Horner's scheme, highest coefficient first.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = fma::<FMA>(sum, x, coefficients[i]);
        i += 1;
    }
    sum
}

/// Adding it leaves the nearest integer in the low mantissa bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// `e^x` as `2^n e^r` with `|r| <= ln(2) / 2` (Cephes `expf`); saturates beyond ±87.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln(2) in two parts, so that `r` keeps its low bits.
    let r = fma::<FMA>(n, -0.693_359_4, x);
    let r = fma::<FMA>(n, 2.121_944_4e-4, r);
    let p = polynomial::<FMA, 6>(
        r,
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5],
    );
    let p = fma::<FMA>(p * r, r, r + 1.0);
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `tanh(x)` (Cephes `tanhf`): an odd polynomial near zero, else by exp.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let square = x * x;
    let p = polynomial::<FMA, 5>(
        square,
        [-5.704_988_7e-3, 2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1],
    );
    let near = fma::<FMA>(p * square, x, x);
    let far = 1.0 - 2.0 / (exp::<FMA>(2.0 * x.abs().min(20.0)) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// `erf(x)` as an odd rational function on ±4, beyond which it is ±1 in f32 (the approximation of Eigen and XLA).
#[inline(always)]
pub(crate) fn erf<const FMA: bool>(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let p = polynomial::<FMA, 7>(
        square,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024_1e-6,
            -5.692_506_4e-5,
            -7.349_906_3e-4,
            -2.954_6e-3,
            -1.609_603_3e-2,
        ],
    );
    let q = polynomial::<FMA, 5>(
        square,
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2],
    );
    x * p / q
}

/// Partial sums side by side: enough to fill the vector units, and the same order on every CPU.
const LANES: usize = 32;

/// Sums `term(x[i], y[i])` in [`LANES`] interleaved partial sums.
#[inline(always)]
pub(crate) fn sum2<const FMA: bool>(x: &[f32], y: &[f32], term: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (x_blocks, y_blocks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let (x_rest, y_rest) = (x_blocks.remainder(), y_blocks.remainder());
    for (x, y) in x_blocks.zip(y_blocks) {
        for l in 0..LANES {
            lanes[l] = term(lanes[l], x[l], y[l]);
        }
    }
    for (l, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        lanes[l] = term(lanes[l], x, y);
    }
    fold(lanes, |a, b| a + b)
}

/// The sum of `x`.
#[inline(always)]
pub(crate) fn sum<const FMA: bool>(x: &[f32]) -> f32 {
    sum2::<FMA>(x, x, |sum, x, _| sum + x)
}

/// The dot product.
#[inline(always)]
pub(crate) fn dot<const FMA: bool>(x: &[f32], y: &[f32]) -> f32 {
    sum2::<FMA>(x, y, |sum, x, y| fma::<FMA>(x, y, sum))
}

/// The largest element; `-inf` of none.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = x.chunks_exact(LANES);
    let rest = blocks.remainder();
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    for x in blocks {
        for l in 0..LANES {
            lanes[l] = larger(lanes[l], x[l]);
        }
    }
    for (l, &x) in rest.iter().enumerate() {
        lanes[l] = larger(lanes[l], x);
    }
    fold(lanes, larger)
}

/// The largest `of(x)`, or NaN if any is NaN; `-inf` of none.
#[inline(always)]
pub(crate) fn max_or_nan(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = x.chunks_exact(LANES);
    let rest = blocks.remainder();
    for x in blocks {
        for l in 0..LANES {
            lanes[l] = larger(lanes[l], of(x[l]));
        }
    }
    for (l, &x) in rest.iter().enumerate() {
        lanes[l] = larger(lanes[l], of(x));
    }
    fold(lanes, larger)
}

/// Combines lanes pairwise.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] = combine(lanes[l], lanes[l + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::vectorised;

    vectorised! {
        fn map_exp(x: &mut [f32]) {
            for x in x {
                *x = exp::<FMA>(*x);
            }
        }
    }
    vectorised! {
        fn map_tanh(x: &mut [f32]) {
            for x in x {
                *x = tanh::<FMA>(*x);
            }
        }
    }
    vectorised! {
        fn map_erf(x: &mut [f32]) {
            for x in x {
                *x = erf::<FMA>(*x);
            }
        }
    }

    /// erf by its Taylor series in f64, accurate to 1e-9 on ±4.5.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    /// The largest error over a sweep, relative where the value exceeds `floor`, else in units of `floor`.
    fn worst(
        map: impl Fn(&mut [f32]),
        exact: impl Fn(f64) -> f64,
        range: std::ops::Range<f32>,
        floor: f64,
    ) -> f64 {
        let inputs: Vec<f32> =
            (0..200_001).map(|i| range.start + (range.end - range.start) * i as f32 / 2e5).collect();
        let mut outputs = inputs.clone();
        map(&mut outputs);
        let error = |(&x, &y): (&f32, &f32)| {
            let exact = exact(x as f64);
            (y as f64 - exact).abs() / exact.abs().max(floor)
        };
        inputs.iter().zip(&outputs).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn close_to_libm() {
        assert!(worst(map_exp, f64::exp, -86.0..87.0, 0.0) < 5e-7);
        assert!(worst(map_tanh, f64::tanh, -12.0..12.0, 1e-30) < 1e-6);
        assert!(worst(map_tanh, f64::tanh, -0.01..0.01, 1e-30) < 1e-6);
        assert!(worst(map_erf, exact_erf, -4.5..4.5, 1e-30) < 1e-6);
        assert!(worst(map_erf, exact_erf, -0.01..0.01, 1e-30) < 1e-6);
    }

    #[test]
    fn baseline_is_close_to_libm_too() {
        let map = |f: fn(f32) -> f32| move |x: &mut [f32]| x.iter_mut().for_each(|x| *x = f(*x));
        assert!(worst(map(exp::<false>), f64::exp, -86.0..87.0, 0.0) < 5e-7);
        assert!(worst(map(tanh::<false>), f64::tanh, -12.0..12.0, 1e-30) < 1e-6);
        assert!(worst(map(erf::<false>), exact_erf, -4.5..4.5, 1e-30) < 1e-6);
    }

    #[test]
    fn sums_cover_every_element() {
        for len in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
            assert_eq!(sum::<false>(&x), (len * len.max(1) - len) as f32 / 2.0);
            assert_eq!(max(&x), if len == 0 { f32::NEG_INFINITY } else { (len - 1) as f32 });
        }
    }
}
