import StrataDisk
import SystemPackage

/// A sequence of disk calls as text, one per line or separated by `;`, and the transcript of what a file system answered.
///
/// `open h a create` names a handle; `write h 0 text` writes, `x300` stands for 300 bytes; paths are below the case's own directory
/// unless they start with `@`; `n255` as a path component stands for a name of that length; `%` for the empty word.
struct Script {
  let lines: [[String]]

  init(_ text: String) {
    lines = text.split(whereSeparator: { $0 == ";" || $0 == "\n" }).map { $0.split(separator: " ").map(String.init) }.filter { !$0.isEmpty }
  }

  /// Runs every line, errors included.
  func transcript(on disk: any FileSystem, in root: FilePath) -> [String] {
    var run = ScriptRun(disk: disk, root: root)
    return lines.map { line in "\(line.joined(separator: " ")) -> \(run.answer(to: line))" }
  }
}

private struct ScriptRun {
  let disk: any FileSystem
  let root: FilePath
  var files: [String: any File] = [:]
  var locks: [String: any FileLock] = [:]

  struct Misuse: Error { var line: [String] }

  mutating func answer(to line: [String]) -> String {
    do { return try perform(line) } catch let error as DiskError {
      if case .locked(let path, let holder) = error { return "error: \(plain(path.string)) locked, holder known: \(holder != nil)" }
      return "error: \(plain(String(reflecting: error))) = \(plain(error.description))"
    } catch { return "the script is wrong: \(error)" }
  }

  private func plain(_ text: String) -> String {
    // Where the case runs is no part of the answer.
    var result = ""
    var rest = Substring(text)
    while !rest.isEmpty {
      if rest.hasPrefix(root.string) { rest = rest.dropFirst(root.string.count) } else { result.append(rest.removeFirst()) }
    }
    return result
  }

  private func path(_ word: String) -> FilePath {
    if word == "%" { return FilePath("") }
    if word.hasPrefix("@") { return FilePath(String(word.dropFirst())) }
    if word == "." { return root }
    let parts = word.split(separator: "/", omittingEmptySubsequences: false).map { part -> String in
      if part.first == "n", let count = Int(part.dropFirst()) { return String(repeating: "n", count: count) }
      return String(part)
    }
    return FilePath(root.string + "/" + parts.joined(separator: "/"))
  }

  private func bytes(_ word: String) -> [UInt8] {
    if word == "%" { return [] }
    if word.first == "x", let count = Int(word.dropFirst()) { return (0..<count).map { UInt8(97 + $0 % 26) } }
    return Array(word.utf8)
  }

  private func show(_ bytes: [UInt8]) -> String {
    if bytes.count > 64 {
      let sum = bytes.enumerated().reduce(0) { ($0 &* 31 &+ Int($1.element)) & 0xFFFF_FFFF }
      return "\(bytes.count) bytes, sum \(sum)"
    }
    return "\"" + bytes.map { $0 == 0 ? "." : String(UnicodeScalar($0)) }.joined() + "\""
  }

  private func file(_ line: [String]) throws -> any File {
    guard line.count > 1, let file = files[line[1]] else { throw Misuse(line: line) }
    return file
  }

  private func number(_ line: [String], _ index: Int) throws -> UInt64 {
    guard line.indices.contains(index), let value = line[index] == "max" ? UInt64.max : UInt64(line[index]) else { throw Misuse(line: line) }
    return value
  }

  private mutating func perform(_ line: [String]) throws -> String {
    if let answer = try performOnFile(line) { return answer }
    return try performOnName(line)
  }

  private func performOnFile(_ line: [String]) throws -> String? {
    switch line[0] {
    case "write": try file(line).write(bytes(line[3]), at: number(line, 2))
    case "writev": try file(line).writeVectored(line[3...].map { bytes($0) }, at: number(line, 2))
    case "append": return "at \(try file(line).append(bytes(line[2]).span.bytes))"
    case "read": return show(try file(line).read(at: number(line, 2), count: Int(number(line, 3))))
    case "readx": return show(try file(line).readExactly(at: number(line, 2), count: Int(number(line, 3))))
    case "cached": return try cached(line)
    case "size": return "\(try file(line).size())"
    case "truncate": try file(line).truncate(to: number(line, 2))
    case "allocate": try file(line).allocate(number(line, 2)..<number(line, 3))
    case "sync": try file(line).sync(line.count > 2 && line[2] == "data" ? .data : line.count > 2 && line[2] == "barrier" ? .barrier : .full)
    case "close": try file(line).close()
    default: return nil
    }
    return "ok"
  }

  private func cached(_ line: [String]) throws -> String {
    let file = try file(line)
    let count = Int(try number(line, 3))
    let offset = try number(line, 2)
    var hit = false
    var failure: DiskError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { storage, initialized in
      var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(storage), initializedCount: 0)
      do throws(DiskError) { hit = try file.readIfCached(at: offset, into: &span) } catch { failure = error }
      initialized = span.finalize(for: UnsafeMutableRawBufferPointer(storage))
    }
    if let failure { throw failure }
    // A miss is always allowed, leaves the buffer as it was, and then the blocking read must answer.
    if hit { return show(bytes) }
    return bytes.isEmpty ? show(try file.read(at: offset, count: count)) : "a miss that wrote"
  }

  private mutating func performOnName(_ line: [String]) throws -> String {
    switch line[0] {
    case "open":
      let modes: [String: OpenMode] = ["read": .read, "write": .readWrite, "create": .create, "new": .createNew]
      guard let mode = modes[line[3]] else { throw Misuse(line: line) }
      files[line[1]] = try disk.open(path(line[2]), mode)
    case "drop": files[line[1]] = nil
    case "rename": try disk.rename(path(line[1]), to: path(line[2]), replacing: line.count < 4)
    case "link": try disk.link(path(line[1]), to: path(line[2]))
    case "remove": try disk.remove(path(line[1]))
    case "mkdir": try disk.makeDirectory(path(line[1]))
    case "rmdir": try disk.removeDirectory(path(line[1]))
    case "mkdirs": try disk.makeDirectories(path(line[1]))
    case "list": return try disk.list(path(line[1])).map { $0.count > 40 ? "long\($0.count)" : $0 }.joined(separator: ",")
    case "status":
      guard let status = try disk.status(path(line[1])) else { return "nothing" }
      return status.isDirectory ? "directory" : "file of \(status.size)"
    case "exists": return "\(try disk.exists(path(line[1])))"
    case "syncdir": try disk.syncDirectory(path(line[1]))
    case "lock": locks[line[1]] = try disk.lock(path(line[2]))
    case "unlock": locks[line[1]]?.unlock()
    case "droplock": locks[line[1]] = nil
    case "replace": try disk.atomicReplace(path(line[1]), with: bytes(line[2]))
    case "slurp": return show(try disk.readAll(path(line[1]), limit: Int(number(line, 2))))
    case "free": return try disk.freeSpace(path(line[1])) > 0 ? "some" : "none"
    default: throw Misuse(line: line)
    }
    return "ok"
  }
}
