import SystemPackage

/// The names of a store's files. Whatever does not parse here is a stray file and none of the store's business.
enum FileName: Hashable {
  case data(UInt32)
  case hint(UInt32)
  case manifest(UInt32)
  case current
  case lock
  case temporary

  init?(_ name: String) {
    switch name {
    case "CURRENT": self = .current
    case "LOCK": self = .lock
    default:
      if name.hasSuffix(".tmp") {
        self = .temporary
      } else if let id = Self.number(name, prefix: "", suffix: ".data"), id <= Location.maxSegment {
        self = .data(id)
      } else if let id = Self.number(name, prefix: "", suffix: ".hint"), id <= Location.maxSegment {
        self = .hint(id)
      } else if let id = Self.number(name, prefix: "MANIFEST-", suffix: "") {
        self = .manifest(id)
      } else {
        return nil
      }
    }
  }

  var text: String {
    switch self {
    case .data(let id): "\(Self.padded(id)).data"
    case .hint(let id): "\(Self.padded(id)).hint"
    case .manifest(let id): "MANIFEST-\(Self.padded(id))"
    case .current: "CURRENT"
    case .lock: "LOCK"
    case .temporary: ".tmp"
    }
  }

  func path(in directory: FilePath) -> FilePath { directory.appending(text) }

  private static func padded(_ id: UInt32) -> String {
    let digits = String(id)
    return String(repeating: "0", count: 10 - digits.utf8.count) + digits
  }

  /// Exactly ten digits between prefix and suffix.
  private static func number(_ name: String, prefix: String, suffix: String) -> UInt32? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.utf8.count == prefix.utf8.count + 10 + suffix.utf8.count else { return nil }
    let digits = name.utf8.dropFirst(prefix.utf8.count).prefix(10)
    guard digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return UInt32(String(decoding: digits, as: UTF8.self))
  }
}
