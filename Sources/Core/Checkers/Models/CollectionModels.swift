/// A set of numbers.
public struct SetModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Puts an element in.
    case add(Int)
    /// Takes an element out.
    case remove(Int)
    /// Looks for an element.
    case contains(Int)
    /// Reads all elements.
    case read
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// Whether `add` or `remove` changed the set, or `contains` found its element.
    case found(Bool)
    /// All elements.
    case elements(Set<Int>)
  }

  /// An empty set.
  public init() {}

  /// One part: a read sees all elements.
  public func key(of op: Op) -> Int { 0 }

  /// No elements.
  public func initial(_ key: Int) -> Set<Int> { [] }

  /// What an atomic set does.
  public func step(_ state: Set<Int>, _ op: Op, _ result: Result?) -> Set<Int>? {
    switch op {
    case .add(let element): result.map { $0 == .found(!state.contains(element)) } ?? true ? state.union([element]) : nil
    case .remove(let element): result.map { $0 == .found(state.contains(element)) } ?? true ? state.subtracting([element]) : nil
    case .contains(let element): result.map { $0 == .found(state.contains(element)) } ?? true ? state : nil
    case .read: result.map { $0 == .elements(state) } ?? true ? state : nil
    }
  }

  /// Reads, and changes that changed nothing.
  public func observes(_ op: Op, _ result: Result?) -> Bool {
    switch op {
    case .contains, .read: true
    case .add, .remove: result == .found(false)
    }
  }

  /// The element.
  public func group(of op: Op, _ result: Result?) -> AnyHashable? {
    switch op {
    case .add(let element), .remove(let element), .contains(let element): AnyHashable(element)
    case .read: nil
    }
  }
}

/// A queue, first in, first out.
public struct QueueModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Puts a value at the end.
    case enqueue(Int)
    /// Takes the value at the front.
    case dequeue
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// A value was put in.
    case enqueued
    /// What was taken; nothing from an empty queue.
    case dequeued(Int?)
  }

  /// An empty queue.
  public init() {}

  /// One part.
  public func key(of op: Op) -> Int { 0 }

  /// No values.
  public func initial(_ key: Int) -> [Int] { [] }

  /// What an atomic queue does. Whoever takes a value without telling took the first one.
  public func step(_ state: [Int], _ op: Op, _ result: Result?) -> [Int]? {
    switch (op, result) {
    case (.enqueue(let value), .enqueued?), (.enqueue(let value), nil): state + [value]
    case (.dequeue, .dequeued(let value)?): state.first == value ? Array(state.dropFirst()) : nil
    case (.dequeue, nil): Array(state.dropFirst())
    default: nil
    }
  }

  /// Looking into an empty queue.
  public func observes(_ op: Op, _ result: Result?) -> Bool { op == .dequeue && result == .dequeued(nil) }

  /// The value; queues without one of their values are queues of the others. What took a value without telling belongs to all of them.
  public func group(of op: Op, _ result: Result?) -> AnyHashable? {
    switch (op, result) {
    case (.enqueue(let value), _): AnyHashable(Optional(value))
    case (.dequeue, .dequeued(let value)?): AnyHashable(value)
    default: nil
    }
  }
}

/// A number that is added to.
public struct CounterModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Adds.
    case add(Int)
    /// Reads.
    case read
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// An addition is done, and nothing is known of the sum.
    case added
    /// The number after the addition, or as read.
    case value(Int)
  }

  /// A counter at 0.
  public init() {}

  /// One part.
  public func key(of op: Op) -> Int { 0 }

  /// Zero.
  public func initial(_ key: Int) -> Int { 0 }

  /// What an atomic counter does; it wraps around at 64 bits.
  public func step(_ state: Int, _ op: Op, _ result: Result?) -> Int? {
    let after =
      switch op {
      case .add(let amount): state &+ amount  // a history may hold any numbers
      case .read: state
      }
    switch result {
    case nil, .added?: return after
    case .value(let seen)?: return seen == after ? after : nil
    }
  }

  /// Reads.
  public func observes(_ op: Op, _ result: Result?) -> Bool { op == .read }
}

/// A lock whose every holder gets a greater fencing token than those before.
public struct LockModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Takes a lock if it is free.
    case acquire(lock: Int, client: Int)
    /// Gives a lock back.
    case release(lock: Int, client: Int)
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// The lock is the client's, with this token.
    case acquired(token: Int)
    /// Somebody else has it.
    case refused
    /// Whether the client had the lock it gave back.
    case released(Bool)
  }

  /// What a lock remembers.
  public struct State: Hashable, Sendable {
    /// Who has it.
    public var holder: Int?
    /// The greatest token given out, as far as anybody heard.
    public var token: Int
  }

  /// Free locks.
  public init() {}

  /// The lock.
  public func key(of op: Op) -> Int {
    switch op {
    case .acquire(let lock, _), .release(let lock, _): lock
    }
  }

  /// Free, without a token.
  public func initial(_ key: Int) -> State { State(holder: nil, token: .min) }

  /// What an atomic lock does. The token of an acquisition nobody heard of is not known, so the next one may be anything above the last known.
  public func step(_ state: State, _ op: Op, _ result: Result?) -> State? {
    switch (op, result) {
    case (.acquire(_, let client), .acquired(let token)?):
      state.holder == nil && token > state.token ? State(holder: client, token: token) : nil
    case (.acquire, .refused?): state.holder != nil ? state : nil
    case (.acquire(_, let client), nil): state.holder == nil ? State(holder: client, token: state.token) : state
    case (.release(_, let client), .released(let had)?):
      had == (state.holder == client) ? State(holder: had ? nil : state.holder, token: state.token) : nil
    case (.release(_, let client), nil): state.holder == client ? State(holder: nil, token: state.token) : state
    default: nil
    }
  }

  /// Refusals, and giving back what one has not.
  public func observes(_ op: Op, _ result: Result?) -> Bool { result == .refused || result == .released(false) }
}
