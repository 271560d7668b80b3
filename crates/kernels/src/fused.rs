//! The one door between Burn's tensors and the fused CPU ops.
//!
//! An op is a function of contiguous f32 tensors that returns its output and, when a gradient is wanted, the closure
//! that turns the output's gradient into those of the inputs. This file registers such functions as one Burn backend
//! extension for Flex, and as a step of the autodiff graph.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, DispatchTensor, ExtensionType, Flex, backend_extension,
};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use crate::device::without_autodiff;

/// The gradients of an op's inputs, in order, from the gradient of its output; those not wanted are `None`.
pub(crate) type Gradient = Box<dyn FnOnce(FlexTensor, &[bool]) -> Vec<Option<FlexTensor>> + Send>;

/// Output of an op, and its gradient if it was told to track one.
pub struct Forward {
    pub(crate) output: FlexTensor,
    pub(crate) gradient: Option<Gradient>,
}

/// An op: takes its inputs, contiguous and f32, and whether a gradient is wanted.
pub type Op = Box<dyn FnOnce(Vec<FlexTensor>, bool) -> Forward>;

/// Whether the fused ops take this tensor: f32 on Flex, with or without autodiff.
pub(crate) fn fits<const D: usize>(x: &Tensor<D>) -> bool {
    is_fused(&x.device()) && x.dtype() == DType::F32
}

/// Whether a device has the fused ops: Flex, with or without autodiff.
pub fn is_fused(device: &Device) -> bool {
    matches!(without_autodiff(device), DispatchDevice::Flex(_))
}

/// Runs `op` on one to five, or seven, tensors that [`fits`] accepted.
pub(crate) fn run<const D: usize>(
    inputs: Vec<DispatchTensor>,
    op: impl FnOnce(Vec<FlexTensor>, bool) -> Forward + 'static,
) -> Tensor<D> {
    let count = inputs.len();
    let mut inputs = inputs.into_iter();
    let mut next = || inputs.next().expect("this is a bug: the inputs were counted");
    let inputs = match count {
        1 => Inputs::One(next()),
        2 => Inputs::Two(next(), next()),
        3 => Inputs::Three(next(), next(), next()),
        4 => Inputs::Four(next(), next(), next(), next()),
        5 => Inputs::Five(next(), next(), next(), next(), next()),
        _ => Inputs::Seven(next(), next(), next(), next(), next(), next(), next()),
    };
    Tensor::from_dispatch(Dispatch::fused(inputs, Box::new(op)))
}

/// The tensors of one op. Burn's extension macro takes a fixed number of tensors, or an enum like this one.
#[derive(ExtensionType)]
pub enum Inputs<B: Backend> {
    One(FloatTensor<B>),
    Two(FloatTensor<B>, FloatTensor<B>),
    Three(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Four(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Five(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Seven(
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
    ),
}

#[backend_extension(Flex, Autodiff)]
pub trait FusedOps: Backend {
    fn fused(#[extension_type] inputs: Inputs<Self>, op: Op) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn fused(inputs: Inputs<Self>, op: Op) -> FloatTensor<Self> {
        let inputs = match inputs {
            Inputs::One(a) => vec![a],
            Inputs::Two(a, b) => vec![a, b],
            Inputs::Three(a, b, c) => vec![a, b, c],
            Inputs::Four(a, b, c, d) => vec![a, b, c, d],
            Inputs::Five(a, b, c, d, e) => vec![a, b, c, d, e],
            Inputs::Seven(a, b, c, d, e, f, g) => vec![a, b, c, d, e, f, g],
        };
        op(inputs.into_iter().map(contiguous).collect(), false).output
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn fused(inputs: Inputs<Self>, op: Op) -> FloatTensor<Self> {
        match inputs {
            Inputs::One(a) => track::<C, 1>([a], op),
            Inputs::Two(a, b) => track::<C, 2>([a, b], op),
            Inputs::Three(a, b, c) => track::<C, 3>([a, b, c], op),
            Inputs::Four(a, b, c, d) => track::<C, 4>([a, b, c, d], op),
            Inputs::Five(a, b, c, d, e) => track::<C, 5>([a, b, c, d, e], op),
            Inputs::Seven(a, b, c, d, e, f, g) => track::<C, 7>([a, b, c, d, e, f, g], op),
        }
    }
}

fn track<C: CheckpointStrategy, const N: usize>(
    inputs: [FloatTensor<Autodiff<Flex>>; N],
    op: Op,
) -> FloatTensor<Autodiff<Flex>> {
    let mut primitives = Vec::with_capacity(N);
    // Moved out rather than cloned, so that an op may reuse the buffer of an input that nobody else holds.
    let nodes = inputs.map(|input| {
        let (primitive, node) = input.into_parts();
        primitives.push(contiguous(primitive));
        node
    });
    match Step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let Forward { output, gradient } = op(primitives, true);
            prepared.finish(Saved(Arc::new(Mutex::new(gradient))), output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(op(primitives, false).output),
    }
}

/// The backward step of every fused op: its state knows what to do.
#[derive(Debug)]
struct Step;

/// A gradient closure as Burn wants a step's state: `Clone` and `Debug`. It is taken once.
#[derive(Clone)]
struct Saved(Arc<Mutex<Option<Gradient>>>);

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Saved")
    }
}

impl<const N: usize> Backward<Flex, N> for Step {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let output = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let saved = ops.state.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gradient = saved.expect("this is a bug: a step runs backward once");
        for (parent, gradient) in ops.parents.iter().zip(gradient(contiguous(output), &wanted)) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The tensor itself when its storage is exactly its elements in row-major order, else a copy that is.
pub(crate) fn contiguous(x: FlexTensor) -> FlexTensor {
    x.to_contiguous()
}

/// The elements of a contiguous f32 tensor.
pub(crate) fn elements(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("this is a bug: fused ops take contiguous f32 tensors")
}

/// The elements of a contiguous f32 tensor, to be written: its own when nobody else holds them, else a copy that all
/// threads make.
pub(crate) fn writable(x: &mut FlexTensor) -> &mut [f32] {
    /// Elements that one thread copies at a time.
    const PART: usize = 1 << 16;
    if !x.is_unique() {
        let from = elements(x);
        let mut copy = Vec::with_capacity(from.len());
        let parts = copy.spare_capacity_mut()[..from.len()].par_chunks_mut(PART);
        parts.zip(from.par_chunks(PART)).for_each(|(to, from)| {
            to.write_copy_of_slice(from);
        });
        // SAFETY: the parts cover so many elements, and each was written.
        unsafe { copy.set_len(from.len()) };
        *x = tensor(copy, x.layout().shape().clone());
    }
    x.storage_mut()
}

/// Rows and columns of a matrix.
pub(crate) fn dims(x: &FlexTensor) -> [usize; 2] {
    let shape = x.layout().shape();
    [shape[0], shape[1]]
}

/// A tensor of these elements.
pub(crate) fn tensor(elements: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(elements), Layout::contiguous(shape.into()), DType::F32)
}
