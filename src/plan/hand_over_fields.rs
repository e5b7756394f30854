//! Declares the fields of `handOver` steps: what must not run in two clusters at once.

use schemars::json_schema;

use super::decode::{Decode, Placed, record};
use super::diagnostic::Diagnostic;
use super::scalar::{Flag, Line, Name, Period, one_of, word};
use super::yaml::Node;
use crate::base::finding::Code;

word! {
    /// The kind of a worker.
    WorkerKind CUT005 { Deployment "Deployment", StatefulSet "StatefulSet", ScaledObject "ScaledObject", ScaledJob "ScaledJob" }
    /// The value of `handOver.mode`.
    HandOverMode CUT005 { Patch "patch", Verify "verify" }
}

record! {
    /// Stops CronJobs and workers in `from`, waits until nothing of them runs, then starts them in `to`. A rollback takes
    /// them back, after the traffic.
    HandOverStep as "`handOver`" {
        /// The CronJobs. They are suspended and resumed; a schedule that was missed meanwhile is not made up for.
        cron_jobs "cronJobs": optional Vec<Placed<CronJobItem>> = [],
        /// The workers. They are scaled to 0, and started with the count that `from` had.
        workers "workers": optional Vec<Placed<WorkerItem>> = [],
        /// `patch`: cutover changes the objects. `verify`: another tool does, such as Argo CD; the step waits for it.
        mode "mode": optional HandOverMode = "patch",
        /// How long the Jobs and pods of the side that stops may take to end.
        drain "drain": optional Period = "15m",
        /// Whether an item is started in `to` before it is stopped in `from`, so that it runs in both for a while.
        overlap "overlap": optional Flag = false,
    }

    /// A CronJob, or all CronJobs of a namespace with some labels.
    CronJobItem as "a CronJob" {
        /// The namespace.
        namespace "namespace": required Name,
        /// The name, the same in both clusters.
        name "name": optional Line,
        /// A label selector, such as `app=invoices`. It is read in `from` when the run starts.
        selector "selector": optional Line,
    }; exactly CUT240 ["name", "selector"]

    /// A worker, or all workers of a kind in a namespace with some labels.
    WorkerItem as "a worker" {
        /// The namespace.
        namespace "namespace": required Name,
        /// The kind. `ScaledObject` and `ScaledJob` are those of KEDA.
        kind "kind": required WorkerKind,
        /// The name, the same in both clusters.
        name "name": optional Line,
        /// A label selector, such as `app=queue`. It is read in `from` when the run starts.
        selector "selector": optional Line,
    }; exactly CUT240 ["name", "selector"]
}
