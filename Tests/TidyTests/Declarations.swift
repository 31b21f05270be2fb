/// A declaration found in a source by its keyword and its braces.
struct Declaration {
  enum Kind: String {
    case function = "func", initializer = "init", deinitializer = "deinit", subscription = "subscript", property = "var", constant = "let"
    case structure = "struct", enumeration = "enum", classType = "class", actor, `protocol`, `extension`, enumCase = "case"
    case alias = "typealias", associated = "associatedtype", operatorGroup = "macro"

    var isType: Bool {
      switch self {
      case .structure, .enumeration, .classType, .actor, .protocol, .extension: true
      default: false
      }
    }
  }

  let kind: Kind
  /// The base name; for an extension the extended type, for an initialiser its argument labels joined by `:`.
  let name: String
  /// `public`, `open`, `package`, ... or empty where nothing is written.
  let access: String
  /// Types and extensions around it, outermost first.
  let parents: [Parent]
  /// Line of the keyword, from 0.
  let line: Int
  /// Last line, that of the closing brace where there is one.
  var lastLine: Int
  /// Whether a `///` or `/**` comment stands right above.
  let isDocumented: Bool
  /// What stands after the name up to the brace: parameters, inheritance.
  let header: String

  /// An enclosing type or extension.
  struct Parent {
    let kind: Kind
    let name: String
    let access: String
    let isDocumented: Bool
  }

  /// The types named after the colon of a type's or extension's header.
  var inherited: [String] {
    guard kind.isType else { return [] }
    let clause = header.prefix(before: " where ")
    guard let colon = clause.firstIndex(of: ":") else { return [] }
    return clause[clause.index(after: colon)...].split(separator: ",").compactMap {
      $0.split(whereSeparator: { " &@".contains($0) }).last.map(String.init)
    }
  }
}

extension String {
  /// What stands before the first `marker`; all of it where there is none.
  func prefix(before marker: String) -> Substring {
    guard let range = firstRange(of: marker) else { return self[...] }
    return self[..<range.lowerBound]
  }
}

/// Finds the declarations of a source that matter to a reader: types, members, enum cases; not the locals of function bodies.
struct DeclarationScanner {
  private let file: SourceFile
  private var found: [Declaration] = []
  /// One entry per open brace: the index into `found` it belongs to, or `nil` for any other brace.
  private var braces: [Int?] = []
  /// A declaration whose brace has not come yet, with the depth of parentheses it was seen at.
  private var pending: Int?
  private var parentheses = 0

  static func declarations(in file: SourceFile) -> [Declaration] {
    var scanner = DeclarationScanner(file: file)
    for line in file.code.indices { scanner.scan(line) }
    return scanner.found
  }

  private init(file: SourceFile) { self.file = file }

  /// Whether declarations at this point are members or globals and not locals of a body.
  private var isInTypeOrTop: Bool {
    braces.allSatisfy { index in index.map { found[$0].kind.isType } ?? false }
  }

  private mutating func scan(_ line: Int) {
    let code = file.code[line]
    if parentheses == 0, isInTypeOrTop { declare(line, code[...]) }
    for place in code.indices {
      switch code[place] {
      case "(", "[": parentheses += 1
      case ")", "]": parentheses = max(0, parentheses - 1)
      case "{":
        braces.append(parentheses == 0 ? pending : nil)
        if parentheses == 0 { pending = nil }
        // A type's first member may stand on the line of its brace.
        if parentheses == 0, isInTypeOrTop { declare(line, code[code.index(after: place)...]) }
      case "}":
        if let last = braces.popLast(), let index = last { found[index].lastLine = line }
      default: break
      }
    }
  }

  private mutating func declare(_ line: Int, _ code: Substring) {
    let words = String(code).trimmed.declarationWords
    guard let (kind, keyword) = Self.keyword(in: words) else { return }
    let documented = file.leadingBlock(above: line).contains { file.comments[$0].hasPrefix("///") || file.comments[$0].hasPrefix("/**") }
    let access = words[..<keyword].first { Self.accessWords.contains($0) } ?? ""
    let header = header(from: line, code)
    let parents = braces.compactMap { $0 }.map {
      let parent = found[$0]
      return Declaration.Parent(kind: parent.kind, name: parent.name, access: parent.access, isDocumented: parent.isDocumented)
    }
    found.append(
      Declaration(
        kind: kind, name: Self.name(kind, after: keyword, in: words, header: header), access: access, parents: parents, line: line,
        lastLine: line, isDocumented: documented, header: header))
    pending = found.count - 1
  }

  /// The declaration's text from its line up to its brace or its end.
  private func header(from line: Int, _ code: Substring) -> String {
    var text = ""
    var depth = 0
    for next in line..<min(line + 40, file.code.count) {
      for character in next == line ? code : file.code[next][...] {
        if character == "(" { depth += 1 }
        if character == ")" { depth -= 1 }
        if character == "{", depth == 0 { return text }
        text.append(character)
      }
      let continues = depth > 0 || [",", ":", "->", "where", "&"].contains { text.trimmed.hasSuffix($0) }
      let nextLine = next + 1 < file.code.count ? file.code[next + 1].trimmed : ""
      guard continues || nextLine.hasPrefix("->") || nextLine.hasPrefix("where ") || nextLine.hasPrefix(":") || nextLine.hasPrefix("{") else { break }
      text.append(" ")
    }
    return text
  }

  private static let accessWords: Set<String> = ["public", "open", "package", "internal", "fileprivate", "private"]
  private static let modifiers: Set<String> = accessWords.union([
    "static", "final", "mutating", "nonmutating", "borrowing", "consuming", "override", "required", "convenience", "lazy", "weak", "unowned",
    "indirect", "nonisolated", "isolated", "prefix", "postfix", "infix", "dynamic", "optional", "async", "distributed", "sending", "unsafe", "safe",
  ])

  /// The declaring keyword of a line's words: the first word that is neither attribute nor modifier, where it declares something.
  private static func keyword(in words: [String]) -> (Declaration.Kind, Int)? {
    for (index, word) in words.enumerated() {
      if word == "class", index + 1 < words.count, words[index + 1] == "func" || words[index + 1] == "var" { continue }
      if let kind = Declaration.Kind(rawValue: word) { return (kind, index) }
      guard modifiers.contains(word) || word.hasPrefix("@") else { return nil }
    }
    return nil
  }

  private static func name(_ kind: Declaration.Kind, after keyword: Int, in words: [String], header: String) -> String {
    switch kind {
    case .initializer: return labels(of: header)
    case .deinitializer, .subscription: return kind.rawValue
    case .extension:
      guard keyword + 1 < words.count else { return "" }
      return words[keyword + 1].split(separator: ".").last.map(String.init) ?? ""
    default: return keyword + 1 < words.count ? words[keyword + 1] : ""
    }
  }

  /// `a:b` of `init(a x: Int, b: Int)`.
  private static func labels(of header: String) -> String {
    guard let open = header.firstIndex(of: "(") else { return "" }
    var labels: [String] = []
    var depth = 0
    var atStart = true
    var rest = header[header.index(after: open)...].replacing("->", with: "  ")
    while let character = rest.first {
      if depth == 0, atStart, character.isLetter || character == "_" {
        let label = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        labels.append(String(label))
        rest.removeFirst(label.count)
        atStart = false
        continue
      }
      if "([{<".contains(character) { depth += 1 }
      if ")]}>".contains(character) { depth -= 1 }
      if depth < 0 { break }
      if depth == 0, character == "," { atStart = true }
      rest.removeFirst()
    }
    return labels.joined(separator: ":")
  }
}

extension String {
  /// The words a declaration starts with, up to its parameters, type or value; what stands in parentheses before is passed over.
  fileprivate var declarationWords: [String] {
    var words: [String] = []
    var rest = self[...]
    while let character = rest.first {
      if character.isLetter || "_@`".contains(character) {
        let word = rest.prefix { $0.isLetter || $0.isNumber || "_.@`".contains($0) }
        words.append(String(word).replacing("`", with: ""))
        rest = rest.dropFirst(word.count)
      } else if character == "(" {
        rest = rest.dropFirst(rest.balancedPrefixCount)
      } else if character == " " {
        rest.removeFirst()
      } else if words.last == "func" {
        let name = rest.prefix { !$0.isLetter && $0 != "(" && $0 != " " }
        words.append(String(name))
        rest = rest.dropFirst(name.count)
      } else {
        break
      }
    }
    return words
  }
}

extension Substring {
  /// The length of the parenthesised group this begins with, or of all of it where the group does not end.
  fileprivate var balancedPrefixCount: Int {
    var depth = 0
    for (index, character) in enumerated() {
      if character == "(" { depth += 1 }
      if character == ")" { depth -= 1 }
      if depth == 0 { return index + 1 }
    }
    return count
  }
}
