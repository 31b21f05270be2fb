import Logging

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Writes text to standard error in one call, so that lines of several threads do not mix.
enum StandardError {
  static func write(_ text: String) {
    let bytes = Array(text.utf8)
    bytes.withUnsafeBytes { buffer in
      var sent = 0
      while sent < buffer.count {
        let count = Glibc.write(2, buffer.baseAddress.map { $0 + sent }, buffer.count - sent)
        // Nobody reads the log: there is no place left to say so.
        guard count > 0 else { return }
        sent += count
      }
    }
  }
}

/// Standard output as far as it matters to those who wait for a line.
enum StandardOutput {
  /// Hands on what was printed, so that a reader of a pipe sees a sequence as soon as it is durable.
  static func flush() { fflush(nil) }
}

/// One line per event: time in UTC, level, message, then `key=value` pairs in the order of their keys.
struct LineLogHandler: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let pairs = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    var line = "\(Self.time()) \(Self.name(event.level)) \(event.message)"
    for (key, value) in pairs { line += " \(key)=\(Self.quoted("\(value)"))" }
    StandardError.write(line + "\n")
  }

  private static func name(_ level: Logger.Level) -> String {
    let name = level.rawValue.uppercased()
    return name + String(repeating: " ", count: max(0, 8 - name.utf8.count))
  }

  private static func quoted(_ value: String) -> String {
    guard value.isEmpty || value.contains(where: { $0 == " " || $0 == "\"" || $0 == "\n" || $0 == "=" }) else { return value }
    return "\"" + value.map { $0 == "\"" ? "\\\"" : ($0 == "\n" ? "\\n" : String($0)) }.joined() + "\""
  }

  private static func time() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    var seconds = now.tv_sec
    gmtime_r(&seconds, &parts)
    func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + String(value) }
    let milliseconds = String(now.tv_nsec / 1_000_000)
    return "\(1900 + Int(parts.tm_year))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):\(two(parts.tm_min)):"
      + "\(two(parts.tm_sec)).\(String(repeating: "0", count: 3 - milliseconds.utf8.count))\(milliseconds)Z"
  }
}
