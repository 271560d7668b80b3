//! The devices that temper computes on: which there are, why one is not, and the one that was asked for.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "cuda")]
use burn::backend::CubeDevice;
use burn::backend::DispatchDevice;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

#[cfg(feature = "cuda")]
mod driver;

/// A device as the command line and a config name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// The first GPU if there is a usable one, else the processor.
    #[default]
    Auto,
    /// The processor, with the fused ops.
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// The processor by other code: a second opinion for tests.
    NdArray,
}

/// Why a device cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The device.
    pub device: DeviceName,
    /// What is missing.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl DeviceName {
    /// The device itself. Nothing is computed on it yet, but it will not fail for want of a driver.
    pub fn open(self) -> Result<Device, Unusable> {
        match self {
            Self::Auto => Ok(cuda(0).unwrap_or_else(|_| Device::flex())),
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => cuda(index),
            Self::NdArray => ndarray(),
        }
    }

    /// The name of an opened device.
    pub fn of(device: &Device) -> Self {
        match without_autodiff(device) {
            #[cfg(feature = "cuda")]
            DispatchDevice::Cube(CubeDevice::Cuda(device)) => Self::Cuda(device.index),
            #[cfg(feature = "ndarray")]
            DispatchDevice::NdArray(_) => Self::NdArray,
            _ => Self::Cpu,
        }
    }

    fn unusable(self, reason: impl Into<String>, remedy: &str) -> Unusable {
        Unusable { device: self, reason: reason.into(), remedy: format!("{remedy}, or use `--device cpu`") }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::NdArray => f.write_str("ndarray"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "ndarray" => Ok(Self::NdArray),
            _ => {
                let index = name.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                let unknown = || format!("`{name}` is no device; known: auto, cpu, cuda, cuda:N, ndarray");
                index.map(Self::Cuda).ok_or_else(unknown)
            }
        }
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device `{}` cannot be used: {}", self.device, self.reason)
    }
}

impl std::error::Error for Unusable {}

/// Every device with what it is, or why it cannot be used.
pub fn devices() -> Vec<(DeviceName, Result<String, Unusable>)> {
    let threads = rayon::current_num_threads();
    let cpu = format!("{}, {threads} threads", crate::instruction_set());
    let mut devices = vec![(DeviceName::Cpu, Ok(cpu))];
    match gpus() {
        Ok(gpus) => {
            devices.extend(gpus.into_iter().enumerate().map(|(i, gpu)| (DeviceName::Cuda(i), Ok(gpu))));
        }
        Err(unusable) => devices.push((unusable.device, Err(unusable))),
    }
    let what = || format!("the processor by plain code, slow: for cross-checks, {threads} threads");
    devices.push((DeviceName::NdArray, ndarray().map(|_| what())));
    devices
}

/// The backend's own device, whether autodiff is on or not.
pub(crate) fn without_autodiff(device: &Device) -> &DispatchDevice {
    let device = device.as_dispatch();
    if let DispatchDevice::Autodiff(inner) = device { inner } else { device }
}

/// Burn unwraps every call to the driver, so the driver is asked first.
#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, Unusable> {
    let found = gpus().map_err(|unusable| Unusable { device: DeviceName::Cuda(index), ..unusable })?.len();
    if index < found {
        return Ok(Device::cuda(index));
    }
    let reason = format!("there are {found} GPUs, numbered from 0");
    Err(DeviceName::Cuda(index).unusable(reason, "give the number of one (`temper devices` lists them)"))
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<Device, Unusable> {
    Err(not_built(DeviceName::Cuda(index), "cuda"))
}

/// What each GPU is.
#[cfg(feature = "cuda")]
fn gpus() -> Result<Vec<String>, Unusable> {
    let unusable = |(reason, remedy): (String, &str)| DeviceName::Cuda(0).unusable(reason, remedy);
    let gpus = driver::gpus().map_err(unusable)?;
    driver::libdevice().map_err(unusable)?;
    Ok(gpus)
}

#[cfg(not(feature = "cuda"))]
fn gpus() -> Result<Vec<String>, Unusable> {
    Err(not_built(DeviceName::Cuda(0), "cuda"))
}

#[cfg(feature = "ndarray")]
#[allow(deprecated, reason = "kept by Burn for comparisons, which is what it is for here")]
#[allow(clippy::unnecessary_wraps, reason = "fails where it is not built in")]
fn ndarray() -> Result<Device, Unusable> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, Unusable> {
    Err(not_built(DeviceName::NdArray, "ndarray"))
}

#[cfg(not(all(feature = "cuda", feature = "ndarray")))]
fn not_built(device: DeviceName, feature: &str) -> Unusable {
    let remedy = format!("build temper with `--features {feature}`");
    device.unusable(format!("this binary was built without the feature `{feature}`"), &remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["auto", "cpu", "cuda:0", "cuda:12", "ndarray"] {
            assert_eq!(name.parse::<DeviceName>().map(String::from), Ok(name.to_owned()));
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(name.parse::<DeviceName>().is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_listed_as_usable_opens_and_the_rest_says_why() {
        for (name, state) in devices() {
            match (state, name.open()) {
                (Ok(_), Ok(device)) => assert_eq!(DeviceName::of(&device.autodiff()), name),
                (Err(listed), Err(opening)) => assert_eq!(listed, opening),
                (listed, opened) => panic!("{name} is listed as {listed:?} and opens as {opened:?}"),
            }
        }
        assert!(DeviceName::Auto.open().is_ok());
    }
}
