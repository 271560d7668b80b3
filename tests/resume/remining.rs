//! Negatives that are mined while training: the same after a kill, and the same as those of `temper mine`.

use super::kill::{Moment, killed};
use super::run::{Place, STEPS, message};

/// Before each of the two epochs of 21 steps; the limit leaves some anchors short.
const MINE: [&str; 2] = ["--set", "mine={num_negatives=2, range_max=20, relative_margin=0.1}"];

#[test]
fn a_run_that_mines_ends_with_the_same_bytes_killed_or_not() {
    let place = Place::new();
    let whole = place.finished("whole", &[&MINE[..], &["--threads", "2"]].concat());
    assert_eq!(whole.events("mined"), [0, 21]);
    assert_eq!(whole.events("mining"), Vec::<u64>::new(), "shown, and not kept");
    let other = place.finished("one-thread", &[&MINE[..], &["--threads", "1"]].concat());
    assert_eq!(other.bytes(STEPS), whole.bytes(STEPS));
    let streamed = place.finished("streamed", &[&MINE[..], &["--set", "data.streaming=true"]].concat());
    assert_eq!(streamed.bytes(STEPS), whole.bytes(STEPS));
    // Within the first epoch and the second; a kill inside the save of 24 leaves that of 21, where negatives are mined.
    for moment in
        [Moment::AfterStep(14), Moment::InsideSave(24), Moment::AfterStep(33), Moment::AfterStep(21)]
    {
        let run = killed(&place, "x", moment, &MINE);
        place.resumed("x", &[]);
        assert_eq!(run.bytes(STEPS), whole.bytes(STEPS), "{moment:?}");
        assert_eq!(run.events("mined"), [0, 21], "{moment:?}");
        assert_eq!(run.events("step"), (1..=STEPS).collect::<Vec<_>>(), "{moment:?}");
    }
}

/// Negatives are places of examples, which another seed or other data move.
#[test]
fn negatives_of_other_examples_are_mined_anew() {
    let place = Place::new();
    let run = place.finished("x", &MINE);
    place.resumed("x@40", &["--set", "train.num_train_epochs=3"]);
    assert_eq!(run.events("mined"), [0, 21, 42], "the same examples");
    for changed in ["seed=7", "data.held_out=0.05"] {
        let name = changed.split('=').next().unwrap();
        let run = place.finished(name, &MINE);
        place.resumed(&format!("{name}@40"), &["--allow-changed", "config", "--set", changed]);
        assert!(run.events("mined").contains(&40), "{changed}: {:?}", run.events("mined"));
    }
}

/// What the first mining finds is what `temper mine` writes, example for example.
#[test]
fn mined_negatives_are_those_of_the_command() {
    let place = Place::new();
    let rows: Vec<String> =
        (0..60).map(|row| format!("question {row} of {}\tanswer {} to {row}\n", row * 7, row % 9)).collect();
    std::fs::write(place.path("pairs.tsv"), format!("anchor\tpositive\n{}", rows.concat())).unwrap();
    let model = crate::place::model("bert-mean-norm");
    let mined = place.temper(&[
        "mine",
        "pairs.tsv",
        "--model",
        &model,
        "-n",
        "2",
        "--format",
        "n-tuple",
        "--no-cache",
        "-o",
        "t.jsonl",
    ]);
    assert!(mined.status.success(), "{}", message(&mined));
    let base = format!("model={{base=\"{model}\"}}");
    let common = [
        &["--set", &base, "--set", "data.held_out=0", "--set", "train.batch_sampler=shuffle"][..],
        &["--set", "train.max_steps=6", "--set", "train.eval_steps=0"],
    ]
    .concat();
    let from = |name: &str, args: &[&str]| {
        let run = place.finished(name, &[&common[..], args].concat());
        std::fs::read(run.checkpoint(6).join("model/model.safetensors")).unwrap()
    };
    let file = from("file", &["--set", "data.train=[\"t.jsonl\"]"]);
    let within = from("within", &["--set", "data.train=[\"pairs.tsv\"]", "--set", "mine={num_negatives=2}"]);
    assert!(within == file, "other weights");
}

#[test]
fn what_cannot_be_mined_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("scored.tsv"), "sentence1\tsentence2\tscore\na\tb\t0.5\nc\td\t1\ne\tf\t0\n")
        .unwrap();
    let scored = [
        "small.toml",
        "--set",
        "data.train=[\"scored.tsv\"]",
        "--set",
        "data.held_out=0",
        "--set",
        "mine={}",
    ];
    assert!(
        place.refused(&scored).contains("[mine] finds negatives for pairs, but the data has scored pairs")
    );
    std::fs::write(place.path("few.tsv"), "anchor\tpositive\na\tb\nc\td\n").unwrap();
    let few = ["small.toml", "--set", "data.train=[\"few.tsv\"]", "--set", "data.held_out=0"];
    let many = [&few[..], &["--set", "mine={num_negatives=3}"]].concat();
    assert!(place.refused(&many).contains("lower mine.num_negatives"), "{}", place.refused(&many));
    let none = [&few[..], &["--set", "mine={num_negatives=0}"]].concat();
    assert!(place.refused(&none).contains("`[mine]`: 0 negatives are nothing to mine"));
}
