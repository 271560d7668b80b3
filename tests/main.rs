//! All integration tests in one binary, so that it links once.
#![allow(missing_docs, clippy::unwrap_used)]

mod architectures;
mod bad_folders;
mod cached_gist;
mod chunking;
mod cli_shell;
mod cli_training;
mod cli_using;
mod configs;
mod data_commands;
mod data_sample;
mod doctor;
mod encoder_losses;
mod folders;
mod golden;
mod golden_evaluators;
mod golden_losses;
mod golden_models;
mod golden_trajectory;
mod gradient_cache;
mod hub;
mod hub_server;
mod judging;
mod labelled;
mod mining;
mod near_texts;
mod own_negatives;
mod place;
mod ranking_forms;
mod resume;
mod runs;
mod search;
mod sets;
mod teacher_scores;
mod torch_files;

/// A test file that is not listed above would never run.
#[test]
fn every_test_file_is_listed() {
    let source = include_str!("main.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|m| *m != "main") {
            assert!(
                source.contains(&format!("mod {module};")),
                "tests/{name} is not listed in tests/main.rs"
            );
        }
    }
}
