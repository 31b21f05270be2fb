import Testing

/// Shows that each check of this suite catches the breach it exists for, and lets the proper form pass.
@Suite struct CheckerTests {
  private func source(_ text: String, at path: String = "Sources/Storage/Log/Log.swift") -> SourceFile { SourceFile(path: path, text: text) }

  // MARK: reading sources

  @Test func commentsAndStringsAreBlanked() {
    let file = source(
      #"""
      let a = "try! // \(call("as!", ")")) text" // fatalError(
      let b = """
        as! "quoted" \(x)
        """; let c = 1 /* try! /* nested */ as! */ + 2
      """#)
    #expect(file.lines.count == file.code.count && file.code.count == file.comments.count)
    #expect(!file.code.contains { $0.contains("try!") || $0.contains("as!") || $0.contains("fatalError") })
    #expect(file.code[3].contains("let c = 1") && file.code[3].contains("+ 2"))
    #expect(file.comments[0].contains("fatalError("))
    #expect(zip(file.lines, file.code).allSatisfy { $0.unicodeScalars.count == $1.unicodeScalars.count })
  }

  @Test func declarationsAreFoundWithTheirExtent() throws {
    let file = source(
      """
      public struct Log<Element>: Sendable, Hashable where Element: Hashable {
        private(set) public var count = 0
        @discardableResult
        public func append(
          _ element: Element
        ) throws(LogError) -> Int {
          let local = 1
          func inner() {}
          return local
        }
        public static func == (a: Self, b: Self) -> Bool { true }
        public init(count: Int, of other: @escaping (Int) -> Void = { _ in }) {}
      }
      extension Log.Part: CustomStringConvertible { public var description: String { "" } }
      """)
    let found = DeclarationScanner.declarations(in: file)
    try #require(found.map(\.name) == ["Log", "count", "append", "==", "count:of", "Part", "description"])
    #expect(found[0].inherited == ["Sendable", "Hashable"])
    #expect(found[0].lastLine == 12)
    #expect((found[2].line, found[2].lastLine) == (3, 9))
    #expect(found[2].access == "public" && found[6].parents.last?.name == "Part")
  }

  // MARK: documentation

  private func undocumented(_ text: String) -> [String] {
    DocumentationCheck([source(text)]).findings().map(\.text)
  }

  @Test func undocumentedPublicSymbolsAreCaught() {
    #expect(undocumented("public struct A {}").count == 1)
    #expect(undocumented("package func f() {}").count == 1)
    #expect(undocumented("/// A.\npublic struct A {\n  public var x = 1\n}").count == 1)
    #expect(undocumented("/// A.\npublic enum A {\n  case one(Int)\n}").count == 1)
    #expect(undocumented("/// A.\npublic protocol A {\n  func f()\n}").count == 1)
    #expect(undocumented("/// A.\npublic struct A {\n  /// X.\n  public var x = 1\n\n  public init(y: Int) { x = y }\n}").count == 1)
    #expect(undocumented("struct A {\n  package var x = 1\n}").count == 1)
    #expect(undocumented("extension Int { public var x: Int { 1 } }").count == 1)
    #expect(undocumented("// Not a doc comment.\npublic struct A {}").count == 1)
    #expect(undocumented("public actor A {}\npublic typealias B = A\n@frozen public final class C {}").count == 3)
  }

  @Test func documentedOrSelfEvidentSymbolsPass() {
    #expect(undocumented("/// A.\n@frozen\npublic struct A {}") == [])
    #expect(undocumented("struct A {\n  var x = 1\n}") == [])
    #expect(undocumented("/// A.\npackage struct A {\n  package var x = 1\n}") == [])
    #expect(undocumented("/// A.\npublic enum A: String {\n  case one, two\n}") == [])
    let library = "/// A.\npublic enum A: Error {}\nextension A: CustomStringConvertible {\n  public var description: String { \"\" }\n}"
    #expect(undocumented(library) == [])
    let memberwise = "  /// X.\n  public var x: Int\n  public init(x: Int) { self.x = x }\n  public init() { x = 0 }\n"
    #expect(undocumented("/// A.\npublic struct A {\n\(memberwise)}") == [])
    let base = "/// A.\nopen class A {\n  /// F.\n  open func f() {}\n}\n"
    #expect(undocumented(base + "/// B.\npublic class B: A {\n  public override func f() {}\n}") == [])
    let witness = "/// P.\npublic protocol P {\n  /// F.\n  func f()\n}\n/// A.\npublic struct A: P {\n  public func f() {}\n}"
    #expect(undocumented(witness) == [])
  }

  // MARK: size

  @Test func longFilesFunctionsAndLinesAreCaught() {
    let body = String(repeating: "  step()\n", count: SizeCheck.functionLines)
    #expect(SizeCheck.findings(source("func long() {\n\(body)}\n")).count == 1)
    #expect(SizeCheck.findings(source("struct S {\n  init() {\n\(body)  }\n}\n")).count == 1)
    #expect(SizeCheck.findings(source("func long() {\n  // tidy: one table, read top to bottom\n\(body)}\n")) == [])
    #expect(SizeCheck.findings(source("// tidy: \nfunc long() {\n\(body)}\n")).count == 1)
    #expect(SizeCheck.findings(source("func short() {\n}\n" + body)) == [])
    let file = String(repeating: "let x = 1\n", count: SizeCheck.fileLines + 1)
    #expect(SizeCheck.findings(source(file)).count == 1)
    #expect(SizeCheck.findings(source("// tidy: a generated table\n" + file)) == [])
    #expect(SizeCheck.findings(source("// " + String(repeating: "x", count: SizeCheck.lineColumns))).count == 1)
  }

  // MARK: wording

  @Test func bannedWordsAreCaught() {
    for word in WordingCheck.banned {
      #expect(WordingCheck.bannedWords("a", ["let x = 1 // \(word): later"]).count == 1, "\(word)")
    }
    #expect(WordingCheck.bannedWords("a", ["FOR" + " NOW this stays"]).count == 1)
    #expect(WordingCheck.bannedWords("a", ["let mastodon = todoList", "a method" + "ology", "before nowhere"]) == [])
  }

  @Test func unreasonedConstructsAreCaught() {
    for construct in WordingCheck.reasoned {
      let text = construct.hasSuffix("(") ? "\(construct)\"\")" : "\(construct) x"
      #expect(WordingCheck.missingReasons(source(text)).count == 1, "\(construct)")
      #expect(WordingCheck.missingReasons(source("/// Makes an x.\n" + text)).count == 1, "\(construct)")
      #expect(WordingCheck.missingReasons(source("// Reason: it holds.\n" + text)) == [], "\(construct)")
      #expect(WordingCheck.missingReasons(source(text + "  // It holds.")) == [], "\(construct)")
      #expect(WordingCheck.missingReasons(source("let text = \"\(construct.replacing("\"", with: ""))\"")) == [], "\(construct)")
    }
    #expect(WordingCheck.missingReasons(source("/// State is guarded by `lock`.\nfinal class A: @unchecked Sendable {}")) == [])
  }

  // MARK: layout

  private func importProblems(_ files: [(String, String)]) -> [Finding] {
    Layout.importFindings(files.map { SourceFile(path: $0.0, text: $0.1) })
  }

  @Test func upwardAndForeignImportsAreCaught() {
    let server = ("Sources/Server/RESP/A.swift", "import Foundation\nimport NIOCore\n")
    #expect(importProblems([("Sources/Core/Disk/A.swift", "import StrataRESP"), server]).count == 1)
    #expect(importProblems([("Sources/Storage/Log/A.swift", "public import StrataRESP"), server]).count == 1)
    for module in ["Foundation", "NIOCore", "NIOPosix", "Hummingbird", "Dispatch", "FoundationEssentials", "StrataMissing"] {
      #expect(importProblems([("Sources/Storage/Log/A.swift", "@preconcurrency import \(module)")]).count == 1, "\(module)")
    }
    #expect(importProblems([("Sources/Attic/Log/A.swift", "")]).count == 1)
    #expect(importProblems([("Sources/Loose.swift", "")]).count == 1)
    #expect(importProblems([("Sources/Core/Disk/A.swift", "import struct StrataRESP.Value"), server]).count == 1)
  }

  @Test func downwardImportsPass() {
    #expect(
      importProblems([
        ("Sources/Core/Disk/A.swift", "import Synchronization\npublic import SystemPackage\nimport CStrataDisk"),
        ("Sources/Core/CStrataDisk/A.swift", ""),
        ("Sources/Storage/Log/A.swift", "import StrataDisk\n// import Foundation\nlet s = \"import Foundation\""),
        ("Sources/Storage/Tree/A.swift", "import StrataLog\n// A file URL is the job here.\nimport FoundationEssentials"),
        ("Sources/Server/RESP/A.swift", "import NIOCore\nimport StrataTree"),
        ("Sources/strata/Serve.swift", "import StrataRESP\nimport Foundation"),
      ]) == [])
  }

  @Test func cyclesAreCaught() {
    let files = { (last: String) in
      [("A", "import StrataB"), ("B", "import StrataC"), ("C", last)].map { SourceFile(path: "Sources/Core/\($0.0)/F.swift", text: $0.1) }
    }
    #expect(Layout.cycle(files("import StrataA")) == ["StrataA", "StrataB", "StrataC", "StrataA"])
    #expect(Layout.cycle(files("import Synchronization")) == nil)
  }

  // MARK: manifest

  private static let manifest = """
    func block(_ floor: String, _ name: String) -> Target { .target(name: "Strata\\(name)", path: "Sources/\\(floor)/\\(name)") }
    let blocks = [block("Core", "Disk", ["CStrataDisk"]), block("Storage", "Log", ["StrataDisk"])]
    let package = Package(
      products: blocks.map { .library(name: $0.name, targets: [$0.name]) } + server.map { .library(name: $0.name, targets: [$0.name]) },
      targets: blocks + [.target(name: "CStrataDisk", path: "Sources/Core/CStrataDisk"), tests("Core", "Disk", ["StrataDisk"])])
    """
  private static let folders: Set<Layout.Block> = [
    .init(floor: "Core", name: "Disk"), .init(floor: "Storage", name: "Log"), .init(floor: "Core", name: "CStrataDisk"),
  ]

  private func manifestProblems(_ text: String, folders: Set<Layout.Block> = folders, tests: Set<String> = ["Tests/Core/DiskTests"]) -> Int {
    Manifest(text: text).findings(folders: folders, testFolders: tests).count
  }

  @Test func soundManifestPasses() { #expect(manifestProblems(Self.manifest) == 0) }

  @Test func manifestBreachesAreCaught() {
    let text = Self.manifest
    #expect(manifestProblems(text.replacing("[\"CStrataDisk\"]", with: "[\"StrataLog\"]")) == 1)
    #expect(manifestProblems(text.replacing("server.map { .library(name: $0.name, targets: [$0.name]) }", with: "[]")) == 1)
    #expect(manifestProblems(text.replacing("blocks.map { .library(name: $0.name, targets: [$0.name]) }", with: "[]")) == 1)
    #expect(manifestProblems(text, folders: Self.folders.union([.init(floor: "Core", name: "Lost")])) == 1)
    #expect(manifestProblems(text, folders: Self.folders.subtracting([.init(floor: "Storage", name: "Log")])) == 1)
    #expect(manifestProblems(text, tests: ["Tests/Core/DiskTests", "Tests/Core/LostTests"]) == 1)
    let unlisted = text.replacing("blocks + [", with: "blocks + [.target(name: \"StrataLog2\", path: \"Sources/Storage/Log\"), ")
    #expect(manifestProblems(unlisted) == 1)
  }

  // MARK: laws

  @Test func filesOutsideDiskAreCaught() {
    let text = "func f() { fsync(3); _ = Glibc.pwrite(1, p, 2, 0) }"
    #expect(LawCheck.filesBehindTheDoor(source(text)).count == 2)
    #expect(LawCheck.filesBehindTheDoor(source(text, at: "Sources/Core/Disk/POSIX.swift")) == [])
    #expect(LawCheck.filesBehindTheDoor(source("func unlink() {}\nfile.unlink()\n// fsync(3)")) == [])
  }

  @Test func hiddenInputsOfProtocolsAreCaught() {
    for text in ["let now = ContinuousClock().now", "Int.random(in: 0..<2)", "var r = SystemRandomNumberGenerator()", "key.hashValue"] {
      #expect(LawCheck.hiddenInputs(source(text, at: "Sources/Consensus/Raft/Raft.swift")).count == 1, "\(text)")
      #expect(LawCheck.hiddenInputs(source(text)) == [], "\(text)")
    }
    #expect(LawCheck.hiddenInputs(source("Int.random(in: 0..<2, using: &random)", at: "Sources/Consensus/Raft/Raft.swift")) == [])
  }

  @Test func sleepingTestsAreCaught() {
    for text in ["try await Task.sleep(for: .seconds(1))", "usleep(10)", "Thread.sleep(forTimeInterval: 1)"] {
      #expect(LawCheck.sleeps(source(text)).count == 1, "\(text)")
    }
    #expect(LawCheck.sleeps(source("// sleep(1)\nlet sleepers = oversleep(1)")) == [])
  }

  // MARK: requirements

  @Test func requirementBreachesAreCaught() {
    let pages = RequirementPages([("Log", "# Log\n- **keep.1** One.\n- **bytes.never.2** Two. (with the simulator)\n")])
    #expect(pages.findings == [] && pages.known == ["Log.keep.1", "Log.bytes.never.2"])
    #expect(RequirementPages([("Log", "- **keep.1** One.\n- **keep.1** Again.\n- **Keep 2** Odd.\n")]).findings.count == 2)
    let text = "@Test(.requirement(\"Log.keep.1\", \"Log.keep.9\"),\n  .requirement(\n    \"Log.never.2\"))\n// .requirement(\"Log.keep.8\")"
    #expect(pages.unknownNames(in: source(text)).count == 2)
  }
}
