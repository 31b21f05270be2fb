import StrataDisk
import SystemPackage

/// A fault that a ``SimulatedFileSystem`` plays at a chosen call.
public struct DiskFault: Sendable {
  /// Which call is hit.
  public enum Trigger: Sendable {
    /// The call with this number, counted from 1 over all operations (see ``SimulatedFileSystem/callCount``).
    case call(Int)
    /// The n-th call of one operation, counted from 1 (see ``SimulatedFileSystem/callCount(of:)``).
    case nth(Int, of: DiskOperation)
    /// Every call that the predicate selects.
    case matching(@Sendable (DiskCall) -> Bool)
  }

  /// What happens there.
  public enum Effect: Sendable, Hashable {
    /// The operation fails with `EIO`. A failed sync loses the file's pending bytes as Linux does.
    case io
    /// The operation fails with `ENOSPC`.
    case noSpace
    /// A write transfers this many bytes, then fails with `EIO`.
    case ioAfter(bytes: Int)
    /// A write transfers this many bytes, then fails with `ENOSPC`.
    case noSpaceAfter(bytes: Int)
    /// A write is acknowledged and never stored. Only replicated systems can be asked to survive this.
    case lostWrite
    /// A write is acknowledged and stored at another offset. Only replicated systems can be asked to survive this.
    case misdirectedWrite(offset: UInt64)
    /// A sync of a file or directory succeeds and does nothing, as on a device that lies.
    case lostSync
    /// Power is lost before the operation starts.
    case crash
  }

  var trigger: Trigger
  var effect: Effect
  var remaining: Int

  /// A fault that fires at most `times` times.
  public init(_ effect: Effect, at trigger: Trigger, times: Int = 1) {
    self.trigger = trigger
    self.effect = effect
    self.remaining = times
  }
}

/// A call about to be executed.
public struct DiskCall: Sendable, Hashable {
  /// Number of the call over all operations, from 1.
  public let number: Int
  /// Number of the call among those of its operation, from 1.
  public let numberOfOperation: Int
  /// What is called.
  public let operation: DiskOperation
  /// On which path; the source of a rename, the path the handle was opened by.
  public let path: FilePath
}

/// Counts calls and says which fault hits one.
struct FaultTable: Sendable {
  private(set) var calls = 0
  private(set) var callsOf: [DiskOperation: Int] = [:]
  private(set) var faults: [DiskFault] = []

  mutating func add(_ fault: DiskFault) { faults.append(fault) }

  mutating func removeAll() { faults = [] }

  mutating func resetCounts() {
    calls = 0
    callsOf = [:]
  }

  mutating func enter(_ operation: DiskOperation, _ path: FilePath) -> DiskFault.Effect? {
    calls += 1
    callsOf[operation, default: 0] += 1
    guard !faults.isEmpty else { return nil }
    let call = DiskCall(number: calls, numberOfOperation: callsOf[operation, default: 0], operation: operation, path: path)
    for index in faults.indices where faults[index].remaining > 0 {
      let isHit =
        switch faults[index].trigger {
        case .call(let number): call.number == number
        case .nth(let number, let operation): call.operation == operation && call.numberOfOperation == number
        case .matching(let predicate): predicate(call)
        }
      guard isHit else { continue }
      faults[index].remaining -= 1
      return faults[index].effect
    }
    return nil
  }
}
