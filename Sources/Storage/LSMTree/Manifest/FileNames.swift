import SystemPackage

/// The names in a store's directory.
enum FileName: Hashable {
  case table(UInt64)
  case manifest(UInt64)
  case current
  case lock
  /// The directory of the write-ahead log.
  case log
  /// Something half-written that nothing names.
  case temporary

  var text: String {
    switch self {
    case .table(let number): "\(Self.padded(number)).sst"
    case .manifest(let number): "MANIFEST-\(Self.padded(number))"
    case .current: "CURRENT"
    case .lock: "LOCK"
    case .log: "log"
    case .temporary: "tmp"
    }
  }

  /// What a name means; `nil` for a name that is none of the store's.
  init?(_ text: String) {
    if let whole = [FileName.current, .lock, .log].first(where: { $0.text == text }) {
      self = whole
    } else if text.hasSuffix(".tmp") {
      self = .temporary
    } else if text.hasSuffix(".sst"), let number = Self.number(text.dropLast(4)) {
      self = .table(number)
    } else if text.hasPrefix("MANIFEST-"), let number = Self.number(text.dropFirst(9)) {
      self = .manifest(number)
    } else {
      return nil
    }
  }

  var tableNumber: UInt64? { if case .table(let number) = self { number } else { nil } }
  var manifestNumber: UInt64? { if case .manifest(let number) = self { number } else { nil } }

  func path(in directory: FilePath) -> FilePath { directory.appending(text) }

  private static func padded(_ number: UInt64) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 10 - digits.utf8.count)) + digits
  }

  private static func number(_ text: Substring) -> UInt64? {
    guard text.utf8.count >= 10, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(text), padded(number) == text else {
      return nil
    }
    return number
  }
}
