import StrataRaft

/// Registers that a group agrees on: reads, writes and compare-and-set of small numbers.
public struct KeyValueMachine: RaftStateMachine, Hashable {
  private var values: [UInt8: UInt64] = [:]

  /// Registers that hold nothing.
  public init() {}

  /// A command that writes.
  static func write(_ key: Int, _ value: Int) -> [UInt8] { [0, UInt8(truncatingIfNeeded: key)] + bytes(value) }

  /// A command that writes `new` if the register holds `expected`.
  static func compareAndSet(_ key: Int, _ expected: Int?, _ new: Int) -> [UInt8] {
    [expected == nil ? 1 : 2, UInt8(truncatingIfNeeded: key)] + bytes(expected ?? 0) + bytes(new)
  }

  /// A question for the value of a register.
  static func read(_ key: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: key)] }

  /// What the answer to a question says.
  static func value(_ answer: [UInt8]) -> Int? { answer.isEmpty ? nil : Int(number(answer[...])) }

  /// Carries out a write (answered by nothing) or a compare-and-set (by 1 or 0).
  public mutating func apply(_ command: [UInt8]) -> [UInt8] {
    guard command.count >= 10 else { return [] }
    let first = Self.number(command[2..<10])
    guard command[0] > 0 else {
      values[command[1]] = first
      return []
    }
    guard command.count == 18 else { return [] }
    let held = values[command[1]] == (command[0] == 2 ? first : nil)
    if held { values[command[1]] = Self.number(command[10..<18]) }
    return [held ? 1 : 0]
  }

  /// The value of a register.
  public func query(_ question: [UInt8]) -> [UInt8] {
    guard let key = question.first, let value = values[key] else { return [] }
    return Self.bytes(Int(value))
  }

  /// Every register in order of its key.
  public func snapshot() -> [UInt8]? { values.keys.sorted().flatMap { [$0] + Self.bytes(Int(values[$0] ?? 0)) } }

  /// Reads what ``snapshot()`` wrote.
  public mutating func restore(_ bytes: [UInt8]) -> Bool {
    guard bytes.count % 9 == 0 else { return false }
    values.removeAll()
    for start in stride(from: 0, to: bytes.count, by: 9) { values[bytes[start]] = Self.number(bytes[start + 1..<start + 9]) }
    return true
  }

  private static func bytes(_ value: Int) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}
