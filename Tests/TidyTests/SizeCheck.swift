/// Files, functions and lines stay short enough to be read.
///
/// A longer file or function says why in a `// tidy: <reason>` comment: above the file's first declaration, or above or inside the function.
enum SizeCheck {
  static let fileLines = 700
  static let functionLines = 70
  static let lineColumns = 150

  static func findings(_ file: SourceFile) -> [Finding] {
    let declarations = DeclarationScanner.declarations(in: file)
    return longLines(file.path, file.lines) + longFile(file, declarations) + longFunctions(file, declarations)
  }

  /// Lines over the limit in a file of any language.
  static func longLines(_ path: String, _ lines: [String]) -> [Finding] {
    lines.indices.filter { lines[$0].count > lineColumns }.map {
      Finding(path, line: $0 + 1, "\(lines[$0].count) columns, more than \(lineColumns)")
    }
  }

  private static func longFile(_ file: SourceFile, _ declarations: [Declaration]) -> [Finding] {
    let firstDeclaration = declarations.first?.line ?? file.lines.count
    guard file.lines.count > fileLines, !hasReason(file, 0..<firstDeclaration) else { return [] }
    return [Finding(file.path, "\(file.lines.count) lines, more than \(fileLines); split it, or say why not in a `// tidy:` comment at its head")]
  }

  private static func longFunctions(_ file: SourceFile, _ declarations: [Declaration]) -> [Finding] {
    declarations.filter { [.function, .initializer, .deinitializer, .subscription, .property].contains($0.kind) }.compactMap { declaration in
      let lines = declaration.lastLine - declaration.line + 1
      let around = file.leadingBlock(above: declaration.line).lowerBound..<declaration.lastLine + 1
      guard lines > functionLines, !hasReason(file, around) else { return nil }
      let name = "\(declaration.kind.rawValue) \(declaration.name)"
      return Finding(
        file.path, line: declaration.line + 1,
        "\(name) has \(lines) lines, more than \(functionLines); split it, or say why not in a `// tidy:` comment")
    }
  }

  private static func hasReason(_ file: SourceFile, _ lines: Range<Int>) -> Bool {
    lines.contains { line in
      guard let range = file.comments[line].firstRange(of: "tidy: ") else { return false }
      return !String(file.comments[line][range.upperBound...]).trimmed.isEmpty
    }
  }
}
