//! Text in, vectors out: a contract, its tokenizer and its network together.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::Device;
use rayon::prelude::*;
use serde_json::Value;
use temper_kernels::{LinearPrecision, is_fused};
use temper_vectors::Embeddings;

use crate::contract::Contract;
use crate::network::Network;
use crate::packed::PackedBatch;
use crate::pass::Pass;
use crate::tokenizing::Tokenizer;
use crate::weights::NamedTensor;
use crate::{Error, fingerprint, parameters};

/// Tokens of one forward pass while embedding, of which each thread does its own: few enough for its cache.
const BATCH_TOKENS: usize = 512;
/// The same for other devices, which are kept busy by more.
const DEVICE_BATCH_TOKENS: usize = 16384;

/// A sentence encoder. Cloning is cheap: tensors, tokenizer and carried data are shared.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// How a text becomes a vector.
    pub contract: Contract,
    /// The parameters.
    pub network: Network,
    tokenizer: Arc<Tokenizer>,
    config: Arc<Value>,
    carried: Arc<Vec<NamedTensor>>,
    linear_precision: LinearPrecision,
}

impl Encoder {
    /// Puts the parts together; `config` is the transformer's `config.json`.
    pub fn new(
        contract: Contract,
        mut tokenizer: Tokenizer,
        network: Network,
        config: Value,
    ) -> Result<Self, Error> {
        tokenizer.configure(&contract, contract.lower_case)?;
        Ok(Self {
            contract,
            network,
            tokenizer: tokenizer.into(),
            config: config.into(),
            carried: Arc::default(),
            linear_precision: LinearPrecision::F32,
        })
    }

    /// Tensors that are written again although nothing computes with them.
    pub(crate) fn carry(&mut self, tensors: Vec<NamedTensor>) {
        self.carried = tensors.into();
    }

    /// The same encoder with other parameters (those of a training step).
    #[must_use]
    pub fn with_network(&self, network: Network) -> Self {
        Self { network, linear_precision: LinearPrecision::F32, ..self.clone() }
    }

    /// The same encoder with its linear layers packed for this CPU, once for all texts to come.
    #[must_use]
    pub fn for_inference(mut self, precision: LinearPrecision) -> Self {
        self.network.pack(precision);
        self.linear_precision = precision;
        self
    }

    /// What the weights of linear layers are held in.
    pub fn linear_precision(&self) -> LinearPrecision {
        self.linear_precision
    }

    /// The same encoder with another maximum length or truncation dimension.
    pub fn with_contract(&self, contract: Contract) -> Result<Self, Error> {
        let mut tokenizer = (*self.tokenizer).clone();
        tokenizer.configure(&contract, false)?;
        Ok(Self { contract, tokenizer: tokenizer.into(), ..self.clone() })
    }

    /// The tokenizer, configured as the contract says.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The transformer's `config.json` as read.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Tensors that only pass through.
    pub fn carried(&self) -> &[NamedTensor] {
        &self.carried
    }

    /// Number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.network.num_params()
    }

    /// The device the parameters live on.
    pub fn device(&self) -> Device {
        self.network.devices().into_iter().next().unwrap_or_else(Device::flex)
    }

    /// Identity of weights, tokenizer and contract; see [`fingerprint`].
    pub fn fingerprint(&self) -> String {
        fingerprint::of(self)
    }

    /// One vector a text, in the order given; `prompt` is put in front of every text.
    ///
    /// `progress` is told how many texts were done since it was last called.
    pub fn embed<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        prompt: Option<&str>,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Embeddings, Error> {
        Ok(self.embed_tokens(&self.tokenizer.encode(texts, prompt)?, progress))
    }

    /// One vector for each text's token ids, as [`Tokenizer::encode`] gives them, in the order given.
    pub fn embed_tokens(&self, ids: &[Vec<u32>], progress: &mut (dyn FnMut(usize) + Send)) -> Embeddings {
        let (full, dim) = (self.contract.full_dim(), self.contract.dim());
        let done = Mutex::new((vec![0.0; ids.len() * dim], progress));
        let embed = |batch: &Vec<usize>| {
            let packed = PackedBatch::new(batch.iter().map(|i| ids[*i].as_slice()));
            let output = self.network.forward(&self.contract, &packed, &Pass::inference());
            let output = parameters::values(output.inner());
            let (values, progress) = &mut *done.lock().unwrap_or_else(PoisonError::into_inner);
            for (row, index) in output.chunks_exact(full).zip(batch) {
                values[index * dim..(index + 1) * dim].copy_from_slice(&row[..dim]);
            }
            progress(batch.len());
        };
        if is_fused(&self.device()) {
            // Each thread has a batch of its own, so that none waits for another op by op; those that run out of
            // batches help with the others' ops. Within the pool, so that a single batch's ops need not wake it.
            let batches = token_batches(ids, BATCH_TOKENS);
            rayon::scope(|_| batches.par_iter().with_max_len(1).for_each(embed));
        } else {
            token_batches(ids, DEVICE_BATCH_TOKENS).iter().for_each(embed);
        }
        Embeddings { dim, values: done.into_inner().unwrap_or_else(PoisonError::into_inner).0 }
    }
}

/// Indices of the sequences, longest first, cut into batches of at most `budget` tokens.
fn token_batches(ids: &[Vec<u32>], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(ids[*i].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for index in order {
        let length = ids[index].len();
        match batches.last_mut() {
            Some(batch) if tokens + length <= budget => {
                batch.push(index);
                tokens += length;
            }
            _ => {
                batches.push(vec![index]);
                tokens = length;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_sequence_once_within_the_budget() {
        let ids: Vec<Vec<u32>> = (0..100).map(|i| vec![0; 1 + (i * 97) % 512]).collect();
        let batches = token_batches(&ids, BATCH_TOKENS);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(batches.iter().all(|b| b.iter().map(|i| ids[*i].len()).sum::<usize>() <= BATCH_TOKENS));
    }

    #[test]
    fn no_texts_no_batches() {
        assert!(token_batches(&[], BATCH_TOKENS).is_empty());
    }
}
