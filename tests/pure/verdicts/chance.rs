//! Random numbers of several distributions, from a seed.

use fastrand::Rng;

pub struct Chance(Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Returns a uniform random number above 0 and below 1.
    fn unit(&mut self) -> f64 {
        self.0.f64().max(1e-300)
    }

    /// Returns the number of events of a Poisson process with this mean, computed from the times between events.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut events, mut time) = (0, -self.unit().ln());
        while time < mean {
            events += 1;
            time -= self.unit().ln();
        }
        events
    }

    /// Returns how many of `n` tries succeed with probability `p` each, computed from the tries between successes.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 || n == 0 {
            return 0;
        }
        let (mut found, mut at) = (0, 0);
        loop {
            let skipped = if p >= 1.0 { 0.0 } else { (self.unit().ln() / (-p).ln_1p()).floor() };
            at = whole(skipped).saturating_add(1).saturating_add(at);
            if at > n {
                return found;
            }
            found += 1;
        }
    }

    /// Returns a random rate with this mean, with which two tries have this correlation.
    pub fn beta(&mut self, mean: f64, correlation: f64) -> f64 {
        let size = 1.0 / correlation - 1.0;
        let (a, b) = (self.gamma(mean * size), self.gamma((1.0 - mean) * size));
        a / (a + b).max(1e-300)
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Returns a gamma-distributed number by Marsaglia and Tsang's method; a shape below 1 is derived from the shape
    /// plus 1.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.unit().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the value is never negative, and the cast saturates
pub fn whole(value: f64) -> u64 {
    value as u64
}
