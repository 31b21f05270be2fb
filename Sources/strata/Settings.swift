import StrataDisk
import SystemPackage

/// A setting that cannot be used, with where it came from.
struct SettingError: Error, CustomStringConvertible {
  var description: String
}

/// The settings of `strata serve`: flags over the environment (`STRATA_MAX_CLIENTS`) over one configuration file over defaults.
///
/// The file holds lines `name = value` with the names of the flags; `#` starts a comment. An unknown name is refused, because a
/// misspelt limit is no limit.
struct Settings {
  private struct Entry {
    var value: String
    var origin: String
  }

  private var entries: [String: Entry] = [:]

  /// Every name a file, the environment or a flag may give.
  static let names: [String] =
    [
      "dir", "host", "port", "port-file", "engine", "durability", "batch-count", "batch-interval", "threads", "disk-threads", "max-clients",
      "password", "tls-cert", "tls-key", "tls-client-ca", "insecure", "idle-timeout", "cache", "max-bulk", "max-arguments", "max-query", "max-output",
      "slowlog-slower-than", "slowlog-entries", "latency-threshold", "drain", "segment-bytes", "memory-limit", "memtable-bytes",
      "compaction-style", "log-level",
    ] + ClusterOptions.names

  static let maxFileBytes = 1 << 20

  init(file: String?, environment: [String: String], flags: [String: String?]) throws(SettingError) {
    if let file { try read(file) }
    for name in Self.names {
      let variable = Self.variable(name)
      if let value = environment[variable] { entries[name] = Entry(value: value, origin: variable) }
    }
    for (name, value) in flags {
      if let value { entries[name] = Entry(value: value, origin: "--\(name)") }
    }
  }

  private static func variable(_ name: String) -> String {
    "STRATA_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
  }

  private mutating func read(_ path: String) throws(SettingError) {
    let bytes: [UInt8]
    do { bytes = try POSIXFileSystem().readAll(FilePath(path), limit: Self.maxFileBytes) } catch {
      throw SettingError(description: "cannot read the configuration file: \(error)")
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let text = Self.trimmed(line.prefix { $0 != "#" })
      if text.isEmpty { continue }
      guard let equals = text.firstIndex(of: "=") else {
        throw SettingError(description: "\(path):\(index + 1): expected 'name = value'")
      }
      let name = Self.trimmed(text[..<equals])
      guard Self.names.contains(name) else { throw SettingError(description: "\(path):\(index + 1): unknown setting '\(name)'") }
      entries[name] = Entry(value: Self.trimmed(text[text.index(after: equals)...]), origin: "\(path):\(index + 1)")
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  private static func trimmed(_ text: String) -> String { trimmed(text[...]) }

  // MARK: typed values

  func text(_ name: String) -> String? { entries[name]?.value }

  func flag(_ name: String) throws(SettingError) -> Bool {
    guard let entry = entries[name] else { return false }
    switch entry.value.lowercased() {
    case "true", "yes", "1", "on": return true
    case "false", "no", "0", "off": return false
    default: throw invalid(name, entry, "yes or no")
    }
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(SettingError) -> Int? {
    guard let entry = entries[name] else { return nil }
    guard let value = Int(entry.value), range.contains(value) else {
      throw invalid(name, entry, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// Bytes: `512mib`, `64k`, `1000`.
  func bytes(_ name: String, in range: ClosedRange<Int>) throws(SettingError) -> Int? {
    let units = [
      ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("k", 1 << 10), ("m", 1 << 20),
      ("g", 1 << 30),
    ]
    return try scaled(name, units + [("b", 1), ("", 1)], in: range, "a size such as 64kib or 512mib")
  }

  /// A time in milliseconds: `10ms`, `5s`, `2m`; a bare number counts `unit`.
  func milliseconds(_ name: String, bare unit: Int, in range: ClosedRange<Int>) throws(SettingError) -> Int? {
    try scaled(name, [("ms", 1), ("s", 1000), ("m", 60_000), ("", unit)], in: range, "a time such as 10ms or 5s")
  }

  private func scaled(_ name: String, _ units: [(String, Int)], in range: ClosedRange<Int>, _ expected: String) throws(SettingError) -> Int? {
    guard let entry = entries[name] else { return nil }
    let text = entry.value.lowercased()
    for (suffix, scale) in units where text.hasSuffix(suffix) {
      guard let number = Int(Self.trimmed(text.dropLast(suffix.count))) else { continue }
      let (value, overflow) = number.multipliedReportingOverflow(by: scale)
      guard !overflow, range.contains(value) else { break }
      return value
    }
    throw invalid(name, entry, expected)
  }

  func choice<Value>(_ name: String, _ choices: [(String, Value)]) throws(SettingError) -> Value? {
    guard let entry = entries[name] else { return nil }
    guard let choice = choices.first(where: { $0.0 == entry.value.lowercased() }) else {
      throw invalid(name, entry, "one of " + choices.map(\.0).joined(separator: ", "))
    }
    return choice.1
  }

  private func invalid(_ name: String, _ entry: Entry, _ expected: String) -> SettingError {
    // A password or path may be shown; the only secret setting is a text and is never invalid.
    SettingError(description: "\(entry.origin): '\(entry.value)' is not a value for \(name); expected \(expected)")
  }
}
