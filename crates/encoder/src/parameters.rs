//! A module's parameters by the names that weight files use.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::Error;
use crate::weights::{NamedTensor, Weights};

/// The file name of a parameter: module paths joined by dots, with transformers' two spellings that Rust
/// cannot have as field names.
pub fn file_name(path: &[String]) -> String {
    path.join(".").replace("self_attention", "self").replace("layer_norm", "LayerNorm")
}

/// Fills every parameter of `module` from `weights`.
pub fn load<M: Module>(module: M, weights: &mut Weights) -> Result<M, Error> {
    let mut loader = Loader { path: Vec::new(), weights, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// Copies every parameter of `module`, in module order.
pub fn collect<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut collector = Collector { path: Vec::new(), tensors: Vec::new() };
    module.visit(&mut collector);
    collector.tensors
}

struct Loader<'a> {
    path: Vec<String>,
    weights: &'a mut Weights,
    error: Option<Error>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.dims();
        match self.weights.take(&file_name(&self.path), &shape) {
            Ok(values) => param.map(|old| Tensor::from_data(TensorData::new(values, shape), &old.device())),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

struct Collector {
    path: Vec<String>,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push(NamedTensor {
            name: file_name(&self.path),
            shape: param.dims().to_vec(),
            values: values(param.val().inner()),
        });
    }
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("this is a bug: encoder tensors are f32")
}
