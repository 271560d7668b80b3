//! A module's parameters by the names that weight files use.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::Error;
use crate::weights::{NamedTensor, Weights};

/// Where a walk through a module is, named as weight files name it.
#[derive(Debug, Default)]
pub struct Place(Vec<String>);

impl Place {
    /// Enters a part; told what [`ModuleVisitor::enter_module`] and [`ModuleMapper::enter_module`] are told.
    pub fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    /// Leaves the part again.
    pub fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    /// The file name of the parameter here: the parts joined by dots, in the spellings of transformers that Rust cannot
    /// have as field names.
    pub fn name(&self) -> String {
        let part = |part: &String| match part.as_str() {
            "self_attention" => "self".to_owned(),
            "layer_norm" => "LayerNorm".to_owned(),
            _ => part.clone(),
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(".")
    }
}

/// Burn enters the variant of an enum as it enters a field; files know nothing of it.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

/// Fills every parameter of `module` from `weights`.
pub fn load<M: Module>(module: M, weights: &mut Weights) -> Result<M, Error> {
    let mut loader = Loader { place: Place::default(), weights, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// Copies every parameter of `module`, in module order.
pub fn collect<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut collector = Collector { place: Place::default(), tensors: Vec::new() };
    module.visit(&mut collector);
    collector.tensors
}

/// The file names of a module's parameters, in module order.
pub fn names<M: Module>(module: &M) -> Vec<String> {
    let mut namer = Namer { place: Place::default(), names: Vec::new() };
    module.visit(&mut namer);
    namer.names
}

struct Loader<'a> {
    place: Place,
    weights: &'a mut Weights,
    error: Option<Error>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.dims();
        match self.weights.take(&self.place.name(), &shape) {
            Ok(values) => param.map(|old| Tensor::from_data(TensorData::new(values, shape), &old.device())),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

struct Collector {
    place: Place,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push(NamedTensor {
            name: self.place.name(),
            shape: param.dims().to_vec(),
            values: values(param.val().inner()),
        });
    }
}

struct Namer {
    place: Place,
    names: Vec<String>,
}

impl ModuleVisitor for Namer {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.names.push(self.place.name());
    }
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("this is a bug: encoder tensors are f32")
}
