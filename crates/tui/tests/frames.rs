//! Frames of a recorded run: what a person sees, compared with the files in `frames/`.
//!
//! `UPDATE_FRAMES=1 cargo test --release -p temper-tui` writes them anew; read them before you keep them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use temper_runs::{Event, Exclusions, Stamped, read_events};
use temper_tui::{Board, Palette, Scene, Status, View, draw};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A run of MiniLM on the bundled sample, interrupted and resumed on the way.
fn recorded() -> Vec<Stamped> {
    read_events(&tests().join("events.jsonl")).unwrap()
}

fn board_of(events: &[Stamped]) -> Board {
    let mut board = Board::default();
    for event in events {
        board.apply(event);
    }
    board
}

fn pressed(board: &Board, keys: &str) -> View {
    let mut view = View::default();
    for key in keys.chars() {
        view.press(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), board);
    }
    view
}

fn frame(board: &Board, view: &View, status: Status, colour: bool, size: (u16, u16)) -> Buffer {
    let marks = Exclusions::open(&tests().join("exclusions.jsonl")).unwrap();
    let palette = Palette::new(colour);
    let scene = Scene { board, view, status, marks: &marks, palette, now: board.time, zone: TimeZone::UTC };
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, &scene)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let row = |y| {
        let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned() + "\n"
    };
    (0..buffer.area.height).map(row).collect()
}

fn check(name: &str, shown: &str) {
    let path = tests().join("frames").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_FRAMES").is_some() {
        std::fs::write(&path, shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == expected, "{} differs; now:\n{shown}", path.display());
}

/// The run in the middle, while it trains.
fn halfway() -> Board {
    let events = recorded();
    let until = events.iter().position(|stamped| matches!(stamped.event, Event::Finished { .. })).unwrap();
    board_of(&events[..until * 2 / 3])
}

#[test]
fn every_page_at_three_sizes() {
    let board = halfway();
    for (page, keys) in [("overview", "1"), ("queries", "2jjj"), ("scores", "3"), ("log", "4")] {
        for size in SIZES {
            let view = pressed(&board, keys);
            let shown = text(&frame(&board, &view, Status::Training, true, size));
            check(&format!("{page}-{}x{}", size.0, size.1), &shown);
        }
    }
}

#[test]
fn charts_help_questions_and_ends() {
    let (half, whole) = (halfway(), board_of(&recorded()));
    for (name, board, keys, status) in [
        ("score-chart-full", &half, "lz", Status::Training),
        ("zoomed-and-unsmoothed", &half, "+sssz", Status::Training),
        ("help", &half, "?", Status::Training),
        ("help-watching", &half, "?", Status::Attached),
        ("asking", &half, "x", Status::Training),
        ("paused", &half, " ", Status::Attached),
        ("not-running", &half, "", Status::Idle),
        ("completed", &whole, "", Status::Idle),
        ("replay", &half, "", Status::Replay(60.0)),
        ("nothing-yet", &Board::default(), "", Status::Training),
        ("no-queries-yet", &Board::default(), "2", Status::Training),
    ] {
        let view = pressed(board, keys);
        check(name, &text(&frame(board, &view, status, true, SIZES[0])));
    }
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let board = halfway();
    for size in [(79, 24), (80, 23), (20, 3), (1, 1)] {
        let shown = text(&frame(&board, &View::default(), Status::Training, true, size));
        if size.0 > 40 {
            assert!(shown.contains("needs 80x24"), "{shown}");
        }
    }
}

#[test]
fn the_loss_of_each_set_stands_below_the_numbers() {
    let mut events = recorded();
    for (loss, stamped) in (0..).zip(&mut events) {
        if let Event::Step { set_losses, .. } = &mut stamped.event {
            let name = if loss % 2 == 0 { "search" } else { "scored" };
            set_losses.insert(name.to_owned(), 1234.5);
        }
    }
    let view = View::default();
    let shown = text(&frame(&board_of(&events), &view, Status::Training, true, SIZES[2]));
    let set = |name: &str| shown.lines().any(|line| line.contains(name) && line.contains("1,235"));
    assert!(set("search") && set("scored"), "{shown}");
}

/// Texts are the same without colour, and colours are among the 16 that every terminal has.
#[test]
fn colour_is_never_needed_and_only_the_sixteen() {
    let board = halfway();
    for keys in ["1", "2", "3", "4", "?", "x"] {
        let view = pressed(&board, keys);
        let plain = frame(&board, &view, Status::Training, false, SIZES[1]);
        let coloured = frame(&board, &view, Status::Training, true, SIZES[1]);
        assert_eq!(text(&plain), text(&coloured));
        assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        let named = |colour| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
        assert!(coloured.content().iter().all(|cell| named(cell.fg) && named(cell.bg)));
    }
    let view = pressed(&board, "2");
    let plain = frame(&board, &view, Status::Training, false, SIZES[0]);
    assert!(plain.content().iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}

/// Every size between the smallest and a large one draws, at every moment of the run.
#[test]
fn any_size_at_any_moment_draws() {
    let mut board = Board::default();
    for (place, event) in recorded().iter().enumerate() {
        board.apply(event);
        let size = (80 + (place * 7 % 140) as u16, 24 + (place * 5 % 40) as u16);
        for keys in ["", "lz", "2j", "3", "4", "?", "hhhz+++"] {
            frame(&board, &pressed(&board, keys), Status::Training, true, size);
        }
    }
}

/// What is drawn depends on the events alone, wherever a resume cut them back.
#[test]
fn a_resumed_run_looks_as_its_file_does() {
    let events = recorded();
    let resumed = |stamped: &Stamped| matches!(stamped.event, Event::Started { step, .. } if step > 0);
    let at = events.iter().position(resumed).unwrap();
    // Live, the steps that were taken in vain came before the resume.
    let mut lived = events.clone();
    let mut vain: Vec<Stamped> = events[at + 1..].iter().take(4).cloned().collect();
    vain.retain(|stamped| stamped.event.step() > events[at].event.step());
    assert!(!vain.is_empty());
    lived.splice(at..at, vain);
    let (file, live) = (board_of(&events), board_of(&lived));
    for keys in ["", "2", "3", "4"] {
        let shown = |board| text(&frame(board, &pressed(board, keys), Status::Idle, true, SIZES[1]));
        assert_eq!(shown(&file), shown(&live));
    }
}
