import Foundation

/// What a figure depends on beside the code: named in every report.
public struct MachineDescription: Sendable {
  /// Name and value, in the order printed.
  public let facts: [(name: String, value: String)]

  /// Reads the machine; `directory` is where the data lies.
  public init(directory: URL) async {
    let swift = (try? await run(URL(fileURLWithPath: "/usr/bin/env"), ["swift", "--version"])).map { Self.firstLine($0) }
    facts = [
      ("date", ISO8601DateFormatter().string(from: Date())),
      ("processor", Self.value(of: "model name", in: "/proc/cpuinfo") ?? "unknown"),
      ("cores", "\(ProcessInfo.processInfo.activeProcessorCount)"),
      ("memory", Text.bytes(Double(ProcessInfo.processInfo.physicalMemory))),
      ("kernel", Self.content("/proc/sys/kernel/osrelease") ?? ProcessInfo.processInfo.operatingSystemVersionString),
      ("file system", Self.fileSystem(of: directory)),
      ("swift", swift ?? "unknown"),
      ("build", Self.isDebug ? "DEBUG: these figures mean nothing" : "release"),
    ]
  }

  private static var isDebug: Bool {
    #if DEBUG
      true
    #else
      false
    #endif
  }

  private static func content(_ path: String) -> String? {
    // Files of /proc have no size, so they are read to their end.
    guard let handle = FileHandle(forReadingAtPath: path), let data = try? handle.readToEnd() else { return nil }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private static func value(of name: String, in path: String) -> String? {
    content(path)?.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: ":").last.map {
      $0.trimmingCharacters(in: .whitespaces)
    }
  }

  private static func firstLine(_ text: String) -> String { text.split(separator: "\n").first.map(String.init) ?? "" }

  /// Type and device of the mount that holds a directory: the longest mount point its path begins with.
  private static func fileSystem(of directory: URL) -> String {
    let path = directory.resolvingSymlinksInPath().path
    var best: (point: Substring, text: String)?
    for line in (content("/proc/mounts") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count > 3, path == fields[1] || path.hasPrefix(fields[1] == "/" ? "/" : fields[1] + "/") else { continue }
      if fields[1].count >= best?.point.count ?? 0 { best = (fields[1], "\(fields[2]) on \(fields[0])") }
    }
    return best?.text ?? "unknown"
  }
}

/// Bytes of memory this process holds, and 0 where the system does not say.
public func residentBytes() -> Int {
  guard let handle = FileHandle(forReadingAtPath: "/proc/self/statm"), let data = try? handle.readToEnd() else { return 0 }
  let fields = String(decoding: data, as: UTF8.self).split(separator: " ")
  return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}
