/// A piece of background work that advances in bounded steps and may be dropped between any two of them.
///
/// An engine hands jobs out; whoever executes them decides when each takes its next step: threads in production (``JobExecutor``), the
/// simulator's scheduler in tests. A job installs its result in a single atomic call inside its last step, so that one stopped
/// earlier leaves nothing but files that recovery removes.
public protocol Job: Sendable {
  /// What the job is, for progress reports: `"bitcask.merge 3,4,7"`.
  var name: String { get }

  /// Moves about `budget` bytes (at least one unit of work, so that no budget stalls a job) and returns whether more remains.
  /// After `.done` or an error it is not called again.
  mutating func step(budget: Int) throws -> JobStep
}

/// What a step achieved.
public enum JobStep: Sendable, Hashable {
  /// More remains; `bytes` were moved in this step (what a rate limit counts).
  case progress(bytes: Int)
  /// The job is finished and its result installed.
  case done
}
