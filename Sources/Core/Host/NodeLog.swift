import StrataDisk
import StrataNodes

/// What a ``Host`` needs of the log of one node. Several nodes may share one log beneath; each has an object of its own.
///
/// Called by one thread at a time. Only ``recover()`` may wait for the disk. What was given first becomes durable first, and `whenDurable` is called
/// once, in that order: with `nil` when that write *and all before it* survive a loss of power, or with the error because of which that will never be
/// known. After an error nothing becomes durable any more, and every later call hears an error too.
public protocol NodeLog<Record>: AnyObject, Sendable {
  /// What the node writes.
  associatedtype Record: Sendable

  /// Reads what the log holds; called once, before anything is written.
  ///
  /// - Throws: `RecoveryError` if it cannot be read; the node then stays down.
  func recover() throws(RecoveryError) -> DurableState<Record>

  /// Adds writes in their order, each of them all or none: a log may make one unit of all of them. Where `whenDurable` is `nil` they may be lost in a
  /// crash until a later write is synced; otherwise they are made durable now. `whenDurable` may be called on any thread, this one too.
  func append(_ writes: [[Record]], whenDurable: (@Sendable (DiskError?) -> Void)?)

  /// Makes `records` the whole content of the log in one atomic step: after a crash the log holds either what it held or them. A log that knows that
  /// `records` say the same as what it holds may take its time with the replacement and answer before.
  func checkpoint(_ records: [Record], whenDurable: @escaping @Sendable (DiskError?) -> Void)
}
