//! A batch without padding: sequences lie end to end.

use temper_kernels::{EmbedInput, Offsets};

/// Token ids of several texts, end to end. Tokens behind the last text's belong to none.
#[derive(Debug, Clone)]
pub struct PackedBatch {
    /// Ids, positions (each token's place in its own sequence) and types, `[tokens]` each.
    pub input: EmbedInput,
    /// `[batch + 1]`
    pub offsets: Offsets,
}

impl PackedBatch {
    /// Packs sequences in the order given.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut ids, mut positions, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        for sequence in sequences {
            ids.extend_from_slice(sequence);
            positions.extend(0..sequence.len() as u32);
            offsets.push(ids.len());
        }
        let token_types = Some(vec![0; ids.len()]);
        Self { input: EmbedInput { ids, positions, token_types }, offsets: Offsets::new(offsets) }
    }

    /// The same with the number of tokens rounded up, by tokens that belong to no sequence.
    #[must_use]
    pub(crate) fn rounded_up(&self, multiple: usize) -> Self {
        let tokens = self.tokens().next_multiple_of(multiple);
        let mut input = self.input.clone();
        input.ids.resize(tokens, 0);
        input.positions.resize(tokens, 0);
        if let Some(types) = &mut input.token_types {
            types.resize(tokens, 0);
        }
        Self { input, offsets: self.offsets.clone() }
    }

    /// The input with positions as RoBERTa numbers them: from behind `padding` on, with the padding token itself, should
    /// a text spell it, not counted and at `padding`.
    pub(crate) fn numbered_after(&self, padding: u32) -> EmbedInput {
        let mut input = self.input.clone();
        for range in self.offsets.ranges() {
            let mut last = padding;
            for (position, id) in input.positions[range.clone()].iter_mut().zip(&input.ids[range]) {
                last += u32::from(*id != padding);
                *position = if *id == padding { padding } else { last };
            }
        }
        input
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.offsets.batch()
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.offsets.tokens()
    }
}
