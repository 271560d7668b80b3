//! The NVIDIA driver, asked what there is without a panic: Burn unwraps every one of these calls.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

use libloading::Library;

/// What is missing, and what to do.
type Missing = (String, &'static str);

type Init = unsafe extern "C" fn(u32) -> c_int;
type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
type ErrorText = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR` of cuda.h.
const COMPUTE_CAPABILITY: [c_int; 2] = [75, 76];
/// `CUDA_ERROR_NO_DEVICE` of cuda.h.
const NO_DEVICE: c_int = 100;

/// Name, architecture and memory of every GPU.
pub(super) fn gpus() -> Result<Vec<String>, Missing> {
    // SAFETY: the driver library has no unsound initialisers, and the signatures are those of cuda.h (`CUresult` and
    // `CUdevice` are ints).
    unsafe {
        let library = ["libcuda.so.1", "libcuda.so"].into_iter().find_map(|name| Library::new(name).ok());
        let driver = Driver(library.ok_or_else(|| {
            ("the NVIDIA driver (libcuda.so.1) is not installed".to_owned(), "install the driver")
        })?);
        driver.check("cuInit", driver.get::<Init>("cuInit")?(0))?;
        let [mut version, mut count] = [0, 0];
        driver.check("cuDriverGetVersion", driver.get::<Count>("cuDriverGetVersion")?(&raw mut version))?;
        driver.check("cuDeviceGetCount", driver.get::<Count>("cuDeviceGetCount")?(&raw mut count))?;
        if count == 0 {
            return Err(no_gpu());
        }
        let gpus = (0..count).map(|index| driver.describe(index, version)).collect();
        // The driver stays mapped for the life of the process: Burn opens it again anyway.
        std::mem::forget(driver);
        gpus
    }
}

/// The mathematical functions that kernels are linked with (exp, tanh, erf), where Burn looks for them.
pub(super) fn libdevice() -> Result<(), Missing> {
    let set = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"].map(PathBuf::from);
    // A set CUDA_PATH is believed without a look at the others.
    let places = set.as_ref().map_or(usual.as_slice(), std::slice::from_ref);
    let file = Path::new("nvvm/libdevice/libdevice.10.bc");
    if places.iter().any(|place| place.join(file).is_file()) {
        return Ok(());
    }
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err((
        format!("{} of the CUDA toolkit is not under {}", file.display(), places.join(", ")),
        "install the toolkit's nvvm part, or set CUDA_PATH to the toolkit",
    ))
}

fn no_gpu() -> Missing {
    ("the driver finds no GPU".to_owned(), "check `nvidia-smi` and CUDA_VISIBLE_DEVICES")
}

struct Driver(Library);

impl Driver {
    /// # Safety
    /// `T` must be the signature that cuda.h gives the function.
    unsafe fn get<T: Copy>(&self, name: &str) -> Result<T, Missing> {
        // SAFETY: the caller's promise.
        match unsafe { self.0.get::<T>(name) } {
            Ok(function) => Ok(*function),
            Err(error) => Err((format!("the NVIDIA driver is too old: {error}"), "update the driver")),
        }
    }

    /// # Safety
    /// After `cuInit`; see [`gpus`].
    unsafe fn describe(&self, index: c_int, version: c_int) -> Result<String, Missing> {
        let mut device = 0;
        let mut name: [c_char; 128] = [0; 128];
        let mut capability = [0; 2];
        let mut bytes = 0;
        // SAFETY: signatures as in cuda.h; every pointer is to a value of this function, the name's with its length.
        unsafe {
            self.check("cuDeviceGet", self.get::<Get>("cuDeviceGet")?(&raw mut device, index))?;
            let length = name.len() as c_int - 1;
            self.check(
                "cuDeviceGetName",
                self.get::<Name>("cuDeviceGetName")?(name.as_mut_ptr(), length, device),
            )?;
            let attribute = self.get::<Attribute>("cuDeviceGetAttribute")?;
            for (value, which) in capability.iter_mut().zip(COMPUTE_CAPABILITY) {
                self.check("cuDeviceGetAttribute", attribute(&raw mut *value, which, device))?;
            }
            let memory = self.get::<Memory>("cuDeviceTotalMem_v2")?;
            self.check("cuDeviceTotalMem", memory(&raw mut bytes, device))?;
        }
        // SAFETY: the last byte is still zero.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy();
        let [major, minor] = capability;
        let (gib, driver) = (bytes as f64 / f64::from(1 << 30), (version / 1000, version % 1000 / 10));
        Ok(format!("{name}, sm_{major}{minor}, {gib:.0} GiB, driver API {}.{}", driver.0, driver.1))
    }

    /// What a call that did not return 0 means, in the driver's own words.
    fn check(&self, call: &str, code: c_int) -> Result<(), Missing> {
        match code {
            0 => Ok(()),
            NO_DEVICE => Err(no_gpu()),
            code => {
                let mut text: *const c_char = std::ptr::null();
                // SAFETY: the signature of cuda.h; the text is static, and stays null where the code is unknown.
                let said = unsafe {
                    self.get::<ErrorText>("cuGetErrorString")
                        .ok()
                        .filter(|error_text| error_text(code, &raw mut text) == 0 && !text.is_null())
                        .map(|_| CStr::from_ptr(text).to_string_lossy().into_owned())
                };
                let said = said.unwrap_or_else(|| "no text".to_owned());
                Err((
                    format!("the NVIDIA driver's {call} failed with error {code} ({said})"),
                    "check `nvidia-smi`",
                ))
            }
        }
    }
}
