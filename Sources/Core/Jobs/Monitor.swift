#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// State guarded by a mutex, with condition variables to wait on: what a group commit, a queue or a gate needs that
/// `Synchronization.Mutex` cannot give; and what the thread sanitizer can follow, which sees no order in the futex of that type.
///
/// An uncontended ``withLock(_:)`` costs about 20 ns. The state is reached only inside the closures; waiting is expressed by
/// ``wait(on:timeout:until:)``, which evaluates its closure afresh under the lock after every wake-up, so no access to the state
/// spans the wait. Blocks the calling thread; not for Swift's cooperative pool where waits may be long. Not recursive.
public final class Monitor<State: ~Copyable>: @unchecked Sendable {
  // Sendable because every access to `state` happens with `mutex` held.
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline let conditions: UnsafeMutableBufferPointer<pthread_cond_t>
  @usableFromInline let state: UnsafeMutablePointer<State>

  /// - Parameter conditions: how many independent condition variables, numbered from 0.
  public init(_ initial: consuming sending State, conditions count: Int = 1) {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    conditions = .allocate(capacity: count)
    conditions.initialize(repeating: pthread_cond_t())
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    #if os(Linux)
      // Time-outs are intervals: a stepped wall clock must not stretch or cut them.
      pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    #endif
    for index in conditions.indices { pthread_cond_init(conditions.baseAddress! + index, &attributes) }
    pthread_condattr_destroy(&attributes)
    state = .allocate(capacity: 1)
    state.initialize(to: initial)
  }

  deinit {
    state.deinitialize(count: 1)
    state.deallocate()
    for index in conditions.indices { pthread_cond_destroy(conditions.baseAddress! + index) }
    conditions.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` with the lock held.
  @inlinable
  public func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state.pointee)
  }

  /// Evaluates `poll` under the lock until it is done; each evaluation that is not names the condition whose next wake-up it awaits.
  @inlinable
  public func wait<Result, Failure: Error>(choosing poll: (inout State) throws(Failure) -> Waiting<Result>) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      switch try poll(&state.pointee) {
      case .done(let result): return result
      case .wait(on: let index, until: .max): pthread_cond_wait(conditions.baseAddress! + index, mutex)
      case .wait(on: let index, until: let deadline): waitUntil(deadline, now: MonotonicClock.now(), on: index)
      }
    }
  }

  /// Evaluates `poll` under the lock, again after each wake-up of condition `index`, until it returns a value or `timeout` has passed.
  /// - Returns: what `poll` returned, or `nil` after the time-out.
  public func wait<Result, Failure: Error>(
    on index: Int = 0, timeout: Duration? = nil, until poll: (inout State) throws(Failure) -> Result?
  ) throws(Failure) -> Result? {
    let deadline = timeout.map { MonotonicClock.now() &+ UInt64(max(0, $0.nanoseconds)) }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = try poll(&state.pointee) { return result }
      guard let deadline else {
        pthread_cond_wait(conditions.baseAddress! + index, mutex)
        continue
      }
      let now = MonotonicClock.now()
      guard now < deadline else { return nil }
      waitUntil(deadline, now: now, on: index)
    }
  }

  /// Wakes one waiter of condition `index`. May be called with or without the lock held.
  public func signal(_ index: Int = 0) { pthread_cond_signal(conditions.baseAddress! + index) }

  /// Wakes every waiter of condition `index`.
  public func broadcast(_ index: Int = 0) { pthread_cond_broadcast(conditions.baseAddress! + index) }

  @usableFromInline
  func waitUntil(_ deadline: UInt64, now: UInt64, on index: Int) {
    #if os(Linux)
      var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
      pthread_cond_timedwait(conditions.baseAddress! + index, mutex, &time)
    #else
      let left = deadline > now ? deadline - now : 0
      var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
      pthread_cond_timedwait_relative_np(conditions.baseAddress! + index, mutex, &time)
    #endif
  }
}

/// What a poll of ``Monitor/wait(choosing:)`` decides.
@frozen
public enum Waiting<Result> {
  /// Stop waiting with this result.
  case done(Result)
  /// Sleep until this condition is signalled or this moment of ``MonotonicClock`` has come, then poll again.
  case wait(on: Int, until: UInt64 = .max)
}
