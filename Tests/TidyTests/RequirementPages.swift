/// The numbered requirements of Docs/Requirements and the tests that name them.
struct RequirementPages {
  /// `Bitcask.never.5` and the like, of every page.
  let known: Set<String>
  /// Numbers that a page gives twice, and lines that look like a requirement but are not in the form tools read.
  let findings: [Finding]

  /// - Parameter pages: target name and text of its page.
  init(_ pages: [(target: String, text: String)]) {
    var known: Set<String> = []
    var findings: [Finding] = []
    for (target, text) in pages {
      let path = "Docs/Requirements/\(target).md"
      for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where line.hasPrefix("- **") {
        guard let match = line.firstMatch(of: /^- \*\*((?:[a-z]+\.)+[0-9]+)\*\* \S/) else {
          findings.append(Finding(path, line: index + 1, "is not of the form `- **keep.1** text`"))
          continue
        }
        if !known.insert("\(target).\(match.1)").inserted { findings.append(Finding(path, line: index + 1, "\(match.1) is there twice")) }
      }
    }
    self.known = known
    self.findings = findings
  }

  /// Requirements a source names that no page has. The names are read from the text as written, inside `.requirement(...)`.
  func unknownNames(in file: SourceFile) -> [Finding] {
    file.lines.indices.flatMap { line -> [Finding] in
      guard file.code[line].contains(".requirement(") else { return [] }
      return Self.names(from: line, in: file).filter { !known.contains($0) }.map {
        Finding(file.path, line: line + 1, "names requirement \($0), which no page in Docs/Requirements has")
      }
    }
  }

  /// The strings between the parenthesis opened on `line` and its end, which may be lines below.
  private static func names(from line: Int, in file: SourceFile) -> [String] {
    let rest = file.lines[line...].prefix(20).joined(separator: " ")
    let calls = file.code[line].ranges(of: ".requirement(").count
    return rest.matches(of: /\.requirement\(([^)]*)\)/).prefix(calls).flatMap { call in
      call.1.matches(of: /"([^"]*)"/).map { String($0.1) }
    }
  }
}
