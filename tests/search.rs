//! `temper search`, `temper embed --cache` and `temper cache`, as a person runs them: on the small golden models.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::place::{Place, model, text_of};

const CORPUS: &str = "a cat sits\nthe dog runs far away\nrain in the morning\nthe cat runs\n\na cat sits\n";

/// A folder whose runs keep their cache in it.
struct Cached(Place);

impl Cached {
    fn new() -> Self {
        let place = Place::new();
        place.write("corpus.txt", CORPUS);
        Self(place)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.0.command(args);
        command.env("TEMPER_CACHE", self.0.path("cache")).stdin(Stdio::null()).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        text_of(&self.run(args))
    }

    /// What was told about the corpus.
    fn told(&self, args: &[&str]) -> String {
        let output = self.run(args);
        text_of(&output);
        String::from_utf8(output.stderr).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.0.path("cache/vectors-1")).unwrap();
        let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).collect()
    }
}

/// Ids and scores of the results in each line of JSON.
fn results(printed: &str) -> Vec<Vec<(String, f64)>> {
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let hits = value["results"].as_array().unwrap().iter();
        hits.map(|hit| (hit["id"].as_str().unwrap().to_owned(), hit["score"].as_f64().unwrap())).collect()
    };
    printed.lines().map(line).collect()
}

#[test]
fn scores_are_those_of_similarity_and_equal_texts_keep_their_order() {
    let place = Cached::new();
    for name in ["bert-mean-norm", "bert-max-dense", "bert-cls"] {
        let model = model(name);
        let args = ["search", &model, "--corpus", "corpus.txt", "--json", "the cat sits"];
        let found = results(&place.ok(&args)).remove(0);
        assert_eq!(found.len(), 6);
        assert!(found.is_sorted_by(|a, b| a.1 >= b.1), "{found:?}");
        let place_of = |id: &str| found.iter().position(|hit| hit.0 == id).unwrap();
        assert_eq!(place_of("1") + 1, place_of("6"), "{found:?}");
        for (id, score) in &found {
            let text = CORPUS.lines().nth(id.parse::<usize>().unwrap() - 1).unwrap();
            let json = place.ok(&["similarity", &model, "the cat sits", text, "--json"]);
            let expected = serde_json::from_str::<Value>(&json).unwrap()["matrix"][0][1].as_f64().unwrap();
            assert!((score - expected).abs() < 1e-5, "{name}: {text}: {score} and {expected}");
        }
        assert_eq!(place.ok(&args), place.ok(&[&["--threads", "1"], &args[..], &["--no-cache"]].concat()));
    }
}

#[test]
fn several_queries_come_from_arguments_or_a_pipe_and_are_shown_as_a_list() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let base = ["search", &model, "--corpus", "corpus.txt", "--no-cache", "--top-k", "2"];
    let listed = place.ok(&[&base[..], &["a cat", "rain"]].concat());
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[4]), (8, "a cat", "rain"), "{listed}");
    assert!(lines[1].starts_with("  1  0.") && lines[1].contains("  1  a cat sits"), "{listed}");
    assert_eq!(text_of(&place.0.run_with(&base, "a cat\nrain\n")), listed);
    assert_eq!(text_of(&place.0.run_with(&base, "a cat\r\nrain")), listed);
    let many = "a cat\nrain\n".repeat(400);
    assert_eq!(text_of(&place.0.run_with(&base, &many)), listed.repeat(400));
}

#[test]
fn every_kind_of_corpus_gives_the_same_with_its_ids() {
    let place = Cached::new();
    place.0.write(
        "c.jsonl",
        "{\"id\": \"x\", \"body\": \"one cat\"}\n{\"id\": \"y\", \"body\": \"two dogs\"}\n",
    );
    place.0.write("c.csv", "key,body\nx,one cat\ny,two dogs\n");
    place.0.write("c.tsv", "id\tbody\nx\tone cat\ny\ttwo dogs\n");
    fs::create_dir(place.0.path("beir")).unwrap();
    let beir = "{\"_id\": \"x\", \"title\": \"one\", \"text\": \"cat\"}\n{\"_id\": \"y\", \"title\": \"\", \"text\": \"two dogs\"}\n";
    place.0.write("beir/corpus.jsonl", beir);
    let model = model("bert-mean-norm");
    let of = |args: &[&str]| {
        results(&place.ok(&[&["search", &model, "--json", "cats", "--corpus"], args].concat()))
    };
    let expected = of(&["c.jsonl", "--field", "body"]);
    assert_eq!(expected[0].len(), 2);
    assert_eq!(of(&["c.csv", "--field", "body", "--id-field", "key"]), expected);
    assert_eq!(of(&["c.tsv", "--field", "body"]), expected);
    assert_eq!(of(&["beir"]), expected);
    assert_eq!(of(&["beir/corpus.jsonl"]), expected);
}

#[test]
fn queries_and_documents_have_the_prompts_of_the_model_or_those_named() {
    let place = Cached::new();
    place.0.copy_model("bert-mean-norm", "prompted");
    let path = place.0.path("prompted/config_sentence_transformers.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["prompts"] = serde_json::json!({"query": "rain ", "passage": "the dog ", "other": "far "});
    config["default_prompt_name"] = Value::Null;
    fs::write(&path, config.to_string()).unwrap();
    let plain = model("bert-mean-norm");
    let first =
        |args: &[&str]| results(&place.ok(&[&["search"], args, &["--json", "-k", "1"]].concat()))[0][0].1;
    place.0.write("one.txt", "runs\n");
    place.0.write("dog.txt", "the dog runs\n");
    place.0.write("far.txt", "far runs\n");
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} and {b}");
    near(
        first(&["prompted", "--corpus", "one.txt", "cat"]),
        first(&[&plain, "--corpus", "dog.txt", "rain cat"]),
    );
    near(
        first(&[
            "prompted",
            "--corpus",
            "one.txt",
            "cat",
            "--query-prompt",
            "passage",
            "--document-prompt",
            "other",
        ]),
        first(&[&plain, "--corpus", "far.txt", "the dog cat"]),
    );
    let refused =
        place.0.refused(&["search", "prompted", "--corpus", "one.txt", "cat", "--query-prompt", "qury"]);
    assert!(refused.contains("no prompt named `qury`"), "{refused}");
}

#[test]
fn only_new_texts_are_embedded_and_embed_shares_them() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let args = ["search", &model, "--corpus", "corpus.txt", "a cat"];
    // Five distinct texts; the sixth is the first again.
    assert!(place.told(&args).starts_with("6 texts, 0 from the cache, 6 embedded"));
    assert!(place.told(&args).starts_with("6 texts, all from the cache"));
    place.0.write("corpus.txt", format!("{CORPUS}a new line\n"));
    assert!(place.told(&args).starts_with("7 texts, 6 from the cache, 1 embedded"));

    let plain = place.ok(&["embed", &model, "corpus.txt"]);
    assert_eq!(place.ok(&["embed", &model, "corpus.txt", "--cache"]), plain);
    place.0.write("more.txt", "a line of embed\n");
    place.ok(&["embed", &model, "more.txt", "--cache"]);
    assert!(place.told(&["search", &model, "--corpus", "more.txt", "a"]).contains("all from the cache"));
    let stored: Value = serde_json::from_str(&place.ok(&["cache", "--json"])).unwrap();
    assert_eq!((&stored["vectors"], &stored["dim"]), (&7.into(), &32.into()));
}

#[test]
fn models_precisions_and_lengths_do_not_mix_in_one_cache() {
    let place = Cached::new();
    let (first, second) = (model("bert-mean-norm"), model("bert-cls"));
    let variants: [&[&str]; 4] =
        [&[&first], &[&second], &[&first, "--precision", "int8"], &[&first, "--truncate-dim", "8"]];
    for args in variants {
        let args = [&["search"], args, &["--corpus", "corpus.txt", "--json", "a cat"]].concat();
        let told = place.told(&args);
        assert!(told.starts_with("6 texts, 0 from the cache"), "{args:?}: {told}");
        assert_eq!(place.ok(&args), place.ok(&[&args[..], &["--no-cache"]].concat()), "{args:?}");
    }
    let fingerprint: Value = serde_json::from_str(&place.ok(&["info", &first, "--json"])).unwrap();
    let fingerprint = fingerprint["fingerprint"].as_str().unwrap();
    assert_eq!(place.ok(&["cache", "--json"]).lines().count(), 4);
    assert!(place.ok(&["cache"]).contains(&fingerprint[..12]));
    place.ok(&["cache", "clear", &fingerprint[..10]]);
    assert_eq!(place.ok(&["cache", "--json"]).lines().count(), 2);
    place.ok(&["cache", "clear", "--all"]);
    assert_eq!(place.ok(&["cache"]), "");
}

#[test]
fn a_damaged_cache_is_told_and_repaired_with_the_same_results() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let args = ["search", &model, "--corpus", "corpus.txt", "--json", "a cat"];
    let expected = place.ok(&args);
    let damages: [fn(&Path); 2] = [
        |path| fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        },
    ];
    for damage in damages {
        damage(&place.segments()[0]);
        let output = place.run(&args);
        assert_eq!(text_of(&output), expected);
        assert!(String::from_utf8_lossy(&output.stderr).contains("is damaged"));
        assert!(place.told(&args).starts_with("6 texts, all from the cache"));
    }
}

#[test]
fn a_place_that_cannot_be_written_is_told_and_does_not_stop_the_search() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    place.0.write("cache", "a file where a folder should be");
    let output = place.run(&["search", &model, "--corpus", "corpus.txt", "a cat"]);
    assert!(text_of(&output).contains("a cat sits"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: the cache is not used"));
    let named = ["search", &model, "--corpus", "corpus.txt", "a cat", "--cache-dir", "cache"];
    assert_eq!(place.run(&named).status.code(), Some(1));
}

#[test]
fn two_at_once_and_one_killed_leave_a_whole_cache() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let corpus: Vec<String> = (0..6000).map(|row| format!("the cat runs {row} times")).collect();
    place.0.write("many.txt", corpus.join("\n"));
    let args = ["search", &model, "--corpus", "many.txt", "--json", "a cat"];
    let start = || {
        let mut command = place.0.command(&args);
        command.env("TEMPER_CACHE", place.0.path("cache")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut killed = start();
    std::thread::sleep(std::time::Duration::from_millis(150));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let (first, second) = (start(), start());
    let (first, second) = (first.wait_with_output().unwrap(), second.wait_with_output().unwrap());
    assert_eq!(results(&text_of(&first)).len(), 1);
    let ids =
        |output: &Output| results(&text_of(output))[0].iter().map(|hit| hit.0.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second));
    for output in [&first, &second] {
        assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "{output:?}");
    }
    assert!(place.told(&args).starts_with("6000 texts, all from the cache"));
    let stored: Value = serde_json::from_str(&place.ok(&["cache", "--json"])).unwrap();
    assert_eq!(stored["vectors"], 6000);
}

#[test]
fn bad_corpora_and_queries_are_refused_with_their_place() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    place.0.write("empty.txt", "");
    place.0.write("latin1.txt", b"fine\nna\xefve\n");
    place.0.write("bad.jsonl", "{\"text\": \"one\"}\n{\"text\": 5}\n");
    place.0.write("torn.jsonl", "{\"text\": \"one\"}\n{\"text\": \n");
    place.0.write("c.csv", "title,body\nx,one cat\n");
    for (args, message) in [
        (vec!["empty.txt", "a"], "`empty.txt` holds no texts"),
        (vec!["missing.txt", "a"], "`missing.txt`"),
        (vec!["latin1.txt", "a"], "latin1.txt:2: not UTF-8"),
        (vec!["bad.jsonl", "a"], "bad.jsonl:2: column `text`: expected a text, found `5`"),
        (vec!["torn.jsonl", "a"], "torn.jsonl:2: invalid JSON"),
        (vec!["c.csv", "a"], "name one with `--field`"),
        (vec!["c.csv", "a", "--field", "bod"], "no column `bod`\nhint: there are `title`, `body`"),
        (vec!["c.csv", "a", "--field", "body", "--id-field", "key"], "no column `key`"),
        (vec!["corpus.txt", "a", ""], "query 2 is empty"),
        (vec!["corpus.txt", "a", "--top-k", "0"], "invalid value '0' for '--top-k"),
        (vec!["corpus.txt", "a", "--query-prompt", "qury"], "no prompt named `qury`"),
        (vec![".", "a"], "corpus.jsonl"),
    ] {
        let refused =
            place.0.refused(&[vec!["search", &model, "--no-cache", "--corpus"], args.clone()].concat());
        assert!(refused.contains(message), "{args:?}: {refused}");
    }
    let args = ["search", &model, "--no-cache", "--corpus", "corpus.txt"];
    let output = place.0.run_with(&args, "a cat\n\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdin:2: the query is empty"));
    assert!(place.0.refused(&args).contains("there are no queries: stdin is empty"));
    assert!(place.0.refused(&["cache", "clear", "abc", "--cache-dir", "."]).contains("nothing is stored"));
}

/// Ctrl-C, as a terminal sends it.
#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_embed_with_130_and_no_file_half_way_and_while_stdin_is_silent() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let texts: Vec<String> =
        (0..200_000).map(|row| format!("the dog runs {row} miles in the morning")).collect();
    place.0.write("many.txt", texts.join("\n"));
    for (source, stdin) in [("many.txt", Stdio::null()), ("-", Stdio::piped())] {
        let mut command = place.0.command(&["embed", &model, source, "-o", "out.npy"]);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(700));
        interrupt(&child);
        let started = std::time::Instant::now();
        let mut child = child;
        // Held open, so that the read of it does not end.
        let held = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(held);
        assert_eq!(output.status.code(), Some(130), "{source}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "interrupted: `out.npy` was not written\n", "{source}");
        assert!(started.elapsed().as_secs() < 20);
        let names = fs::read_dir(place.0.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("out.npy")).collect();
        assert!(left.is_empty(), "{source}: {left:?}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_search_with_130_and_what_was_embedded_is_kept() {
    let place = Cached::new();
    let model = model("bert-mean-norm");
    let texts: Vec<String> = (0..200_000).map(|row| format!("the dog runs {row} miles")).collect();
    place.0.write("many.txt", texts.join("\n"));
    let args = ["search", &model, "--corpus", "many.txt", "--cache-dir", "cache", "a dog"];
    let mut command = place.0.command(&args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(output.stdout, b"");
    let numbers: Vec<usize> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [embedded, 200_000] = numbers[..] else { panic!("{said}") };
    assert!(said.ends_with(" texts embedded, and kept in the cache\n"), "{said}");
    let listed = place.0.command(&["cache", "--cache-dir", "cache"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.split_whitespace().any(|word| word == embedded.to_string()), "{embedded}: {listed}");
}
