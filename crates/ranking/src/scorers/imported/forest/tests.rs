//! Forests that were drawn at random give what following them gives, and what is no forest is refused.

use proptest::prelude::*;

use super::*;

const FEATURES: u32 = 5;

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (-12_i8..12).prop_map(|number| f32::from(number) / 4.0),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, -1e-45, 1e-35, -1e-35]),
    ]
}

fn missing() -> impl Strategy<Value = Missing> {
    use Missing::{AsZero, Left, Right, TinyLeft, TinyRight, ZeroLeft, ZeroRight};
    prop::sample::select(vec![AsZero, Left, Right, TinyLeft, TinyRight, ZeroLeft, ZeroRight])
}

fn question() -> impl Strategy<Value = (u32, f32, Missing)> {
    let at = prop_oneof![
        8 => (-12_i8..12).prop_map(|at| f32::from(at) / 4.0),
        1 => prop::sample::select(vec![f32::INFINITY, f32::NEG_INFINITY, 1e-35, -1e-35, -1e-45, f32::MAX]),
    ];
    (0..FEATURES, at, missing())
}

/// A tree of so many splits: each new one takes the place of a leaf that is drawn.
fn binary(most: usize) -> impl Strategy<Value = Tree> {
    let split = (question(), any::<prop::sample::Index>(), any::<bool>());
    (prop::collection::vec(split, 0..most), -1.0_f64..1.0).prop_map(|(drawn, value)| {
        let mut splits: Vec<Split> = Vec::new();
        // Where each leaf hangs: a split and a side.
        let mut hanging: Vec<Option<(usize, bool)>> = vec![None];
        for ((feature, at, missing), leaf, lean) in drawn {
            // Half of them take the latest leaf, so that some trees are deep.
            let leaf = if lean { hanging.len() - 1 } else { leaf.index(hanging.len()) };
            let number = splits.len();
            if let Some((above, right)) = hanging[leaf] {
                let above = &mut splits[above];
                *(if right { &mut above.right } else { &mut above.left }) = Next::Split(number as u32);
            }
            let (left, right) = (Next::Leaf(leaf as u32), Next::Leaf(hanging.len() as u32));
            splits.push(Split { feature, at, missing, left, right });
            hanging[leaf] = Some((number, false));
            hanging.push(Some((number, true)));
        }
        let leaves = (0..hanging.len()).map(|leaf| value + leaf as f64 / 7.0).collect();
        Tree::Binary(Binary { splits, leaves })
    })
}

fn levels() -> impl Strategy<Value = Tree> {
    prop::collection::vec(question(), 0..11).prop_map(|questions| {
        let leaves = (0..1 << questions.len()).map(|leaf| f64::from(leaf) / 3.0).collect();
        Tree::Levels(Levels { questions, leaves })
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    prop_oneof![4 => binary(64), 2 => binary(256), 1 => binary(600), 1 => binary(1400), 2 => levels()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_gets_the_sum_of_its_leaves(
        trees in prop::collection::vec(tree(), 0..6),
        numbers in prop::collection::vec(prop::collection::vec(number(), FEATURES as usize), 1..300),
        single in any::<bool>(),
    ) {
        let sum = Sum { start: 0.25, single, scale: 0.5, offset: -1.0 };
        let forest = Forest::new(FEATURES as usize, trees.clone(), sum).unwrap();
        let columns: Vec<Vec<f32>> =
            (0..FEATURES as usize).map(|feature| numbers.iter().map(|row| row[feature]).collect()).collect();
        let columns: Vec<&[f32]> = columns.iter().map(Vec::as_slice).collect();
        let mut raw = vec![f64::NAN; numbers.len()];
        forest.raw(&columns, &mut raw);
        for (row, raw) in numbers.iter().zip(raw) {
            prop_assert_eq!(raw, Forest::reference(&trees, sum, row), "row {:?}", row);
        }
    }
}

fn split(feature: u32, at: f32, left: Next, right: Next) -> Split {
    Split { feature, at, missing: Missing::AsZero, left, right }
}

fn refused(splits: Vec<Split>, leaves: Vec<f64>) -> String {
    let refused = Forest::new(2, vec![Tree::Binary(Binary { splits, leaves })], Sum::PLAIN).unwrap_err();
    assert!(refused.tree.is_none_or(|tree| tree == 0));
    refused.problem.to_string()
}

#[test]
fn what_is_no_tree_is_refused_with_the_place() {
    use Next::{Leaf, Split};
    let check = |splits: Vec<_>, leaves: &[f64], expected: &str| {
        assert_eq!(refused(splits, leaves.to_vec()), expected);
    };
    check(vec![], &[], "0 leaves, expected 1");
    check(vec![split(2, 0.0, Leaf(0), Leaf(1))], &[1.0, 2.0], "split 0 reads feature 2, the model has 2");
    check(vec![split(0, f32::NAN, Leaf(0), Leaf(1))], &[1.0, 2.0], "the threshold of split 0 is no number");
    check(vec![split(0, 0.0, Leaf(0), Leaf(1))], &[1.0, f64::NAN], "leaf 1 is not finite");
    check(vec![split(0, 0.0, Leaf(0), Leaf(2))], &[1.0, 2.0], "leaf 2 does not exist");
    check(vec![split(0, 0.0, Split(7), Leaf(1))], &[1.0, 2.0], "split 7 does not exist");
    check(vec![split(0, 0.0, Leaf(1), Leaf(1))], &[1.0, 2.0], "leaf 1 is reached twice");
    let cycle = vec![split(0, 0.0, Leaf(0), Split(1)), split(1, 0.0, Split(0), Leaf(1))];
    check(cycle, &[1.0, 2.0, 3.0], "split 0 is reached twice");
    let apart = vec![split(0, 0.0, Leaf(0), Leaf(1)), split(1, 0.0, Split(1), Leaf(2))];
    check(apart, &[1.0, 2.0, 3.0], "split 1 is never reached");
    check(vec![], &[f64::MAX * 2.0], "leaf 0 is not finite");
}

#[test]
fn limits_hold() {
    let leaf = || Tree::Binary(Binary { splits: vec![], leaves: vec![1.0] });
    let given = |trees| Forest::new(1, trees, Sum::PLAIN).unwrap_err().problem.to_string();
    assert_eq!(given(vec![leaf(); MAX_TREES + 1]), "100001 trees, at most 100000 are taken");
    let large = Tree::Levels(Levels { questions: vec![(0, 0.0, Missing::Left); 16], leaves: vec![0.0; 1 << 16] });
    assert_eq!(given(vec![large; 33]), "2162655 splits, at most 2097152 are taken");
    let deep = Tree::Levels(Levels { questions: vec![(0, 0.0, Missing::Left); 17], leaves: vec![] });
    assert_eq!(given(vec![deep]), "17 levels, at most 16 are taken");
    let most = Tree::Binary(Binary { splits: vec![], leaves: vec![f64::MAX] });
    assert_eq!(
        given(vec![most.clone(), most]),
        "the sum of its leaves, with start, scale and offset, may not be finite"
    );
    assert_eq!(
        Forest::new(MAX_FEATURES + 1, vec![], Sum::PLAIN).unwrap_err().problem.to_string(),
        "4097 features, at most 4096 are taken"
    );
}
