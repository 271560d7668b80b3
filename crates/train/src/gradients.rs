//! The gradients of one optimizer step, added over its forward passes.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};
use temper_encoder::parameters::Place;
use temper_kernels::{RowGradient, Scalar, sum_of_squares};

/// The gradient of one parameter.
#[derive(Debug)]
pub enum Gradient {
    /// Of every element, flat.
    Dense(Tensor<1>),
    /// Of those rows of a table that were looked up.
    Rows(RowGradient),
}

impl Gradient {
    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => Self::Dense(a + b),
            (Self::Rows(a), Self::Rows(b)) => Self::Rows(a.add(&b)),
            _ => panic!("this is a bug: a table's gradient comes in rows always or never"),
        }
    }

    fn sum_of_squares(&self) -> Scalar {
        match self {
            Self::Dense(gradient) => sum_of_squares(gradient),
            Self::Rows(gradient) => Scalar::Known(gradient.sum_of_squares()),
        }
    }
}

/// Gradients by parameter name. Parameters that took no part have none and are not updated.
#[derive(Debug, Default)]
pub struct NamedGradients(BTreeMap<String, Gradient>);

impl NamedGradients {
    /// Adds a module's gradients; `word_rows` is what the forward pass's [`temper_encoder::Pass`] took, and the table of
    /// which it is.
    pub fn add<M: Module>(
        &mut self,
        module: &M,
        gradients: Gradients,
        word_rows: Option<(ParamId, RowGradient)>,
    ) {
        module.visit(&mut Taker { place: Place::default(), gradients, word_rows, into: self });
    }

    /// The global L2 norm, the same bytes at any thread count.
    pub fn norm(&self) -> Scalar {
        Scalar::sum(self.0.values().map(Gradient::sum_of_squares)).sqrt()
    }

    /// Takes out one parameter's gradient.
    pub fn remove(&mut self, name: &str) -> Option<Gradient> {
        self.0.remove(name)
    }

    fn add_one(&mut self, name: String, gradient: Gradient) {
        let sum = match self.remove(&name) {
            Some(before) => before.add(gradient),
            None => gradient,
        };
        self.0.insert(name, sum);
    }
}

struct Taker<'a> {
    place: Place,
    gradients: Gradients,
    word_rows: Option<(ParamId, RowGradient)>,
    into: &'a mut NamedGradients,
}

impl ModuleVisitor for Taker<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = match self.word_rows.take_if(|(table, _)| *table == param.id) {
            Some((_, rows)) => Some(Gradient::Rows(rows)),
            None => param.val().grad_remove(&mut self.gradients).map(|g| Gradient::Dense(g.reshape([-1]))),
        };
        if let Some(gradient) = gradient {
            self.into.add_one(self.place.name(), gradient);
        }
    }
}
