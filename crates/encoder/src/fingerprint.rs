//! The identity of an encoder: what it computes, not how its files are laid out.

use crate::encoder::Encoder;
use crate::parameters;

/// blake3 over tensor names, shapes and values, the tokenizer and the contract, as 32 hex digits.
///
/// Truncation and padding inside `tokenizer.json` do not count, since the contract overrides them.
pub fn of(encoder: &Encoder) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut tensors = parameters::collect(&encoder.network);
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    for tensor in &tensors {
        hasher.update(format!("{} {:?}\n", tensor.name, tensor.shape).as_bytes());
        hasher.update(bytemuck::cast_slice(&tensor.values));
    }
    let mut tokenizer = encoder.tokenizer().json().clone();
    if let Some(object) = tokenizer.as_object_mut() {
        object.shift_remove("truncation");
        object.shift_remove("padding");
    }
    hasher.update(tokenizer.to_string().as_bytes());
    hasher.update(serde_json::to_string(&encoder.contract).unwrap_or_default().as_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}
