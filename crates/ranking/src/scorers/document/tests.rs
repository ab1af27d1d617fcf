//! The forms of a scorer: what is read, what is refused, what a page gets.

use super::*;
use crate::scorers::trees::{Borders, Definition, Ensemble, Level, Tree};

/// One tree that asks whether the listener likes the item.
fn trees(leaf: f32) -> Trees {
    let column = Column::ItemLiked as usize;
    let tree = Tree { levels: vec![Level { column: 0, border: 0 }], leaves: vec![-leaf, leaf] };
    Trees::new(Definition {
        form: trees::FORM,
        width: COLUMNS,
        columns: vec![Borders { column, borders: vec![0.5] }],
        heads: vec![Ensemble { bias: 0.0, trees: vec![tree] }],
    })
    .unwrap()
}

fn head(action: Action, from: From) -> HeadForm {
    HeadForm { action, from, calibration: Calibration::default() }
}

fn play() -> HeadForm {
    head(Action::Play, From::Trees { head: 0 })
}

fn read(document: &Document) -> Result<Model, Error> {
    Model::read(&document.to_json().unwrap(), |_| None)
}

fn refused(change: impl FnOnce(&mut Document)) -> String {
    let mut document = Document::new(Some(trees(2.0)), vec![play()]);
    change(&mut document);
    service_runtime::tasks::chain(&read(&document).unwrap_err())
}

#[test]
fn heads_predict_what_they_have_and_say_what_they_have_not() {
    let model = read(&Document::new(Some(trees(2.0)), vec![play()])).unwrap();
    let mut rows = vec![0.0; 2 * COLUMNS];
    rows[Column::ItemLiked as usize] = 1.0;
    let predictions = model.predict(&Matrix::from_rows(&rows).unwrap());
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    assert!((predictions[0][0] - sigmoid(2.0)).abs() < 1e-6 && (predictions[1][0] - sigmoid(-2.0)).abs() < 1e-6);
    assert_eq!(predictions[0][1..], [0.0; 3]);
    assert_eq!(model.missing(), [false, true, true, true]);
    assert_eq!(model.kind(), "trees");
}

#[test]
fn a_row_with_a_feature_that_is_no_number_is_unscored() {
    let model = read(&Document::new(Some(trees(2.0)), vec![play()])).unwrap();
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = vec![0.0; 2 * COLUMNS];
        // The column is none that the trees read.
        rows[Column::Duration as usize] = odd;
        let predictions = model.predict(&Matrix::from_rows(&rows).unwrap());
        assert!(predictions[0].iter().all(|p| p.is_nan()), "{odd}: {predictions:?}");
        assert!(predictions[1].iter().all(|p| p.is_finite()));
    }
}

#[test]
fn what_is_written_is_read() {
    let document = Document::new(Some(trees(0.3)), vec![play(), head(Action::Skip, From::Trees { head: 0 })]);
    let Model::Heads(heads) = read(&document).unwrap() else { panic!("a document of heads") };
    assert_eq!(*heads.document(), document);
    let linear = crate::scorers::cold::model();
    assert!(
        matches!(Model::read(&linear.to_json().unwrap(), |_| None).unwrap(), Model::Linear(read) if read == *linear)
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_where_and_why() {
    let other = |document: &mut Document| document.feature_schema = "0".repeat(16);
    assert!(refused(other).contains("feature schema 0000000000000000"));
    assert!(refused(|document| document.form = 3).contains("form 3"));
    assert!(refused(|document| document.heads.clear()).contains("heads is empty"));
    assert!(refused(|document| document.heads.push(play())).contains("two for play"));
    assert!(refused(|document| document.trees = None).contains("number 0 of the trees, which have 0"));
    let from = |file: &str| From::File { format: imported::Format::Lightgbm, file: file.to_owned(), output: None };
    assert!(
        refused(|document| document.heads[0].from = from("gone.txt"))
            .contains("\"gone.txt\", which the release does not")
    );
    let slope = Calibration::Platt { slope: -1.0, offset: 0.0 };
    assert!(refused(|document| document.heads[0].calibration = slope).contains("slope is negative"));
    let broken = Document::new(None, vec![head(Action::Play, from("broken.txt"))]).to_json().unwrap();
    let error = Model::read(&broken, |_| Some(b"tree\nversion=v4\n")).unwrap_err();
    assert!(service_runtime::tasks::chain(&error).contains("broken.txt"), "{error}");
    assert!(Model::read(b"{", |_| None).is_err());
}

#[test]
fn probes_find_what_a_model_minds() {
    let differs = |model: &Model| {
        let predictions = model.predict(&Matrix::from_rows(&model.probes()).unwrap());
        predictions.iter().any(|one| *one != predictions[0])
    };
    assert!(differs(&read(&Document::new(Some(trees(2.0)), vec![play()])).unwrap()));
    assert!(!differs(&read(&Document::new(Some(trees(0.0)), vec![play()])).unwrap()));
}
