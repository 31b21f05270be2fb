import StrataNodes

@testable import StrataLSMTree

/// One change, as tests write it.
enum Change: Hashable, Sendable {
  case put(String, String)
  case delete(String)
  case deleteRange(String, String)
  case merge(String, String)

  /// What the change makes of a sorted map.
  func apply(to state: inout [String: String]) {
    switch self {
    case .put(let key, let value): state[key] = value
    case .delete(let key): state[key] = nil
    case .deleteRange(let from, let to): state = state.filter { !($0.key >= from && $0.key < to) }
    case .merge(let key, let operand): state[key] = state[key].map { $0 + "," + operand } ?? operand
    }
  }

  func add(to batch: inout WriteBatch, _ keyspace: Keyspace) throws {
    switch self {
    case .put(let key, let value): try batch.put(bytes(key).span.bytes, bytes(value).span.bytes, in: keyspace)
    case .delete(let key): try batch.delete(bytes(key).span.bytes, in: keyspace)
    case .deleteRange(let from, let to): try batch.deleteRange(from: bytes(from).span.bytes, to: bytes(to).span.bytes, in: keyspace)
    case .merge(let key, let operand): try batch.merge(bytes(key).span.bytes, operand: bytes(operand).span.bytes, in: keyspace)
    }
  }

  static func random(_ random: inout Random, keys: Int) -> Change {
    func key() -> String { String(repeating: "k", count: random.below(3)) + String(random.below(keys)) }
    switch random.below(20) {
    case 0..<11: return .put(key(), String(repeating: "v", count: random.below(40)) + String(random.below(1000)))
    case 11..<15: return .delete(key())
    case 15..<18: return .merge(key(), String(random.below(100)))
    default:
      let (a, b) = (key(), key())
      return a < b ? .deleteRange(a, b) : b < a ? .deleteRange(b, a) : .put(a, "")
    }
  }
}

/// The order Swift gives to strings of ASCII is that of their bytes.
func sorted(_ state: [String: String]) -> [[String]] { state.sorted { $0.key < $1.key }.map { [$0.key, $0.value] } }
