//! Every config of `configs/` by the commands at its head, at a tiny size.

use std::path::Path;

use crate::place::{Place, copy, model};

#[test]
fn every_config_runs_by_its_own_command() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = Place::new();
    copy(&project.join("configs"), &place.path("configs"));
    copy(&project.join("data"), &place.path("data"));
    let tiny = model("bert-mean-norm");
    let small = [
        "train.max_steps=1",
        "model.max_seq_length=32",
        "data.max_train_samples=40",
        "data.max_eval_samples=10",
    ];
    let mut run = vec!["quickstart.toml".to_owned(), "README.md".to_owned()];
    for entry in std::fs::read_dir(project.join("configs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        let text = std::fs::read_to_string(place.path("configs").join(&name)).unwrap();
        assert!(text.starts_with("# temper "), "{name} does not begin with the command that runs it");
        for line in text.lines().map_while(|line| line.strip_prefix("# temper ")) {
            let line = line.replace("MODEL", &tiny).replace("TEACHER", &tiny).replace("GUIDE", &tiny);
            // To the tiny model all texts are alike, and none is far enough from the positive.
            let line = line.replace(" --relative-margin 0.05", "");
            let mut args: Vec<&str> = line.split(' ').collect();
            match args[0] {
                "train" => {
                    args.extend(small.iter().flat_map(|setting| ["--set", setting]));
                    // The tiny model has 32 values.
                    if name == "matryoshka.toml" || name == "layers.toml" {
                        args.extend(["--set", "loss.matryoshka_dims=[32, 16, 8, 4]"]);
                    }
                    // To the tiny model all texts are alike: those to draw from are not looked at.
                    if name == "remine.toml" {
                        args.extend(["--set", "mine.range_max=20"]);
                    }
                    run.push(name.clone());
                }
                "quickstart" => continue, // in a test of its own
                _ => args.extend(["--no-cache", "--max-seq-length", "64"]),
            }
            place.ok(&args);
        }
    }
    assert_eq!(run.len(), std::fs::read_dir(project.join("configs")).unwrap().count(), "{run:?}");
}
