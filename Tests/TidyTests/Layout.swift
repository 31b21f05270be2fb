/// The floors of the house, lowest first, and what each may reach.
enum Layout {
  /// Docs/architecture.md's list: imports run downward or sideways along it.
  static let floors = [
    "Core", "Storage", "Encoding", "Transactions", "Clocks", "Membership", "Partitioning", "Replication", "Consensus", "Batch", "Streams",
    "Database", "Proof", "Server", "strata",
  ]

  /// A folder under Sources that is a target.
  struct Block: Hashable {
    let floor: String
    /// The folder's name; the module is `Strata` + name, or the name itself for a C shim.
    let name: String

    var module: String { name.hasPrefix("CStrata") || floor == name ? name : "Strata" + name }

    /// The target a path under Sources belongs to: `Sources/<Floor>/<Name>/...`, or `Sources/strata/...`.
    init?(path: String) {
      let parts = path.split(separator: "/").map(String.init)
      guard parts.count >= 3, parts[0] == "Sources" else { return nil }
      if parts[1] == "strata" {
        self.init(floor: "strata", name: "strata")
      } else {
        guard parts.count >= 4 else { return nil }
        self.init(floor: parts[1], name: parts[2])
      }
    }

    init(floor: String, name: String) {
      self.floor = floor
      self.name = name
    }
  }

  /// Modules a target below Server may import beside the package's own. Foundation, Dispatch and SwiftNIO are absent on purpose.
  static let outsideModules: Set<String> = ["Swift", "Synchronization", "SystemPackage", "Glibc", "Musl", "Darwin", "_Builtin_float"]

  /// Import lines of a source: module and line from 0.
  static func imports(of file: SourceFile) -> [(module: String, line: Int)] {
    file.code.indices.compactMap { line in
      let words = file.code[line].words
      guard let keyword = words.firstIndex(of: "import"), keyword + 1 < words.count else { return nil }
      guard words[..<keyword].allSatisfy({ importModifiers.contains($0) }), file.code[line].firstIndex(of: "=") == nil else { return nil }
      let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
      let module = kinds.contains(words[keyword + 1]) && keyword + 2 < words.count ? words[keyword + 2] : words[keyword + 1]
      return (String(module), line)
    }
  }

  private static let importModifiers: Set<Substring> = [
    "public", "package", "internal", "fileprivate", "private", "testable", "preconcurrency", "_exported", "_spi", "implementationOnly",
  ]

  /// Imports that run upward, reach an unknown module of this package, or leave the package from below Server.
  ///
  /// - Parameter shims: folders without a Swift source, whose modules may be imported all the same.
  static func importFindings(_ files: [SourceFile], shims: Set<Block> = []) -> [Finding] {
    let blocks = shims.union(files.compactMap { Block(path: $0.path) })
    let floorOf = Dictionary(blocks.map { ($0.module, $0.floor) }, uniquingKeysWith: { first, _ in first })
    return files.flatMap { file -> [Finding] in
      guard let block = Block(path: file.path) else { return [Finding(file.path, "lies in no target's folder (Sources/<Floor>/<Name>/)")] }
      guard let floor = floors.firstIndex(of: block.floor) else { return [Finding(file.path, "\(block.floor) is no floor of the house")] }
      return imports(of: file).compactMap { module, line in
        let place = { (text: String) in Finding(file.path, line: line + 1, text) }
        if let target = floorOf[module] {
          guard let height = floors.firstIndex(of: target) else { return place("imports \(module) of unknown floor \(target)") }
          return height > floor ? place("\(block.floor) imports \(module), which is above it on \(target)") : nil
        }
        if module.hasPrefix("Strata") || module.hasPrefix("CStrata") { return place("imports \(module), which is no folder under Sources") }
        return outsideFinding(module, block, file, line)
      }
    }
  }

  private static func outsideFinding(_ module: String, _ block: Block, _ file: SourceFile, _ line: Int) -> Finding? {
    if block.floor == "Server" || block.floor == "strata" || outsideModules.contains(module) { return nil }
    if module == "FoundationEssentials" {
      let places = [line] + Array(file.leadingBlock(above: line))
      if places.contains(where: { !file.comments[$0].isEmpty }) { return nil }
      return Finding(file.path, line: line + 1, "imports FoundationEssentials without a comment that says what date or file URL needs it")
    }
    return Finding(file.path, line: line + 1, "imports \(module); nothing below Server does, see Layout.outsideModules")
  }

  /// A cycle among the targets' imports, as a chain of module names, or `nil`.
  static func cycle(_ files: [SourceFile]) -> [String]? {
    var edges: [String: Set<String>] = [:]
    for file in files {
      guard let block = Block(path: file.path) else { continue }
      edges[block.module, default: []].formUnion(imports(of: file).map(\.module).filter { $0 != block.module })
    }
    var finished: Set<String> = []
    for start in edges.keys.sorted() {
      var chain: [String] = []
      if let found = cycle(from: start, edges, &chain, &finished) { return found }
    }
    return nil
  }

  private static func cycle(from node: String, _ edges: [String: Set<String>], _ chain: inout [String], _ finished: inout Set<String>) -> [String]? {
    if finished.contains(node) { return nil }
    if let start = chain.firstIndex(of: node) { return Array(chain[start...]) + [node] }
    chain.append(node)
    for next in (edges[node] ?? []).sorted() where edges[next] != nil {
      if let found = cycle(from: next, edges, &chain, &finished) { return found }
    }
    chain.removeLast()
    finished.insert(node)
    return nil
  }
}
