//! Small networks that are put together here, what they give, and what is refused.

use super::{
    super::{Error, names::Names},
    proto::{Attribute, Dimension, Graph, Kind, Model, Node, Opset, Property, Shape, Tensor, TensorKind, Value},
    *,
};

fn tensor(name: &str, dims: &[i64], numbers: &[f32]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: numbers.to_vec(),
        ..Tensor::default()
    }
}

fn node(kind: &str, inputs: &[&str], output: &str) -> Node {
    let input = inputs.iter().map(|name| (*name).to_owned()).collect();
    Node { op_type: kind.to_owned(), input, output: vec![output.to_owned()], ..Node::default() }
}

fn set(mut node: Node, name: &str, i: i64, f: f32) -> Node {
    node.attribute.push(Attribute { name: name.to_owned(), i, f, ..Attribute::default() });
    node
}

fn value(name: &str, dims: &[i64]) -> Value {
    let dim = dims.iter().map(|dim| Dimension { dim_value: *dim }).collect();
    let tensor = Some(TensorKind { elem_type: 1, shape: Some(Shape { dim }) });
    Value { name: name.to_owned(), kind: Some(Kind { tensor }) }
}

/// A network of two features, x.
fn model(nodes: Vec<Node>, constants: Vec<Tensor>) -> Model {
    Model {
        graph: Some(Graph {
            node: nodes,
            initializer: constants,
            input: vec![value("x", &[0, 2])],
            output: vec![value("y", &[0, 1])],
        }),
        opset_import: vec![Opset { domain: String::new(), version: 17 }],
        metadata_props: vec![Property { key: NAMES.to_owned(), value: "trend, age".to_owned() }],
    }
}

fn answers(model: &Model, output: Option<usize>) -> Vec<f64> {
    let (names, network) = read(&model.encode_to_vec(), output).unwrap();
    assert_eq!(names, Names::Given(vec!["trend".to_owned(), "age".to_owned()]));
    let mut raw = vec![f64::NAN; 3];
    network.raw(&[&[1.0, 2.0, -3.0], &[0.5, -1.0, 4.0]], &mut raw);
    raw
}

fn refused(model: &Model) -> String {
    let error: Error = read(&model.encode_to_vec(), None).unwrap_err();
    error.to_string()
}

#[test]
fn a_layer_is_its_sum() {
    let weights = || tensor("w", &[2, 1], &[2.0, 4.0]);
    let gemm = || node("Gemm", &["x", "w", "b"], "y");
    assert_eq!(answers(&model(vec![gemm()], vec![weights(), tensor("b", &[1], &[0.5])]), None), [4.5, 0.5, 10.5]);
    let halved = set(set(gemm(), "alpha", 0, 0.5), "beta", 0, 2.0);
    assert_eq!(answers(&model(vec![halved], vec![weights(), tensor("b", &[1], &[0.5])]), None), [3.0, 1.0, 6.0]);
    let turned = set(gemm(), "transB", 1, 0.0);
    let turned = model(vec![turned], vec![tensor("w", &[1, 2], &[2.0, 4.0]), tensor("b", &[], &[0.0])]);
    assert_eq!(answers(&turned, None), [4.0, 0.0, 10.0]);
}

#[test]
fn outputs_are_chosen_and_a_last_sigmoid_is_left_out() {
    let weights = tensor("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let two = model(vec![node("MatMul", &["x", "w"], "z"), node("Sigmoid", &["z"], "y")], vec![weights]);
    assert_eq!(answers(&two, Some(0)), [1.0, 2.0, -3.0]);
    assert_eq!(answers(&two, Some(1)), [0.5, -1.0, 4.0]);
    assert_eq!(refused(&two), "model has 2 outputs, and none was chosen");
}

#[test]
fn operators_do_what_onnx_says() {
    let sum = |nodes: Vec<Node>, constants: Vec<Tensor>| {
        let mut nodes = nodes;
        nodes.push(node("MatMul", &["z", "ones"], "y"));
        let mut constants = constants;
        constants.push(tensor("ones", &[2, 1], &[1.0, 1.0]));
        answers(&model(nodes, constants), None)
    };
    let one = |kind: &str| sum(vec![node(kind, &["x"], "z")], vec![]);
    assert_eq!(one("Relu"), [1.5, 2.0, 4.0]);
    assert_eq!(one("Abs"), [1.5, 3.0, 7.0]);
    assert_eq!(one("Neg"), [-1.5, -1.0, -1.0]);
    assert_eq!(one("Identity"), [1.5, 1.0, 1.0]);
    let number = || vec![tensor("c", &[], &[2.0])];
    assert_eq!(sum(vec![node("Mul", &["x", "c"], "z")], number()), [3.0, 2.0, 2.0]);
    assert_eq!(sum(vec![node("Sub", &["c", "x"], "z")], number()), [2.5, 3.0, 3.0]);
    assert_eq!(sum(vec![node("Div", &["x", "c"], "z")], number()), [0.75, 0.5, 0.5]);
    assert_eq!(sum(vec![node("Max", &["x", "c"], "z")], number()), [4.0, 4.0, 6.0]);
    assert_eq!(sum(vec![node("Add", &["x", "x"], "z")], vec![]), [3.0, 2.0, 2.0]);
    let limits = vec![tensor("low", &[], &[-1.0]), tensor("high", &[], &[1.0])];
    assert_eq!(sum(vec![node("Clip", &["x", "low", "high"], "z")], limits), [1.5, 0.0, 0.0]);
    let normalised = vec![
        tensor("s", &[2], &[2.0, 1.0]),
        tensor("b", &[2], &[0.0, 1.0]),
        tensor("m", &[2], &[1.0, 0.0]),
        tensor("v", &[2], &[1.0, 4.0]),
    ];
    let nodes = vec![set(node("BatchNormalization", &["x", "s", "b", "m", "v"], "z"), "epsilon", 0, 0.0)];
    assert_eq!(sum(nodes, normalised), [1.25, 2.5, -5.0]);
}

#[test]
fn what_is_not_served_says_why() {
    let weights = || tensor("w", &[2, 1], &[2.0, 4.0]);
    let matmul = || node("MatMul", &["x", "w"], "y");
    let check = |model: Model, reason: &str| {
        let error = refused(&model);
        assert!(error.contains(reason), "{error}");
    };
    let with = |change: &dyn Fn(&mut Graph)| {
        let mut model = model(vec![matmul()], vec![weights()]);
        change(model.graph.as_mut().unwrap());
        model
    };
    check(with(&|graph| graph.node[0].op_type = "Softmax".to_owned()), "operator Softmax of node 0 cannot be served");
    check(with(&|graph| graph.node[0].domain = "ai.onnx.ml".to_owned()), "node 0 of ai.onnx.ml cannot be served");
    check(with(&|graph| graph.node[0].input[1] = "v".to_owned()), "reading \"v\", expected a value that is known");
    check(with(&|graph| graph.node[0].input.truncate(1)), "without input 1");
    check(with(&|graph| graph.node.push(matmul())), "value \"y\" is given twice");
    check(with(&|graph| graph.node.clear()), "the output is computed by no node");
    check(with(&|graph| graph.node = vec![node("Identity", &["x"], "z"); 1025]), "the number of nodes is 1025");
    check(with(&|graph| graph.initializer[0].dims = vec![1, 2]), "a matrix of [1, 2]");
    check(with(&|graph| graph.initializer[0].dims = vec![2, -1]), "as many as the dimensions say");
    check(with(&|graph| graph.initializer[0].dims = vec![i64::MAX, i64::MAX, 4]), "as many as the dimensions say");
    check(with(&|graph| graph.initializer[0].float_data[0] = f32::NAN), "not finite somewhere");
    check(with(&|graph| graph.initializer[0].data_type = 10), "of element type 10");
    check(with(&|graph| graph.initializer[0].data_location = 1), "in another file");
    check(with(&|graph| graph.input.push(value("more", &[0, 2]))), "a network of several inputs");
    check(with(&|graph| graph.input[0] = value("x", &[0, 0])), "the shape of the input is [0, 0]");
    check(with(&|graph| graph.input[0] = value("x", &[0, i64::MAX])), "the number of columns of all layers");
    check(
        with(&|graph| graph.input[0].kind.as_mut().unwrap().tensor.as_mut().unwrap().elem_type = 11),
        "no tensor of floats",
    );
    check(with(&|graph| graph.output.push(value("z", &[0, 1]))), "a network of 2 outputs");
    let mut old = model(vec![matmul()], vec![weights()]);
    old.opset_import[0].version = 6;
    check(old, "the operator set is 6, expected 7 to 26");
    let mut names = model(vec![matmul()], vec![weights()]);
    names.metadata_props[0].value = "trend".to_owned();
    check(names, "the length of feature_names is 1, expected 2");
    // Two layers of 500 by 500 are past what a row may cost.
    let wide = vec![tensor("w", &[2, 500], &[0.1; 1000]), tensor("v", &[500, 501], &vec![0.1; 250_500])];
    let nodes = vec![node("MatMul", &["x", "w"], "h"), node("MatMul", &["h", "v"], "y")];
    check(model(nodes, wide), "the number of multiplications of a row is more than 250000");
    // Columns that double sixteen times.
    let doubled = |at: usize| {
        let from = if at == 0 { "x".to_owned() } else { format!("d{at}") };
        node("Concat", &[&from, &from], &format!("d{}", at + 1))
    };
    check(model((0..60).map(doubled).collect(), vec![]), "the number of columns of all layers is more than 65536");
}
