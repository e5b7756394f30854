//! Derives short names for two clusters, and makes texts of both clusters comparable.

use super::super::model::{InitError, plan_name};
use crate::plan::model::ClusterAccess;

/// What stands for the name of a cluster in a comparable text.
const PLACEHOLDER: &str = "{cluster}";

/// The names of both clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterNames {
    pub from: ClusterTexts,
    pub to: ClusterTexts,
}

/// The texts that name one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTexts {
    /// The name of the cluster in EKS, or the last part of the context's name.
    pub full: String,
    /// The word in which the names of the clusters differ, such as `blue`; `None` if more than one word differs.
    pub word: Option<String>,
    /// The name of the cluster in the plan.
    pub planned: String,
}

/// Returns the name of a cluster in EKS, or of its context.
pub fn access_name(access: &ClusterAccess) -> &str {
    match access {
        ClusterAccess::Eks(name) | ClusterAccess::KubeContext(name) => name,
        ClusterAccess::None => "",
    }
}

impl ClusterNames {
    pub fn new(from: &ClusterAccess, to: &ClusterAccess) -> Self {
        let full = |access| access_name(access).rsplit('/').next().unwrap_or_default().to_owned();
        let (old, new) = (full(from), full(to));
        let (left, right) = (words(&old), words(&new));
        let prefix = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        let (left, right) = (&left[prefix..], &right[prefix..]);
        let suffix = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count();
        let (left, right) = (&left[..left.len() - suffix], &right[..right.len() - suffix]);
        let word = |side: &[&str]| match (side, left.len() == right.len()) {
            ([one], true) => Some((*one).to_owned()),
            _ => None,
        };
        let planned = |side: &[&str], full: &str, otherwise: &str| {
            let differs = !left.is_empty() && !right.is_empty() && left != right;
            plan_name(if differs { side.join("-") } else { full.to_owned() }.as_str(), otherwise)
        };
        let (mut a, mut b) = (planned(left, &old, "old"), planned(right, &new, "new"));
        if a == b {
            (a, b) = ("old".to_owned(), "new".to_owned());
        }
        Self {
            from: ClusterTexts { word: word(left), full: old.clone(), planned: a },
            to: ClusterTexts { word: word(right), full: new.clone(), planned: b },
        }
    }

    pub fn same_cluster(&self, why: String) -> InitError {
        InitError::SameCluster { from: self.from.full.clone(), to: self.to.full.clone(), why }
    }
}

impl ClusterTexts {
    /// Returns a text in which a placeholder stands for the name of the cluster, to compare it with a text of the other
    /// cluster; `None` if the text does not name the cluster.
    pub fn neutral(&self, text: &str) -> Option<String> {
        let neutral = if self.full.is_empty() { text.to_owned() } else { text.replace(&self.full, PLACEHOLDER) };
        if neutral != text {
            return Some(neutral);
        }
        let word = self.word.as_ref()?;
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            out.push_str(if rest[..end] == **word { PLACEHOLDER } else { &rest[..end] });
            let next = rest[end..].find(|c: char| c.is_ascii_alphanumeric()).map_or(rest.len(), |at| end + at);
            out.push_str(&rest[end..next]);
            rest = &rest[next..];
        }
        (out != text).then_some(out)
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect()
}
