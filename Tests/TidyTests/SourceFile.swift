/// A Swift source split into what compiles and what is said about it: the code with the contents of strings and comments blanked,
/// line by line, and the comment of each line. Enough structure for the checks of this suite, without a compiler.
struct SourceFile {
  /// Path from the root of the package, such as `Sources/Core/Disk/File.swift`.
  let path: String
  /// The lines as written.
  let lines: [String]
  /// The same lines with comments and the insides of strings replaced by spaces; columns agree with ``lines``.
  let code: [String]
  /// The text of the comments that lie on a line, markers included; empty where there is none.
  let comments: [String]

  init(path: String, text: String) {
    self.path = path
    var masker = Masker(text)
    masker.run()
    lines = Self.split(Array(text.unicodeScalars))
    code = Self.split(masker.code)
    comments = Self.split(masker.comments).map { $0.trimmed }
  }

  /// The first line of the contiguous block of comments, attributes and blank code that ends right above `line`.
  func leadingBlock(above line: Int) -> Range<Int> {
    var first = line
    while first > 0 {
      let code = code[first - 1].trimmed
      let isComment = code.isEmpty && !comments[first - 1].isEmpty
      let isAttribute = code.hasPrefix("@") && !code.contains(where: { $0 == "{" || $0 == "=" })
      guard isComment || isAttribute || code.hasPrefix("#if") || code == "#endif" else { break }
      first -= 1
    }
    return first..<line
  }

  private static func split(_ scalars: [Unicode.Scalar]) -> [String] {
    var lines = scalars.split(separator: "\n", omittingEmptySubsequences: false).map { part in
      var line = String.UnicodeScalarView()
      line.append(contentsOf: part)
      return String(line)
    }
    if lines.last == "" { lines.removeLast() }
    return lines
  }
}

/// Walks a source once and separates code from comments; strings keep their quotes and lose their contents.
private struct Masker {
  private let text: [Unicode.Scalar]
  private var position = 0
  private(set) var code: [Unicode.Scalar] = []
  private(set) var comments: [Unicode.Scalar] = []

  init(_ text: String) { self.text = Array(text.unicodeScalars) }

  mutating func run() {
    while position < text.count {
      if starts("//") {
        while position < text.count, text[position] != "\n" { take(asComment: true) }
      } else if starts("/*") {
        blockComment()
      } else if let hashes = openingQuote() {
        string(hashes: hashes)
      } else {
        take(asComment: false)
      }
    }
  }

  private func starts(_ prefix: String, at offset: Int = 0) -> Bool {
    var next = position + offset
    for scalar in prefix.unicodeScalars {
      guard next < text.count, text[next] == scalar else { return false }
      next += 1
    }
    return true
  }

  private mutating func take(asComment: Bool) {
    let scalar = text[position]
    position += 1
    if scalar == "\n" {
      code.append(scalar)
      comments.append(scalar)
    } else {
      code.append(asComment ? " " : scalar)
      comments.append(asComment ? scalar : " ")
    }
  }

  /// One scalar of a string's inside.
  private mutating func blank() {
    let scalar = text[position]
    position += 1
    code.append(scalar == "\n" ? "\n" : " ")
    comments.append(scalar == "\n" ? "\n" : " ")
  }

  private mutating func blockComment() {
    var depth = 0
    repeat {
      if starts("/*") {
        depth += 1
        take(asComment: true)
      } else if starts("*/") {
        depth -= 1
        take(asComment: true)
      }
      if position < text.count { take(asComment: true) }
    } while depth > 0 && position < text.count
  }

  /// The number of hashes before a quote that opens a string here, or `nil` where none does.
  private func openingQuote() -> Int? {
    var hashes = 0
    while position + hashes < text.count, text[position + hashes] == "#" { hashes += 1 }
    return starts("\"", at: hashes) ? hashes : nil
  }

  private mutating func string(hashes: Int) {
    let fence = String(repeating: "#", count: hashes)
    for _ in 0..<hashes { take(asComment: false) }
    let quote = starts("\"\"\"") ? "\"\"\"" : "\""
    for _ in 0..<quote.count { take(asComment: false) }
    while position < text.count {
      if starts(quote + fence) {
        for _ in 0..<(quote.count + hashes) { take(asComment: false) }
        return
      }
      if quote.count == 1, text[position] == "\n" { return }
      if starts("\\" + fence + "(") {
        for _ in 0..<(hashes + 2) { blank() }
        interpolation()
      } else if starts("\\" + fence) {
        for _ in 0..<(hashes + 1) { blank() }
        if position < text.count { blank() }
      } else {
        blank()
      }
    }
  }

  /// The code inside `\( )`, which may hold strings of its own. It stays blank but for the strings' quotes.
  private mutating func interpolation() {
    var depth = 1
    while position < text.count, depth > 0 {
      if let hashes = openingQuote() {
        string(hashes: hashes)
        continue
      }
      if text[position] == "(" { depth += 1 }
      if text[position] == ")" { depth -= 1 }
      blank()
    }
  }
}

extension String {
  /// Without the spaces and tabs at both ends.
  var trimmed: String {
    let isBlank = { (character: Character) in character == " " || character == "\t" || character == "\r" }
    var part = self[...]
    while let first = part.first, isBlank(first) { part.removeFirst() }
    while let last = part.last, isBlank(last) { part.removeLast() }
    return String(part)
  }

  /// The identifiers and keywords of a line of masked code, in order.
  var words: [Substring] { split { !($0.isLetter || $0.isNumber || $0 == "_") } }
}
