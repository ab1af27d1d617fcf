//! A node's settings, and what is wrong with it. It must not know what operators do.

use super::{Error, proto, tensor::Tensor};

/// A node with its place, for messages and for its settings.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) number: usize,
    pub(super) node: &'a proto::Node,
}

impl At<'_> {
    /// What is wrong with the node.
    pub(super) fn wrong(self, given: impl ToString, expected: impl Into<String>) -> Error {
        let kind: String = self.node.op_type.chars().take(40).collect();
        Error::value(format!("node {} ({kind})", self.number), given, expected)
    }

    /// A setting by its name.
    pub(super) fn setting(&self, name: &str) -> Option<&proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// A finite number that is set, or its default.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, Error> {
        let value = self.setting(name).map_or(default, |setting| setting.f);
        if value.is_finite() { Ok(value) } else { Err(self.wrong(format!("{name} {value}"), "a finite number")) }
    }

    /// A whole number that is set, or its default.
    pub(super) fn whole(&self, name: &str, default: i64) -> i64 {
        self.setting(name).map_or(default, |setting| setting.i)
    }

    /// The numbers of a Constant.
    pub(super) fn constant(self) -> Result<Tensor, Error> {
        let tensor = self.setting("value").and_then(|value| value.t.as_ref());
        if let Some(tensor) = tensor {
            return Tensor::of("of a Constant", tensor);
        }
        let (dims, numbers) = if let Some(value) = self.setting("value_float") {
            (Vec::new(), vec![value.f])
        } else if let Some(value) = self.setting("value_int") {
            (Vec::new(), vec![value.i as f32])
        } else if let Some(value) = self.setting("value_floats") {
            (vec![value.floats.len()], value.floats.clone())
        } else if let Some(value) = self.setting("value_ints") {
            (vec![value.ints.len()], value.ints.iter().map(|number| *number as f32).collect())
        } else {
            return Err(self.wrong("a constant that is no number", "numbers"));
        };
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(self.wrong("a number that is not finite", "finite numbers"));
        }
        Ok(Tensor { dims, numbers })
    }
}
