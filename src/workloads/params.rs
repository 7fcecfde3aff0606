//! Parameters: what makes a workload a case.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A word.
    Word(String),
}

/// Parameter values in their order: what makes a workload a case. Prints as `live=10000,size=64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Params(pub Vec<(String, Value)>);

/// How a parameter's values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Bytes, on a logarithmic axis.
    Bytes,
    /// A number, on a logarithmic axis.
    Count,
    /// Threads: a scaling plot with an ideal line.
    Threads,
    /// Words, in the order in which they appear.
    Category,
}

impl Params {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// These parameters and one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<&str> for Value {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Word(word) => out.write_str(word),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_print_in_their_order() {
        let params = Params::default().with("live", 10_000).with("size", "log-uniform");
        assert_eq!(params.to_string(), "live=10000,size=log-uniform");
        assert_eq!(params.get("live"), Some(&Value::Number(10_000)));
        assert_eq!(params.get("order"), None);
    }
}
