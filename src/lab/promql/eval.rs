//! Evaluates an expression at one time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use promql_parser::parser::{
    AggregateExpr, BinModifier, BinaryExpr, Call, Expr, LabelModifier, MatrixSelector, Offset, VectorMatchCardinality,
    VectorSelector,
};

use super::series::{self, Labels, Series};
use crate::lab::model::World;

/// The result of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(f64),
    Vector(Vec<Series>),
}

/// The lab and the time for which an expression is evaluated.
pub(super) struct Evaluation<'a> {
    pub world: &'a World,
    pub at: Timestamp,
}

impl Evaluation<'_> {
    /// Returns the value of an expression, or as an error the part that the lab cannot evaluate.
    pub fn value(&self, expression: &Expr) -> Result<Value, String> {
        match expression {
            Expr::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Expr::Paren(paren) => self.value(&paren.expr),
            Expr::Unary(unary) => Ok(match self.value(&unary.expr)? {
                Value::Scalar(number) => Value::Scalar(-number),
                Value::Vector(all) => Value::Vector(map(all, |value| -value)),
            }),
            Expr::VectorSelector(selector) => {
                let to = self.time(selector)?;
                Ok(Value::Vector(self.find(selector, series::start(to), to)?))
            }
            Expr::Aggregate(aggregate) => self.aggregate(aggregate).map(Value::Vector),
            Expr::Call(call) => self.call(call),
            Expr::Binary(binary) => self.binary(binary),
            Expr::MatrixSelector(_) => Err("a range of values is not one number: add increase() or rate()".into()),
            Expr::Subquery(_) => Err(unknown("subqueries")),
            Expr::StringLiteral(_) => Err(unknown("strings")),
            Expr::Extension(_) => Err(unknown("extensions")),
        }
    }

    fn vector(&self, expression: &Expr) -> Result<Vec<Series>, String> {
        match self.value(expression)? {
            Value::Vector(all) => Ok(all),
            Value::Scalar(_) => Err("a vector is expected, and this is a scalar".into()),
        }
    }

    fn time(&self, selector: &VectorSelector) -> Result<Timestamp, String> {
        if selector.at.is_some() {
            return Err(unknown("the modifier @"));
        }
        let moved = match selector.offset {
            None => Ok(self.at),
            Some(Offset::Pos(by)) => self.at.checked_sub(by),
            Some(Offset::Neg(by)) => self.at.checked_add(by),
        };
        moved.map_err(|e| e.to_string())
    }

    fn find(&self, selector: &VectorSelector, from: Timestamp, to: Timestamp) -> Result<Vec<Series>, String> {
        let name = selector.name.as_deref().ok_or_else(|| unknown("selectors without the name of a metric"))?;
        series::find(self.world, name, &selector.matchers, from, to)
    }

    fn call(&self, call: &Call) -> Result<Value, String> {
        let arguments: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
        match (call.func.name, arguments.as_slice()) {
            ("increase", [Expr::MatrixSelector(range)]) => self.increase(range).map(Value::Vector),
            ("rate", [Expr::MatrixSelector(range)]) => {
                let seconds = range.range.as_secs_f64();
                Ok(Value::Vector(map(self.increase(range)?, |value| value / seconds)))
            }
            ("histogram_quantile", [part, buckets]) => match self.value(part)? {
                Value::Scalar(part) => Ok(Value::Vector(quantiles(part, self.vector(buckets)?))),
                Value::Vector(_) => Err("the first argument of histogram_quantile is not a number".into()),
            },
            ("vector", [number]) => match self.value(number)? {
                Value::Scalar(value) => Ok(Value::Vector(vec![Series { labels: Labels::new(), value }])),
                Value::Vector(_) => Err("the argument of vector is not a number".into()),
            },
            ("scalar", [vector]) => match self.vector(vector)?.as_slice() {
                [one] => Ok(Value::Scalar(one.value)),
                _ => Ok(Value::Scalar(f64::NAN)),
            },
            (name, _) => Err(unknown(&format!("{name}() with these arguments"))),
        }
    }

    fn increase(&self, range: &MatrixSelector) -> Result<Vec<Series>, String> {
        let to = self.time(&range.vs)?;
        let length = SignedDuration::try_from(range.range).map_err(|e| e.to_string())?;
        self.find(&range.vs, to.checked_sub(length).map_err(|e| e.to_string())?, to)
    }

    fn aggregate(&self, aggregate: &AggregateExpr) -> Result<Vec<Series>, String> {
        let all = self.vector(&aggregate.expr)?;
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for Series { labels, value } in all {
            groups.entry(kept(labels, aggregate.modifier.as_ref())).or_default().push(value);
        }
        let name = aggregate.op.to_string();
        let result = groups.into_iter().map(|(labels, values)| {
            let value = combine(&name, &values).ok_or_else(|| unknown(&format!("{name}()")))?;
            Ok(Series { labels, value })
        });
        result.collect()
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Value, String> {
        let operator = binary.op.to_string();
        let (left, right) = (self.value(&binary.lhs)?, self.value(&binary.rhs)?);
        if operator == "or" {
            return or(left, right);
        }
        let calculate = calculation(&operator).ok_or_else(|| unknown(&format!("the operator {operator}")))?;
        Ok(match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(calculate(left, right)),
            (Value::Vector(all), Value::Scalar(right)) => Value::Vector(map(all, |left| calculate(left, right))),
            (Value::Scalar(left), Value::Vector(all)) => Value::Vector(map(all, |right| calculate(left, right))),
            (Value::Vector(left), Value::Vector(right)) => {
                Value::Vector(pairs(left, right, binary.modifier.as_ref(), calculate)?)
            }
        })
    }
}

/// Applies the operator to each pair of series that have the same labels.
fn pairs(
    left: Vec<Series>,
    right: Vec<Series>,
    modifier: Option<&BinModifier>,
    calculate: fn(f64, f64) -> f64,
) -> Result<Vec<Series>, String> {
    if modifier.is_some_and(|modifier| !matches!(modifier.card, VectorMatchCardinality::OneToOne)) {
        return Err(unknown("group_left and group_right"));
    }
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let key = |labels: Labels| if matching.is_none() { labels } else { kept(labels, matching) };
    let mut by_labels = BTreeMap::new();
    for one in right {
        if by_labels.insert(key(one.labels), one.value).is_some() {
            return Err("several series of the right side have the labels of one of the left: aggregate them".into());
        }
    }
    let both = left.into_iter().filter_map(|one| {
        let labels = key(one.labels);
        let value = calculate(one.value, *by_labels.get(&labels)?);
        Some(Series { labels, value })
    });
    Ok(both.collect())
}

fn unknown(what: &str) -> String {
    format!(
        "the lab evaluates a subset of PromQL, without {what}: increase, rate, histogram_quantile, vector, scalar, \
         sum, min, max, avg, count, + - * / and `or`"
    )
}

fn map(all: Vec<Series>, change: impl Fn(f64) -> f64) -> Vec<Series> {
    all.into_iter().map(|one| Series { value: change(one.value), ..one }).collect()
}

/// Returns the labels that an aggregation keeps: the labels in `by`, or the labels that are not in `without`. Without
/// `by` and `without`, it keeps no labels.
fn kept(labels: Labels, modifier: Option<&LabelModifier>) -> Labels {
    let Some(modifier) = modifier else { return Labels::new() };
    let named = |label: &str| modifier.labels().labels.iter().any(|name| name == label);
    labels.into_iter().filter(|(label, _)| named(label) == modifier.is_include()).collect()
}

#[allow(clippy::cast_precision_loss)] // a few series
fn combine(name: &str, values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    Some(match name {
        "sum" => sum,
        "count" => values.len() as f64,
        "avg" => sum / values.len() as f64,
        "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => return None,
    })
}

fn calculation(operator: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match operator {
        "+" => |a, b| a + b,
        "-" => |a, b| a - b,
        "*" => |a, b| a * b,
        "/" => |a, b| a / b,
        _ => return None,
    })
}

/// Returns the series of the left vector, and the series of the right vector whose labels no series of the left vector
/// has.
fn or(left: Value, right: Value) -> Result<Value, String> {
    let (Value::Vector(mut left), Value::Vector(right)) = (left, right) else {
        return Err("both sides of `or` are vectors, for example vector(0)".into());
    };
    let more: Vec<_> = right.into_iter().filter(|one| left.iter().all(|known| known.labels != one.labels)).collect();
    left.extend(more);
    Ok(Value::Vector(left))
}

/// Returns the quantile of each histogram, interpolated within its bucket as Prometheus does.
fn quantiles(part: f64, buckets: Vec<Series>) -> Vec<Series> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for mut bucket in buckets {
        let Some(bound) = bucket.labels.remove("le").and_then(|le| le.replace("+Inf", "inf").parse().ok()) else {
            continue;
        };
        histograms.entry(bucket.labels).or_default().push((bound, bucket.value));
    }
    let all = histograms.into_iter().map(|(labels, mut buckets)| {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { labels, value: quantile(part, &buckets) }
    });
    all.collect()
}

fn quantile(part: f64, buckets: &[(f64, f64)]) -> f64 {
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    if all <= 0.0 {
        return f64::NAN;
    }
    let rank = part * all;
    let (mut below, mut counted) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            // The last bucket has no upper bound.
            let share = if *count > counted { (rank - counted) / (count - counted) } else { 1.0 };
            return if bound.is_infinite() { below } else { below + (bound - below) * share };
        }
        (below, counted) = (*bound, *count);
    }
    below
}
