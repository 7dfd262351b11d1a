//! Who imports whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// How often each imports each.
pub struct Graph(BTreeMap<(String, String), usize>);

impl FromIterator<(String, String)> for Graph {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(edges: I) -> Self {
        let mut counts = BTreeMap::new();
        for edge in edges {
            *counts.entry(edge).or_default() += 1;
        }
        Self(counts)
    }
}

impl Graph {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that import each other, directly or through others: a line for each knot.
    pub fn knots(&self) -> Vec<String> {
        let mut knots = BTreeSet::new();
        for (node, _) in self.0.keys() {
            let there = self.reached_from(node);
            let knot: Vec<_> = there
                .into_iter()
                .filter(|other| self.reached_from(other).contains(node.as_str()))
                .collect();
            if !knot.is_empty() {
                knots.insert(knot.join(" "));
            }
        }
        knots.into_iter().collect()
    }

    /// All that `node` imports, directly or through others.
    fn reached_from<'a>(&'a self, node: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut left = vec![node.to_owned()];
        while let Some(at) = left.pop() {
            for (_, to) in self.0.keys().filter(|(from, _)| *from == at) {
                if reached.insert(to.as_str()) {
                    left.push(to.clone());
                }
            }
        }
        reached
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((from, to), count) in &self.0 {
            writeln!(f, "{from} -> {to} {count}")?;
        }
        Ok(())
    }
}
