import CStrataJobs

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import Synchronization

/// A thread of its own for work that blocks, which must not happen on Swift's cooperative pool.
///
/// The body runs once; the owner makes it return (through a ``Monitor`` it waits on) and then calls ``join()``.
public final class Worker: Sendable {
  private let thread: Mutex<pthread_t?>

  /// Starts the thread. `name` is shown by debuggers and `top -H` (15 bytes on Linux).
  /// - Note: Traps if the operating system has no thread left, as there is nothing to run the work on.
  public init(name: String, _ body: @escaping @Sendable () -> Void) {
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    #if os(Linux)
      var thread = pthread_t()
    #else
      var thread: pthread_t?
    #endif
    let result = pthread_create(&thread, nil, runWorker, start.toOpaque())
    precondition(result == 0, "no thread could be created (error \(result)); raise the limit of processes")
    self.thread = Mutex(thread)
  }

  /// Waits until the body has returned. Must not be called from the thread itself. A second call returns at once.
  public func join() {
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    if let thread { pthread_join(thread, nil) }
  }

  deinit {
    // Joining here could deadlock when the thread itself drops the last reference; a thread nobody joined cleans up after itself.
    if let thread = thread.withLock({ $0 }) { pthread_detach(thread) }
  }
}

private final class Start: Sendable {
  let name: String
  let body: @Sendable () -> Void
  init(name: String, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.body = body
  }
}

#if os(Linux)
  private func runWorker(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    strata_name_thread(String(start.name.prefix(15)))
    start.body()
    return nil
  }
#else
  private func runWorker(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    strata_name_thread(start.name)
    start.body()
    return nil
  }
#endif
