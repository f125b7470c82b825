//! libtorch, made ready: the device that a file names, and how many threads it may use.

use tch::{Cuda, Device};

/// A device that is not there, or not a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("`{0}` is no device: expected cpu, cuda or cuda:N")]
    NotADevice(String),
    /// cuda was asked for and there is none.
    #[error(
        "`{0}` was asked for, and this libtorch sees no CUDA device: use `device: cpu`, or a LIBTORCH built for CUDA"
    )]
    NoCuda(String),
    /// Fewer CUDA devices than that.
    #[error("`{name}` was asked for, and there are {count} CUDA devices, numbered from 0")]
    NoSuchCuda {
        /// As given.
        name: String,
        /// Devices seen.
        count: i64,
    },
}

/// Checks that the device is there and bounds libtorch's threads. One thread makes sums repeat to the last bit.
pub fn prepare(device: &str, threads: u32) -> Result<Device, DeviceError> {
    let found = self::device(device)?;
    tch::set_num_threads(threads.max(1) as i32);
    Ok(found)
}

/// The device of this name, which is there.
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
    fn the_processor_is_always_there() {
        assert_eq!(prepare("cpu", 1), Ok(Device::Cpu));
        assert_eq!(tch::get_num_threads(), 1);
        let sum = tch::Tensor::from_slice(&[1.0f32, 2.0]).sum(tch::Kind::Float);
        assert!(matches!(f32::try_from(sum), Ok(3.0)));
    }

    #[test]
    fn what_is_no_device_is_refused() {
        for name in ["gpu", "", "cuda:", "cuda:-1", "cuda:x"] {
            assert_eq!(prepare(name, 1), Err(DeviceError::NotADevice(name.to_owned())));
        }
        if !Cuda::is_available() {
            assert_eq!(prepare("cuda", 1), Err(DeviceError::NoCuda("cuda".to_owned())));
        }
    }
}
