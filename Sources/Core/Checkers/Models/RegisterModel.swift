/// One register per key, in which every operation is atomic.
public struct RegisterModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable, CustomStringConvertible {
    /// Reads the register.
    case read(key: Int)
    /// Writes the register.
    case write(key: Int, Int)
    /// Writes the second value if the register holds the first.
    case compareAndSet(key: Int, expected: Int?, new: Int)

    /// As `write x0 3`.
    public var description: String {
      switch self {
      case .read(let key): "read x\(key)"
      case .write(let key, let value): "write x\(key) \(value)"
      case .compareAndSet(let key, let expected, let new): "cas x\(key) \(expected.map(String.init) ?? "nil") \(new)"
      }
    }
  }

  /// What they hear.
  public enum Result: Hashable, Sendable, CustomStringConvertible {
    /// What a read saw; nothing before the first write.
    case value(Int?)
    /// A write is done.
    case written
    /// Whether the register held what was expected.
    case compared(Bool)

    /// As `3`, `done`, `false`.
    public var description: String {
      switch self {
      case .value(let value): value.map(String.init) ?? "nil"
      case .written: "done"
      case .compared(let held): "\(held)"
      }
    }
  }

  /// Registers that hold nothing at first.
  public init() {}

  /// The register.
  public func key(of op: Op) -> Int {
    switch op {
    case .read(let key), .write(let key, _), .compareAndSet(let key, _, _): key
    }
  }

  /// Nothing.
  public func initial(_ key: Int) -> Int? { nil }

  /// What an atomic register does.
  public func step(_ state: Int?, _ op: Op, _ result: Result?) -> Int?? {
    switch (op, result) {
    case (.read, .value(let seen)?): seen == state ? .some(state) : .none
    case (.read, nil): .some(state)
    case (.write(_, let value), .written?), (.write(_, let value), nil): .some(value)
    case (.compareAndSet(_, let expected, let new), .compared(let held)?):
      held == (expected == state) ? .some(held ? new : state) : .none
    case (.compareAndSet(_, let expected, let new), nil): .some(expected == state ? new : state)
    default: .none
    }
  }

  /// Reads, and comparisons that found another value.
  public func observes(_ op: Op, _ result: Result?) -> Bool {
    switch op {
    case .read: true
    case .write: false
    case .compareAndSet: result == .compared(false)
    }
  }

  /// Reads and writes are; a comparison is more than that.
  public func registerAccess(_ op: Op, _ result: Result?) -> RegisterAccess? {
    switch (op, result) {
    case (.write(_, let value), _): .write(value)
    case (.read, .value(let value)?): .read(value)
    default: nil
    }
  }

  /// The value written or read.
  public func group(of op: Op, _ result: Result?) -> AnyHashable? {
    switch registerAccess(op, result) {
    case .write(let value): AnyHashable(Optional(value))
    case .read(let value): AnyHashable(value)
    case nil: nil
    }
  }
}
