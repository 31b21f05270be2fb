import Foundation

/// The files of this checkout, read once.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Swift sources of the products.
  static let sources = swiftFiles(under: ["Sources"])
  /// Swift sources of tests and benchmarks.
  static let others = swiftFiles(under: ["Tests", "Benchmarks"])
  /// Text files of any other language that people wrote: shims, scripts, peers, build files.
  static let texts: [(path: String, lines: [String])] = paths(under: ["Sources", "Tests", "Scripts", "Benchmarks", ".ci", "Makefile"])
    .filter { path in ["c", "h", "cc", "py", "sh"].contains(URL(fileURLWithPath: path).pathExtension) || isScript(path) }
    .map { ($0, read($0).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)) }

  static let manifest = Manifest(text: read("Package.swift"))
  static let requirementPages = RequirementPages(
    paths(under: ["Docs/Requirements"]).filter { $0.hasSuffix(".md") }.map {
      (URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent, read($0))
    })

  /// Folders two levels under Sources, and `Sources/strata`, that hold a source of any language.
  static let folders = Set(paths(under: ["Sources"]).filter { [".swift", ".c"].contains(where: $0.hasSuffix) }.compactMap(Layout.Block.init(path:)))
  /// Folders of the form `Tests/<Floor>/<Name>Tests`.
  static let testFolders = Set(
    paths(under: ["Tests"]).filter { $0.hasSuffix(".swift") }.compactMap { path -> String? in
      let parts = path.split(separator: "/")
      guard parts.count >= 4, parts[2].hasSuffix("Tests") else { return nil }
      return parts[..<3].joined(separator: "/")
    })

  static func read(_ path: String) -> String {
    guard let data = try? Data(contentsOf: root.appendingPathComponent(path)) else { return "" }
    return String(decoding: data, as: UTF8.self)
  }

  private static func isScript(_ path: String) -> Bool { path.hasSuffix("Makefile") || path == ".ci/run" }

  private static func swiftFiles(under folders: [String]) -> [SourceFile] {
    paths(under: folders).filter { $0.hasSuffix(".swift") }.map { SourceFile(path: $0, text: read($0)) }
  }

  /// Paths from the root, sorted; what tools build, in folders whose name begins with `.build`, is left out.
  private static func paths(under folders: [String]) -> [String] {
    folders.flatMap { folder -> [String] in
      let url = root.appendingPathComponent(folder)
      guard let walk = FileManager.default.enumerator(atPath: url.path) else { return [folder] }
      return walk.compactMap { $0 as? String }.filter { !$0.split(separator: "/").contains { $0.hasPrefix(".build") || $0 == "__pycache__" } }
        .map { folder + "/" + $0 }.sorted()
    }
  }
}
