//! `temper data doctor`: what it finds, the files it writes, and the gate of CI.

use serde_json::Value;

use crate::place::Place;

const TRAIN: &str = "\
{\"anchor\": \"how do I oil a chain\", \"positive\": \"drip oil on the chain\"}
{\"anchor\": \"how do I oil a chain\", \"positive\": \"drip oil on the chain\"}
{\"anchor\": \"how do I fix a flat tyre\", \"positive\": \"patch the tube\"}
{\"anchor\": \"what is judged\", \"positive\": \"what is judged\"}
";

#[test]
fn the_doctor_names_places_cleans_and_gates() {
    let place = Place::new();
    place.write("train.jsonl", TRAIN);
    place.write("dev.jsonl", "{\"anchor\": \"how do I fix a flat tyre\", \"positive\": \"glue\"}\n");
    let base = ["data", "doctor", "train.jsonl", "--eval", "dev.jsonl"];
    let told = place.ok(&base);
    for expected in ["train.jsonl:2  as train.jsonl:1", "its anchor is in dev.jsonl:1", "same_text"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let files = ["--json", "--cleaned", "clean.jsonl", "--exclusions", "wrong.jsonl"];
    let report: Value = serde_json::from_str(&place.ok(&[&base[..], &files].concat())).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 3);
    assert_eq!((&report["kept"], &report["checks"][0]["share"]), (&1.into(), &0.25.into()));
    let clean = std::fs::read_to_string(place.path("clean.jsonl")).unwrap();
    assert_eq!(clean.lines().count(), 1);
    let wrong = std::fs::read_to_string(place.path("wrong.jsonl")).unwrap();
    assert!(wrong.lines().count() == 2 && wrong.contains("{\"query\":\"what is judged\""), "{wrong}");
    place.ok(&["data", "inspect", "train.jsonl", "--exclude", "wrong.jsonl"]);

    place.write("limits.toml", "duplicate = 0.25\nleak = 0.1\n");
    let gated = place.run(&[&base[..], &["--limits", "limits.toml"]].concat());
    let errors = String::from_utf8(gated.stderr).unwrap();
    assert_eq!(gated.status.code(), Some(1));
    assert!(errors.contains("above the limits: leak: 0.2500 of the examples, at most 0.1"), "{errors}");
}

#[test]
fn with_a_model_the_doctor_sees_pairs_that_do_not_fit() {
    let place = Place::new();
    let row =
        |i: usize| format!("{{\"anchor\": \"word{i} w{i} x{i}\", \"positive\": \"word{i} w{i} x{i} y\"}}\n");
    let mut text: String = (0..20).map(row).collect();
    text.push_str("{\"anchor\": \"word1 w1 x1 z\", \"positive\": \"word9 q\"}\n");
    place.write("train.jsonl", text);
    let model = crate::place::model("bert-mean-norm");
    let args = ["data", "doctor", "train.jsonl", "--no-cache", "--model", &model, "--rank", "1", "--json"];
    let report: Value = serde_json::from_str(&place.ok(&args)).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let weak = findings.iter().any(|f| f["check"] == "weak_positive" && f["place"] == "train.jsonl:21");
    assert!(weak && report["false_negative_in_batch"].as_f64().unwrap() > 0.0, "{report}");
    let without: Value =
        serde_json::from_str(&place.ok(&[&args[..], &["--leave-out", "weak_positive"]].concat())).unwrap();
    assert!(without["kept"].as_u64().unwrap() < report["kept"].as_u64().unwrap());
    assert!(place.refused(&["data", "doctor", "x.jsonl", "--leave-out", "weak"]).contains("weak_positive"));
    assert!(
        place
            .refused(&["data", "doctor", "train.jsonl", "--model", &model, "--rank", "0"])
            .contains("--rank")
    );
}

#[test]
fn limits_are_checked_and_errors_name_the_line() {
    let place = Place::new();
    place.write("train.jsonl", TRAIN);
    let base = ["data", "doctor", "train.jsonl", "--limits", "limits.toml"];
    for (limits, problem, hint) in [
        ("# ours\n\nleeks = 0.1\n", "line 3: there is no check `leeks`", "near_leak"),
        ("duplicate = 1.5\n", "line 1: `duplicate` is no share", ""),
        ("length = 0.5\nduplicate = \"no\"\n", "line 2: `duplicate` is no share", ""),
        ("length = 0.5\nscript 0.1\n", "line 2: ", "a line has `leak = 0.01`"),
        (
            "length = 0.5\nleak = 0\n",
            "line 2: `leak` is not looked for without --eval FILE",
            "remove the line",
        ),
        ("weak_positive = 0\n", "line 1: `weak_positive` is not looked for without --model MODEL", ""),
        ("rare_label = 0\n", "line 1: `rare_label` is not looked for in pairs, which have no labels", ""),
    ] {
        place.write("limits.toml", limits);
        let errors = place.refused(&base);
        assert!(errors.contains(problem) && errors.contains(hint), "{errors}");
    }
}

#[test]
fn what_is_not_looked_for_is_not_told_as_absent() {
    let place = Place::new();
    place.write("scored.csv", "sentence1,sentence2,score\na b,c d,0.5\ne f,e f,0.7\n");
    let model = crate::place::model("bert-mean-norm");
    let base = ["data", "doctor", "scored.csv", "--no-cache", "--model", &model];
    let why = "not looked for in scored pairs, which have no";
    let told = place.ok(&base);
    let expected = [
        "not looked for without --eval FILE: leak, near_leak".to_owned(),
        format!("{why} positives: same_text, shared_positive, false_negative, weak_positive"),
        format!("{why} classes: rare_label"),
    ];
    assert!(expected.iter().all(|line| told.lines().any(|other| other == line)), "{told}");
    assert_eq!(told.matches("not looked for").count(), expected.len());
    let report: Value =
        serde_json::from_str(&place.ok(&[&base[..], &["--json", "--html", "page.html"]].concat())).unwrap();
    for check in report["checks"].as_array().unwrap() {
        let is_number = check["examples"].is_u64() && check["share"].is_f64();
        assert_eq!(check["not_looked_for"].is_null(), is_number, "{check}");
        assert_eq!(check["examples"].is_null(), !is_number, "{check}");
    }
    assert_eq!(report["checks"][14]["not_looked_for"], "in scored pairs, which have no positives");
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    assert_eq!((page.matches(why).count(), page.matches("not looked for without").count()), (5, 2));
    place.write("limits.toml", "truncated = 0\n\nweak_positive = 0\n");
    for (args, problem) in [
        (["--limits", "limits.toml"], "line 3: `weak_positive` is not looked for in scored pairs, which"),
        (["--leave-out", "script,leak"], "--leave-out: `leak` is not looked for without --eval FILE"),
    ] {
        let errors = place.refused(&[&base[..], &args].concat());
        assert!(errors.contains(problem), "{errors}");
    }
}

#[test]
fn the_page_holds_every_finding_and_nothing_from_outside() {
    let place = Place::new();
    let mut text = TRAIN.to_owned();
    text.push_str("{\"anchor\": \"<script>alert('&')</script>\", \"positive\": \"x\"}\n");
    text.push_str(&"{\"anchor\": \"<img src=\\\"a\\\">\", \"positive\": \"word\"}\n".repeat(2));
    place.write("train.jsonl", text);
    place.write("limits.toml", "duplicate = 0.1\nscript = 0.5\n");
    let model = crate::place::model("bert-mean-norm");
    let base = ["data", "doctor", "train.jsonl", "--no-cache", "--model", &model, "--json"];
    let output = place.run(&[&base[..], &["--html", "page.html", "--limits", "limits.toml"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    for outside in ["<script", "<img", "<link", "src=\"", "href", "url(", "@import", "http:", "https:"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("default-src 'none'"));
    assert_eq!(page.matches("not looked for without --eval").count(), 2);
    assert!(page.contains("positive: tokens; 0.00 % are cut off at 32") && page.contains("limit 0.5"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() >= 5, "{report}");
    assert_eq!(page.matches("<li>").count(), findings.len());
    for finding in findings {
        let place = finding["place"].as_str().unwrap();
        assert!(page.contains(&format!("<li><code>{place}</code>")), "{place}");
    }
    for tag in ["details", "svg", "figure", "li", "dl", "table", "ol", "g", "title"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let nowhere = place.run(&["data", "doctor", "train.jsonl", "--html", "no/page.html"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("no/page.html"));
}

#[test]
fn every_check_can_be_limited() {
    let place = Place::new();
    let model = crate::place::model("bert-mean-norm");
    let long =
        "how to oil a very dirty bicycle chain in winter without making a mess of the floor, and of the wall";
    let filler = |at: usize| {
        let about =
            ["the chain of my bicycle", "a good shop in this town", "the rear wheel and its tyre"][at % 3];
        let asked =
            ["how do I find", "where can we put", "why should they clean", "what is wrong with"][at % 4];
        [format!("{asked} {about} number {at}?"), format!("it is answer {at} that tells about {about}")]
    };
    let row = |texts: [&str; 3]| {
        format!("{}\n", serde_json::json!({"anchor": texts[0], "positive": texts[1], "negative": texts[2]}))
    };
    let mut triplets: String = (0..60)
        .map(|at| {
            let [a, b] = filler(at);
            row([&a, &b, &format!("no {at}")])
        })
        .collect();
    let german = "Wie reinige ich die Kette meines Fahrrads, ohne den Boden schmutzig zu machen?";
    let nearly = "with oil, and a rag that is clean";
    for texts in [
        [long, nearly, "no 1"],
        [&long.to_uppercase(), &nearly.replace(',', ""), "No 1!"],
        ["a twin", "of this", "no 3"],
        ["a twin", "of this", "no 3"],
        ["this is judged", "by somebody", "no 4"],
        ["a twin", "not at all", "of this"],
        ["the same", "the same", "no 5"],
        [german, "with a rag", "no 6"],
        ["как чистить", "with a rag", "no 7"],
        ["?", "nothing is asked", "no 8"],
    ] {
        triplets.push_str(&row(texts));
    }
    place.write("triplets.jsonl", triplets);
    let nearly = [&long.replace(", and", " and"), "With oil and a rag that is clean.", "nothing"];
    place.write("judged.jsonl", row(["this is judged", "otherwise", "none"]) + &row(nearly));
    let labelled = |texts: [&str; 2], label: usize| {
        format!("{}\n", serde_json::json!({"sentence1": texts[0], "sentence2": texts[1], "label": label}))
    };
    let mut pairs: String = (0..60)
        .map(|at| {
            let [a, b] = filler(at);
            labelled([&a, &b], at % 2)
        })
        .collect();
    pairs.push_str(&labelled([long, "clean it"], 0));
    pairs.push_str(&labelled(["Clean it!", &long.to_uppercase()], 1));
    pairs.push_str(&labelled(["alone", "and rare"], 2));
    place.write("pairs.jsonl", pairs);

    let triplets =
        ["triplets.jsonl", "--eval", "judged.jsonl", "--model", &model, "--no-cache", "--rank", "20"];
    let of_triplets = [
        "duplicate",
        "near_duplicate",
        "leak",
        "near_leak",
        "contradiction",
        "same_text",
        "shared_positive",
        "length",
        "script",
        "language",
        "truncated",
        "false_negative",
        "weak_positive",
    ];
    let checks = of_triplets.map(|check| (check, &triplets[..]));
    let of_pairs = ["near_contradiction", "rare_label"].map(|check| (check, &["pairs.jsonl"][..]));
    for (check, files) in checks.into_iter().chain(of_pairs) {
        let args = [&["data", "doctor"], files, &["--limits", "limits.toml", "--json"]].concat();
        place.write("limits.toml", format!("{check} = 1.0\n"));
        let report: Value = serde_json::from_str(&place.ok(&args)).unwrap();
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 15, "one of them is not tested here");
        let found = checks.iter().find(|found| found["check"] == check).unwrap();
        assert!(found["examples"].as_u64().unwrap() > 0, "{check}: {found}");
        let line = report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
        assert!(line.unwrap()["place"].as_str().unwrap().starts_with(files[0]));
        place.write("limits.toml", format!("{check} = 0.0\n"));
        let gated = place.run(&args);
        let errors = String::from_utf8(gated.stderr).unwrap();
        assert_eq!(gated.status.code(), Some(1), "{check}: {errors}");
        assert!(errors.contains(&format!("above the limits: {check}: ")), "{errors}");
    }
}

/// A named pipe is a file whose reading has no end: whoever opens it for writing knows that it is being read.
#[test]
fn ctrl_c_ends_it_with_130_and_leaves_nothing_behind() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe.jsonl")).status().unwrap();
    assert!(made.success());
    let mut command = place.command(&["data", "doctor", "pipe.jsonl", "--html", "page.html"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pipe = std::fs::OpenOptions::new().write(true).open(place.path("pipe.jsonl")).unwrap();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(pipe);
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 1);
}
