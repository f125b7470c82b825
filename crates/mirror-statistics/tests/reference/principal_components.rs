//! Principal components are those of scikit-learn.

use mirror_statistics::{ComponentCount, Matrix, MatrixError, PcaError, principal_components};
use mirror_test_support::Python;
use serde::Deserialize;
use serde_json::json;

use crate::data::{generator, numbers, parse};

#[derive(Deserialize)]
struct Reference {
    mean: Vec<f64>,
    components: Vec<Vec<f64>>,
    variance: Vec<f64>,
    ratio: Vec<f64>,
    projections: Vec<Vec<f64>>,
}

/// Returns a table of random rows, with a different scale and offset for each column.
fn table(seed: u64, rows: usize, columns: usize, offset: f64) -> Vec<Vec<f64>> {
    let mut generator = generator(seed);
    let mut table = vec![Vec::new(); rows];
    for column in 0..columns {
        let scale = 1.0 + column as f64 / 2.0;
        let values = numbers(&mut generator, rows, offset * column as f64, scale);
        for (row, value) in table.iter_mut().zip(values) {
            row.push(value);
        }
    }
    table
}

/// Returns tables of different shapes: tall, wide, square, with constant and dependent columns, far from zero, and of
/// two rows.
fn tables() -> Vec<Vec<Vec<f64>>> {
    let mut constant = table(13, 40, 6, 1.0);
    for row in &mut constant {
        row[1] = 0.1;
        row[4] = 0.0;
        row[5] = 2.0 * row[0] - row[2];
    }
    vec![
        table(10, 200, 7, 1.0),
        table(11, 8, 30, 0.5),
        table(12, 12, 12, 0.0),
        constant,
        table(14, 50, 5, 1e5),
        table(15, 2, 4, 1.0),
        table(16, 300, 1, 1.0),
        table(17, 500, 60, 3.0),
    ]
}

fn assert_vectors_near(ours: &[f64], theirs: &[f64], tolerance: f64, context: &str) {
    assert_eq!(ours.len(), theirs.len(), "{context}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!(
            (ours - theirs).abs() <= tolerance,
            "{context}: {ours} here and {theirs} in scikit-learn"
        );
    }
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let tables = tables();
    let counts = [json!(null), json!(1), json!(0.5), json!(0.9), json!(0.999)];
    let script = "
import numpy, warnings
from sklearn.decomposition import PCA
warnings.simplefilter('error')
def fit(table, count):
    pca = PCA(n_components=count, svd_solver='full')
    projections = pca.fit_transform(numpy.array(table))
    return {'mean': pca.mean_.tolist(), 'components': pca.components_.tolist(),
            'variance': pca.explained_variance_.tolist(), 'ratio': pca.explained_variance_ratio_.tolist(),
            'projections': projections.tolist()}
result = [[fit(table, count) for count in data['counts']] for table in data['tables']]
";
    let theirs = python.run(script, &json!({ "tables": tables, "counts": counts }));
    for (number, (rows, theirs)) in tables
        .iter()
        .zip(parse::<Vec<Vec<Reference>>>(&theirs))
        .enumerate()
    {
        let table = Matrix::from_rows(rows).expect("the table is valid");
        let all = rows.len().min(rows[0].len());
        for (count, theirs) in counts.iter().zip(theirs) {
            let context = format!("table {number}, count {count}");
            let count = match count.as_f64() {
                None => ComponentCount::Exactly(all),
                Some(1.0) => ComponentCount::Exactly(1),
                Some(share) => ComponentCount::VarianceShare(share),
            };
            let ours = principal_components(&table, count).expect("there are components");
            let greatest = theirs.variance[0];
            let magnitude = theirs.mean.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            assert_vectors_near(&ours.mean, &theirs.mean, 1e-12 * magnitude, &context);
            assert_vectors_near(
                &ours.explained_variance,
                &theirs.variance,
                1e-9 * greatest,
                &context,
            );
            assert_vectors_near(&ours.explained_variance_ratio, &theirs.ratio, 1e-9, &context);
            assert_eq!(ours.components.len(), theirs.components.len(), "{context}");
            for component in 0..theirs.components.len() {
                // The direction of a component without variance is arbitrary.
                if theirs.ratio[component] < 1e-12 {
                    continue;
                }
                let (our, their) = (&ours.components[component], &theirs.components[component]);
                assert_vectors_near(our, their, 1e-9, &context);
                for (ours, theirs) in ours.projections.iter().zip(&theirs.projections) {
                    let tolerance = 1e-9 * greatest.sqrt().max(1.0);
                    assert!(
                        (ours[component] - theirs[component]).abs() <= tolerance,
                        "{context}"
                    );
                }
            }
            assert_eq!(ours.projections.len(), rows.len(), "{context}");
        }
    }
}

#[test]
fn all_components_describe_the_table_completely() {
    for rows in tables() {
        let table = Matrix::from_rows(&rows).expect("the table is valid");
        let count = ComponentCount::Exactly(rows.len().min(rows[0].len()));
        let pca = principal_components(&table, count).expect("there are components");
        for (row, projection) in rows.iter().zip(&pca.projections) {
            for (column, value) in row.iter().enumerate() {
                let parts = projection.iter().zip(&pca.components);
                let sum: f64 = parts
                    .map(|(coordinate, component)| coordinate * component[column])
                    .sum();
                assert!((pca.mean[column] + sum - value).abs() < 1e-9);
            }
        }
        let total: f64 = pca.explained_variance_ratio.iter().sum();
        assert!((total - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_table_that_has_no_components_is_an_error() {
    let fit = |rows: &[Vec<f64>], count| {
        let table = Matrix::from_rows(rows).expect("the table is valid");
        principal_components(&table, count)
    };
    let one = ComponentCount::Exactly(1);
    assert_eq!(fit(&[vec![1.0, 2.0]], one), Err(PcaError::TooFewRows));
    assert_eq!(fit(&vec![vec![0.1, 0.3]; 7], one), Err(PcaError::NoVariance));
    let rows = table(1, 4, 3, 0.0);
    for requested in [0, 4] {
        assert_eq!(
            fit(&rows, ComponentCount::Exactly(requested)),
            Err(PcaError::ComponentCount { requested, most: 3 })
        );
    }
    for share in [0.0, 1.0, -0.5, f64::INFINITY] {
        assert_eq!(
            fit(&rows, ComponentCount::VarianceShare(share)),
            Err(PcaError::VarianceShare(share))
        );
    }
    for greatest in [f64::MAX, 1e300, 1e-200, f64::MIN_POSITIVE] {
        let rows = [vec![greatest, 0.0], vec![-greatest, greatest]];
        assert_eq!(fit(&rows, one), Err(PcaError::OutOfRange), "{greatest}");
    }
}

#[test]
fn values_that_form_no_table_are_an_error() {
    assert_eq!(Matrix::from_rows::<Vec<f64>>(&[]), Err(MatrixError::Empty));
    assert_eq!(Matrix::from_rows(&[vec![], vec![]]), Err(MatrixError::Empty));
    let ragged = Matrix::from_rows(&[vec![1.0, 2.0], vec![1.0]]);
    assert!(matches!(
        ragged,
        Err(MatrixError::Ragged {
            row: 1,
            found: 1,
            expected: 2
        })
    ));
    let infinite = Matrix::from_rows(&[vec![1.0, 2.0], vec![1.0, f64::INFINITY]]);
    assert!(matches!(
        infinite,
        Err(MatrixError::NotFinite {
            row: 1,
            column: 1,
            ..
        })
    ));
}
