//! Minimising a smooth convex function by L-BFGS (Nocedal and Wright 2006, Numerical Optimization, algorithm 7.5).

use std::collections::VecDeque;

/// Steps that the curvature is estimated from.
const HISTORY: usize = 10;
/// Share of the promised descent that a step must bring (Armijo's condition).
const DESCENT: f64 = 1e-4;
/// Halvings after which rounding, not the step, keeps the value from falling.
const MAX_HALVINGS: usize = 30;

/// A step, and how it changed the gradient.
struct Move {
    step: Vec<f64>,
    change: Vec<f64>,
    /// Their product, above 0.
    curvature: f64,
}

/// Where `objective`, which gives a value and its gradient, is least: where no entry of the gradient exceeds
/// `tolerance`, or where `max_steps` steps lead.
pub(crate) fn minimise(
    start: Vec<f64>,
    objective: impl Fn(&[f64]) -> (f64, Vec<f64>),
    tolerance: f64,
    max_steps: usize,
) -> Vec<f64> {
    let mut at = start;
    let (mut value, mut gradient) = objective(&at);
    let mut history: VecDeque<Move> = VecDeque::new();
    for _ in 0..max_steps {
        if gradient.iter().all(|slope| slope.abs() <= tolerance) {
            break;
        }
        let direction = direction(&gradient, &history);
        let slope = dot(&gradient, &direction);
        // Before anything is known about the curvature, a step of length 1 at most.
        let mut length =
            if history.is_empty() { (1.0 / dot(&gradient, &gradient).sqrt()).min(1.0) } else { 1.0 };
        let mut tried = None;
        for _ in 0..MAX_HALVINGS {
            let next: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (next_value, next_gradient) = objective(&next);
            if next_value <= value + DESCENT * length * slope {
                tried = Some((next, next_value, next_gradient));
                break;
            }
            length /= 2.0;
        }
        let Some((next, next_value, next_gradient)) = tried else { break };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (step, change) = (difference(&next, &at), difference(&next_gradient, &gradient));
        let curvature = dot(&step, &change);
        if curvature > 0.0 {
            history.push_back(Move { step, change, curvature });
            if history.len() > HISTORY {
                history.pop_front();
            }
        }
        (at, value, gradient) = (next, next_value, next_gradient);
    }
    at
}

/// Downhill, scaled by the curvature that the history knows: the two-loop recursion.
fn direction(gradient: &[f64], history: &VecDeque<Move>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut along = Vec::with_capacity(history.len());
    for Move { step, change, curvature } in history.iter().rev() {
        let alpha = dot(step, &direction) / curvature;
        add(&mut direction, -alpha, change);
        along.push(alpha);
    }
    if let Some(Move { change, curvature, .. }) = history.back() {
        let scale = curvature / dot(change, change);
        for value in &mut direction {
            *value *= scale;
        }
    }
    for (Move { step, change, curvature }, alpha) in history.iter().zip(along.iter().rev()) {
        let beta = dot(change, &direction) / curvature;
        add(&mut direction, alpha - beta, step);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], scale: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += scale * what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_narrow_valley_is_found() {
        // Convex, with curvatures from 1 to 1000 and a quartic term.
        let valley = |x: &[f64]| {
            let scaled = x.iter().enumerate().map(|(at, x)| (10f64.powi(at as i32), x - at as f64));
            let value = scaled.clone().map(|(scale, x)| scale * x * x + x.powi(4)).sum();
            (value, scaled.map(|(scale, x)| 2.0 * scale * x + 4.0 * x.powi(3)).collect())
        };
        let found = minimise(vec![5.0; 4], valley, 1e-9, 200);
        assert!(found.iter().enumerate().all(|(at, x)| (x - at as f64).abs() < 1e-8), "{found:?}");
        assert_eq!(minimise(vec![5.0; 4], valley, 1e9, 200), [5.0; 4]);
    }
}
