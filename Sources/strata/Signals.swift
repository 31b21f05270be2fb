#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// SIGTERM and SIGINT end the server in good order; the second one ends it at once.
enum Signals {
  /// Call before any thread is started: threads inherit that the signals are blocked, and only the waiting thread takes them.
  static func block() {
    var set = stopSignals()
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
  }

  private static func stopSignals() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    return set
  }

  private final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Calls `body` on a thread of its own when the first signal comes. A second signal ends the process with 130.
  static func onStop(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
        var set = Signals.stopSignals()
        var received: Int32 = 0
        sigwait(&set, &received)
        box.body()
        sigwait(&set, &received)
        _exit(130)
      }, box)
    pthread_detach(thread)
  }
}
