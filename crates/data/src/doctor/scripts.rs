//! The script that a text is written in, by the blocks of Unicode.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Scripts that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Indic,
    Thai,
    Hangul,
    Kana,
    Han,
    Other,
}

impl Script {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Latin => "Latin script",
            Self::Greek => "Greek script",
            Self::Cyrillic => "Cyrillic script",
            Self::Hebrew => "Hebrew script",
            Self::Arabic => "Arabic script",
            Self::Indic => "an Indic script",
            Self::Thai => "Thai script",
            Self::Hangul => "Hangul",
            Self::Kana => "Kana",
            Self::Han => "Han script",
            Self::Other => "another script",
        }
    }

    fn of(letter: char) -> Self {
        match letter as u32 {
            0x0041..=0x024f | 0x1e00..=0x1eff => Self::Latin,
            0x0370..=0x03ff | 0x1f00..=0x1fff => Self::Greek,
            0x0400..=0x052f => Self::Cyrillic,
            0x0590..=0x05ff => Self::Hebrew,
            0x0600..=0x077f | 0x08a0..=0x08ff | 0xfb50..=0xfdff | 0xfe70..=0xfeff => Self::Arabic,
            0x0900..=0x0dff => Self::Indic,
            0x0e00..=0x0e7f => Self::Thai,
            0x1100..=0x11ff | 0x3130..=0x318f | 0xac00..=0xd7af => Self::Hangul,
            0x3040..=0x30ff => Self::Kana,
            0x3400..=0x4dbf | 0x4e00..=0x9fff | 0x20000..=0x323af => Self::Han,
            _ => Self::Other,
        }
    }
}

/// The script of most letters; none of a text without letters. Japanese, with its Han and Kana, is Kana.
pub(super) fn script(text: &str) -> Option<Script> {
    let mut counts: BTreeMap<Script, usize> = BTreeMap::new();
    text.chars()
        .filter(|letter| letter.is_alphabetic())
        .for_each(|letter| *counts.entry(Script::of(letter)).or_default() += 1);
    if let (Some(kana), Some(han)) = (counts.get(&Script::Kana), counts.get(&Script::Han)) {
        let both = kana + han;
        counts.insert(Script::Kana, both);
    }
    counts.into_iter().max_by_key(|(script, count)| (*count, Reverse(*script))).map(|(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_letters_decide() {
        let scripts = [
            "GPU für Zürich",
            "шина 42",
            "東京タワー",
            "东京",
            "한국어",
            "عربي",
            "12:30",
            "π = 3,14",
            "naïve ε",
        ];
        let found = scripts.map(script);
        let expected = [
            Some(Script::Latin),
            Some(Script::Cyrillic),
            Some(Script::Kana),
            Some(Script::Han),
            Some(Script::Hangul),
            Some(Script::Arabic),
            None,
            Some(Script::Greek),
            Some(Script::Latin),
        ];
        assert_eq!(found, expected);
    }
}
