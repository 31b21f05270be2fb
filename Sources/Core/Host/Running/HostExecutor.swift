/// A thread that is somebody else's, on which a ``Host`` has its turns: an event loop that serves the host's connections as well, say, so that what
/// arrives is looked at, and answered, without waking another thread.
public protocol HostExecutor: AnyObject, Sendable {
  /// Calls `turn` from now on: soon after each ``wake()``, and when the time it returned last has come (of the monotonic clock, in nanoseconds;
  /// `.max` for no such time). Always on the same thread, never within a call of its own. `turn` returns `nil` when it is not to be called any more.
  func begin(_ turn: @escaping @Sendable () -> UInt64?)

  /// Has `turn` called soon. From any thread; waits for nothing.
  func wake()
}
