//! Set-up of libtorch: the device and the number of threads.

use tch::{Cuda, Device};

/// Error for an unknown or unavailable device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text is not the name of a device.
    #[error("`{0}` is not a device: expected cpu, cuda or cuda:N")]
    NotADevice(String),
    /// CUDA was requested but is not available.
    #[error(
        "`{0}` was requested, but this libtorch sees no CUDA device: use `device: cpu`, or a LIBTORCH built for CUDA"
    )]
    NoCuda(String),
    /// There are fewer CUDA devices than the number requires.
    #[error("`{name}` was requested, but there are only {count} CUDA devices, numbered from 0")]
    NoSuchCuda {
        /// Name of the requested device.
        name: String,
        /// Number of CUDA devices.
        count: i64,
    },
}

/// Checks that the device is available and sets the number of libtorch threads. With one thread, sums are reproducible
/// to the last bit.
///
/// # Errors
/// Returns an error if the device is unknown or not available.
pub fn prepare(device: &str, threads: u32) -> Result<Device, DeviceError> {
    let found = self::device(device)?;
    tch::set_num_threads(threads.max(1) as i32);
    Ok(found)
}

/// Returns the device with this name.
///
/// # Errors
/// Returns an error if the device is unknown or not available.
pub(crate) fn device(device: &str) -> Result<Device, DeviceError> {
    let found = match device {
        "cpu" => Device::Cpu,
        "cuda" => Device::Cuda(0),
        _ => match device
            .strip_prefix("cuda:")
            .and_then(|number| number.parse().ok())
        {
            Some(number) => Device::Cuda(number),
            None => return Err(DeviceError::NotADevice(device.to_owned())),
        },
    };
    if let Device::Cuda(number) = found {
        if !Cuda::is_available() {
            return Err(DeviceError::NoCuda(device.to_owned()));
        }
        let count = Cuda::device_count();
        if number as i64 >= count {
            return Err(DeviceError::NoSuchCuda {
                name: device.to_owned(),
                count,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_available() {
        assert_eq!(prepare("cpu", 1), Ok(Device::Cpu));
        assert_eq!(tch::get_num_threads(), 1);
        let sum = tch::Tensor::from_slice(&[1.0f32, 2.0]).sum(tch::Kind::Float);
        assert!(matches!(f32::try_from(sum), Ok(3.0)));
    }

    #[test]
    fn an_unknown_device_is_refused() {
        for name in ["gpu", "", "cuda:", "cuda:-1", "cuda:x"] {
            assert_eq!(prepare(name, 1), Err(DeviceError::NotADevice(name.to_owned())));
        }
        if !Cuda::is_available() {
            assert_eq!(prepare("cuda", 1), Err(DeviceError::NoCuda("cuda".to_owned())));
        }
    }
}
