//! SIGKILL at chosen moments. What lies on the disk afterwards proves where a kill fell; one that missed is repeated.

use crate::resume::run::{Place, Run, STEPS, pause};

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// Steps were taken, and no checkpoint is there or begun.
    BeforeFirstSave,
    /// The checkpoint of this step is being written.
    InsideSave(u64),
    /// The first checkpoint has gone.
    AfterRotation,
    /// This step was logged.
    AfterStep(u64),
}

use Moment::{AfterRotation, AfterStep, BeforeFirstSave, InsideSave};

const MOMENTS: [Moment; 11] = [
    BeforeFirstSave,
    InsideSave(3),
    InsideSave(10),
    InsideSave(24),
    InsideSave(STEPS),
    AfterRotation,
    AfterStep(5),
    AfterStep(14),
    AfterStep(20),
    AfterStep(33),
    AfterStep(41),
];

impl Moment {
    /// Whether it is now; of a dead run: whether it died then.
    fn is_now(self, run: &Run) -> bool {
        let whole = run.whole();
        match self {
            BeforeFirstSave => whole.is_empty() && run.half().is_empty() && !run.events("step").is_empty(),
            InsideSave(step) => run.half().contains(&step) && whole.iter().all(|other| *other < step),
            AfterRotation => {
                run.half().is_empty()
                    && whole.first().is_some_and(|first| *first > 3)
                    && !whole.contains(&STEPS)
            }
            AfterStep(step) => run.events("step").contains(&step) && run.events("finished").is_empty(),
        }
    }
}

/// A run that was killed then.
pub fn killed(place: &Place, name: &str, moment: Moment, args: &[&str]) -> Run {
    for _ in 0..100 {
        let run = place.run(name);
        let _ = std::fs::remove_dir_all(&run.0);
        let mut child = place.start(name, args);
        while !moment.is_now(&run) && child.try_wait().unwrap().is_none() {
            pause();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if moment.is_now(&run) {
            return run;
        }
    }
    panic!("no kill fell {moment:?} in 100 tries");
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bytes() {
    let place = Place::new();
    for moment in MOMENTS {
        let run = killed(&place, "x", moment, &[]);
        place.resumed("x", &[]);
        run.assert_as_if_nothing_had_happened(&format!("{moment:?}"));
    }
}

#[test]
fn a_run_killed_again_and_again_ends_with_the_same_bytes() {
    let place = Place::new();
    let run = killed(&place, "x", InsideSave(3), &[]);
    let mut kills = 0;
    while run.events("finished").is_empty() {
        let before = run.whole().last().copied();
        let mut child = place.train(&["--resume", "x"]).spawn().unwrap();
        while run.whole().last().copied() == before && child.try_wait().unwrap().is_none() {
            pause();
        }
        // Every other time some steps further on.
        while kills % 2 == 1
            && run.events("step").last().copied() < before.map(|step| step + 5)
            && child.try_wait().unwrap().is_none()
        {
            pause();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 1, "only {kills} kills");
    place.resumed("x", &[]);
    run.assert_as_if_nothing_had_happened("killed again and again");
}

#[test]
fn accumulated_steps_survive_a_kill() {
    let accumulate = ["--set", "train.gradient_accumulation_steps=2", "--set", "train.eval_steps=0"];
    let place = Place::new();
    let whole = place.finished("whole", &accumulate);
    let last = *whole.whole().last().unwrap();
    assert_eq!(last, 22);
    for moment in [InsideSave(6), AfterStep(8), AfterStep(13)] {
        let run = killed(&place, "x", moment, &accumulate);
        place.resumed("x", &[]);
        assert_eq!(run.bytes(last), whole.bytes(last), "{moment:?}");
        assert_eq!(run.events("step"), (1..=last).collect::<Vec<_>>(), "{moment:?}");
    }
}

/// Not even when the run is resumed, as after a kill between its last save and the note that it is over.
#[test]
fn an_early_stop_is_not_trained_past() {
    let patient = ["--set", "train.early_stopping_patience=1", "--set", "train.learning_rate=1e-12"];
    let place = Place::new();
    let run = killed(&place, "x", AfterStep(12), &patient);
    for _ in 0..2 {
        place.resumed("x", &[]);
        assert_eq!(run.events("step").last(), Some(&20));
        assert_eq!(run.whole().last(), Some(&20));
    }
}
