/// What Package.swift declares, read from its text: the calls that make targets and the strings in them.
struct Manifest {
  struct Entry {
    /// `block`, `tests`, `.target`, `.testTarget` or `.executableTarget`.
    let call: String
    /// The string literals of the call, in order.
    let strings: [String]
    let line: Int
  }

  let entries: [Entry]
  /// Whether every `block(...)` becomes a library product.
  let mapsBlocksToProducts: Bool
  /// Names of products written out one by one.
  let namedLibraries: Set<String>

  init(text: String) {
    let file = SourceFile(path: "Package.swift", text: text)
    let raw = file.lines.joined(separator: "\n")
    let code = file.code.joined(separator: "\n")
    // Masked and written text agree scalar by scalar, so a place found in one is cut out of the other.
    let scalars = Array(raw.unicodeScalars)
    let masked = Array(code.unicodeScalars)
    entries = Self.calls.flatMap { Self.entries($0, scalars, masked) }.sorted { $0.line < $1.line }
    namedLibraries = Set(Self.entries(".library", scalars, masked).compactMap(\.strings.first))
    mapsBlocksToProducts = ["blocks", "server"].allSatisfy { code.contains("\($0).map { .library(name: $0.name, targets: [$0.name]) }") }
  }

  private static let calls = ["block", "tests", ".target", ".testTarget", ".executableTarget"]

  private static func entries(_ call: String, _ raw: [Unicode.Scalar], _ masked: [Unicode.Scalar]) -> [Entry] {
    let wanted = Array((call + "(").unicodeScalars)
    var found: [Entry] = []
    var position = 0
    while position + wanted.count <= masked.count {
      defer { position += 1 }
      guard Array(masked[position..<position + wanted.count]) == wanted else { continue }
      if position > 0, masked[position - 1].properties.isAlphabetic || masked[position - 1] == "." { continue }
      // `func block(` declares the call; it is no entry.
      if position >= 5, Array(masked[position - 5..<position]) == Array("func ".unicodeScalars) { continue }
      var depth = 1
      var end = position + wanted.count
      while end < masked.count, depth > 0 {
        if masked[end] == "(" { depth += 1 }
        if masked[end] == ")" { depth -= 1 }
        end += 1
      }
      let line = masked[..<position].count { $0 == "\n" }
      found.append(Entry(call: call, strings: strings(raw[position..<end], masked[position..<end]), line: line))
    }
    return found
  }

  private static func strings(_ raw: ArraySlice<Unicode.Scalar>, _ masked: ArraySlice<Unicode.Scalar>) -> [String] {
    let quotes = masked.indices.filter { masked[$0] == "\"" }
    return stride(from: 0, to: quotes.count - 1, by: 2).map { index in
      var text = String.UnicodeScalarView()
      text.append(contentsOf: raw[quotes[index] + 1..<quotes[index + 1]])
      return String(text)
    }
  }

  /// Folders without a target, targets without a folder, edges that run upward, and library targets that are no product.
  func findings(folders: Set<Layout.Block>, testFolders: Set<String>) -> [Finding] {
    let declared = Set(entries.compactMap(Self.block))
    var findings: [Finding] = []
    for folder in folders.subtracting(declared) {
      findings.append(Finding("Package.swift", "Sources/\(folder.floor)/\(folder.name) has no target"))
    }
    for block in declared.subtracting(folders) {
      findings.append(Finding("Package.swift", "target \(block.module) has no sources in Sources/\(block.floor)/\(block.name)"))
    }
    let suites = Set(entries.filter { $0.call == "tests" && $0.strings.count > 1 }.map { "Tests/\($0.strings[0])/\($0.strings[1])Tests" })
    for folder in testFolders.subtracting(suites) { findings.append(Finding("Package.swift", "\(folder) is no test target, so it never runs")) }
    if !mapsBlocksToProducts { findings.append(Finding("Package.swift", "products are not made from `blocks`; every library target is a product")) }
    return findings + edgeFindings(declared) + unlistedFindings()
  }

  private func edgeFindings(_ declared: Set<Layout.Block>) -> [Finding] {
    let floors = Dictionary(declared.map { ($0.module, $0.floor) }, uniquingKeysWith: { first, _ in first })
    return entries.flatMap { entry -> [Finding] in
      guard let block = Self.block(entry), let height = Layout.floors.firstIndex(of: block.floor) else { return [] }
      return entry.strings.compactMap { name in
        guard let floor = floors[name], let target = Layout.floors.firstIndex(of: floor), target > height else { return nil }
        return Finding("Package.swift", line: entry.line + 1, "\(block.module) on \(block.floor) depends on \(name) above it on \(floor)")
      }
    }
  }

  /// A Swift library target that is written without `block` and so is no product.
  private func unlistedFindings() -> [Finding] {
    entries.filter { $0.call == ".target" }.compactMap { entry in
      guard let name = entry.strings.first, name.hasPrefix("Strata"), !name.contains("\\("), !namedLibraries.contains(name) else { return nil }
      guard entry.strings.contains(where: { $0.hasPrefix("Sources/") }) else { return nil }
      return Finding("Package.swift", line: entry.line + 1, "\(name) is a library target and no product; declare it with `block`")
    }
  }

  private static func block(_ entry: Entry) -> Layout.Block? {
    switch entry.call {
    case "block":
      return entry.strings.count > 1 ? Layout.Block(floor: entry.strings[0], name: entry.strings[1]) : nil
    case ".target", ".executableTarget":
      guard let path = entry.strings.first(where: { $0.hasPrefix("Sources/") && !$0.contains("\\(") }) else { return nil }
      return Layout.Block(path: path + "/-")
    default: return nil
    }
  }
}
