/// When a write counts as acknowledged. One enum for the whole package; the names are RocksDB's and Redis's in one.
public enum Durability: Sendable, Hashable {
  /// Acknowledged once it is on the device: survives power loss.
  case everyWrite
  /// Acknowledged once the kernel has it, and synced at the latest with every `count`-th operation or `interval` after the oldest
  /// un-synced one. Survives the death of the process; power loss may take the last `count - 1` operations or `interval` of time.
  case batched(count: Int = 100, interval: Duration = .milliseconds(10))
  /// Acknowledged once the kernel has it. Survives the death of the process, not power loss.
  case none
}
