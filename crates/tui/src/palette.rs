//! Styles by meaning: the 16 colours of every terminal, or none at all where `NO_COLOR` is set.

use ratatui::style::{Color, Modifier, Style};

/// Every style that is drawn with.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    colour: bool,
}

impl Palette {
    /// With or without colour.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// As the person asked for: see <https://no-color.org>.
    pub fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// What matters less. Dim rather than grey, which some colour schemes make invisible.
    pub fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What matters more.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected line, page or key.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Titles.
    pub fn title(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The main line of a chart.
    pub fn line(self) -> Style {
        self.coloured(Color::Cyan)
    }

    /// Better than before; positives.
    pub fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    /// Worse than before; negatives.
    pub fn bad(self) -> Style {
        self.coloured(Color::Red)
    }

    /// To be looked at.
    pub fn warning(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A change, by its sign.
    pub fn change(self, change: f64) -> Style {
        if change < 0.0 { self.bad() } else { self.good() }
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }
}
