//! The learning rate as a pure function of the step.

use crate::config::{SchedulerType, TrainConfig};

/// Warm-up, then a fall to zero (or none), as transformers' schedulers compute it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    kind: SchedulerType,
    warmup_steps: u64,
    total_steps: u64,
}

impl Schedule {
    /// The schedule of a run of `total_steps`.
    pub fn new(config: &TrainConfig, total_steps: u64) -> Self {
        let warmup_steps = match config.warmup_steps {
            0 => (config.warmup_ratio * total_steps as f64).ceil() as u64,
            steps => steps,
        };
        Self { peak: config.learning_rate, kind: config.lr_scheduler_type, warmup_steps, total_steps }
    }

    /// The learning rate of the update that follows `step` completed ones.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = (step - self.warmup_steps) as f64 / span;
        match self.kind {
            SchedulerType::Linear => self.peak * (1.0 - done).max(0.0),
            SchedulerType::Cosine => self.peak * (0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())),
            SchedulerType::Constant => self.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: SchedulerType) -> Schedule {
        Schedule { peak: 1.0, kind, warmup_steps: 2, total_steps: 20 }
    }

    /// Numbers of transformers' `get_linear_schedule_with_warmup`.
    #[test]
    fn linear_rises_and_falls() {
        let s = schedule(SchedulerType::Linear);
        assert_eq!([s.at(0), s.at(1), s.at(2)], [0.0, 0.5, 1.0]);
        assert!((s.at(3) - 17.0 / 18.0).abs() < 1e-12);
        assert_eq!(s.at(20), 0.0);
    }

    #[test]
    fn cosine_is_half_way_in_the_middle() {
        assert!((schedule(SchedulerType::Cosine).at(11) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn constant_stays() {
        assert_eq!(schedule(SchedulerType::Constant).at(19), 1.0);
    }

    #[test]
    fn the_ratio_is_rounded_up_as_the_trainer_does() {
        let config = TrainConfig { warmup_ratio: 0.1, ..TrainConfig::default() };
        assert_eq!(Schedule::new(&config, 63).warmup_steps, 7);
    }
}
