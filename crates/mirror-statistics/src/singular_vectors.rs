//! Singular values and right singular vectors.

use nalgebra::{DMatrix, Dyn, SVD};

/// The right half of a thin singular value decomposition.
pub(crate) struct SingularVectors {
    /// The singular values in descending order: as many as the smaller dimension of the matrix.
    pub(crate) values: Vec<f64>,
    /// The right singular vectors in the columns, in the order of the values.
    pub(crate) vectors: DMatrix<f64>,
}

/// Decomposes a matrix. Returns `None` if the matrix has a number that is not finite or the algorithm does not
/// converge.
///
/// The matrix is reduced to a square triangular one by a QR decomposition, which is faster and does not change the
/// result: the singular values of a 10,000 × 400 matrix take about a second.
pub(crate) fn singular_vectors(matrix: &DMatrix<f64>) -> Option<SingularVectors> {
    // A power of two, so that no square overflows and no digit is lost.
    let exponent = matrix.amax().log2().floor().clamp(-1000.0, 1000.0);
    let scaled = matrix / exponent.exp2();
    // The decomposition panics on numbers that are not finite.
    if !scaled.iter().all(|number| number.is_finite()) {
        return None;
    }
    let (values, vectors) = if scaled.nrows() >= scaled.ncols() {
        let svd = decompose(scaled.qr().r())?;
        (svd.singular_values, svd.v_t?.transpose())
    } else {
        let qr = scaled.transpose().qr();
        let svd = decompose(qr.r())?;
        (svd.singular_values, qr.q() * svd.u?)
    };
    Some(SingularVectors {
        values: values.iter().map(|value| value * exponent.exp2()).collect(),
        vectors,
    })
}

fn decompose(square: DMatrix<f64>) -> Option<SVD<f64, Dyn, Dyn>> {
    let iterations = 100 * square.nrows().max(100);
    square.try_svd(true, true, f64::EPSILON, iterations)
}
