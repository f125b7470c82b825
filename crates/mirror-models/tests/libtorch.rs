//! Checks that libtorch is linked, is found at run time, and computes.

use tch::{Kind, Tensor};

#[test]
fn a_tensor_can_be_created_and_summed() {
    let sum = Tensor::from_slice(&[1.0_f32, 2.0, 3.5]).sum(Kind::Float);
    assert!((sum.double_value(&[]) - 6.5).abs() < 1e-6);
}
