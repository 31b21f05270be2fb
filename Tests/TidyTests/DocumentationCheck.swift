/// Every `public` or `package` declaration says what its caller may rely on, in a doc comment right above it.
///
/// Without one may stand:
/// - a member that fulfils a requirement of a protocol its type names as its own, whether of this package or of the standard library:
///   the protocol's text is its contract;
/// - an initialiser without parameters, or one whose every parameter is named after a stored property of its documented type;
/// - a member that overrides one of its superclass, whose text is its contract;
/// - a `package` property of a documented type: its name and type are read together with the type's text;
/// - several plain cases on one line under a documented enum;
/// - extensions, whose members are looked at one by one.
struct DocumentationCheck {
  private let requirements: [String: Set<String>]
  private let conformances: [String: Set<String>]
  private let properties: [String: Set<String>]
  private let files: [(file: SourceFile, declarations: [Declaration])]

  init(_ files: [SourceFile]) {
    let parsed = files.map { ($0, DeclarationScanner.declarations(in: $0)) }
    var requirements = Self.libraryRequirements
    var conformances: [String: Set<String>] = [:]
    var properties: [String: Set<String>] = [:]
    for declaration in parsed.flatMap(\.1) {
      if declaration.kind.isType { conformances[declaration.name, default: []].formUnion(declaration.inherited) }
      guard let parent = declaration.parents.last else { continue }
      if parent.kind == .protocol { requirements[parent.name, default: []].insert(declaration.name) }
      if declaration.kind == .property || declaration.kind == .constant { properties[parent.name, default: []].insert(declaration.name) }
    }
    self.requirements = requirements
    self.conformances = conformances
    self.properties = properties
    self.files = parsed
  }

  func findings() -> [Finding] {
    files.flatMap { file, declarations in
      declarations.filter { isPromised($0) && !$0.isDocumented && !isExempt($0) }.map { declaration in
        let access = declaration.access.isEmpty ? "public" : declaration.access
        return Finding(
          file.path, line: declaration.line + 1,
          "\(access) \(declaration.kind.rawValue) \(declaration.name) has no doc comment; say what its caller may rely on")
      }
    }
  }

  private static let promised: Set<String> = ["public", "open", "package"]

  /// Written as public or package, or a case or requirement of an enum or protocol that is.
  private func isPromised(_ declaration: Declaration) -> Bool {
    if declaration.kind == .extension || declaration.kind == .deinitializer { return false }
    if Self.promised.contains(declaration.access) { return true }
    guard declaration.access.isEmpty, let parent = declaration.parents.last, Self.promised.contains(parent.access) else { return false }
    return declaration.kind == .enumCase || parent.kind == .protocol
  }

  private func isExempt(_ declaration: Declaration) -> Bool {
    guard let parent = declaration.parents.last else { return false }
    if parent.kind == .protocol { return false }
    if declaration.header.split(separator: " ").contains("override") { return true }
    let isProperty = declaration.kind == .property || declaration.kind == .constant
    if isProperty, declaration.access == "package", parent.isDocumented { return true }
    if declaration.kind == .enumCase { return isPlainList(declaration) && parent.isDocumented }
    if declaration.kind == .initializer {
      if declaration.name.isEmpty { return true }
      if Set(declaration.name.split(separator: ":").map(String.init)).isSubset(of: properties[parent.name] ?? []) { return true }
    }
    return inheritedProtocols(of: parent.name).contains { requirements[$0]?.contains(declaration.name) == true }
  }

  private func isPlainList(_ declaration: Declaration) -> Bool {
    !declaration.header.contains("(") && declaration.header.contains(",")
  }

  /// The protocols a type names, and those they refine.
  private func inheritedProtocols(of type: String) -> Set<String> {
    var reached = conformances[type] ?? []
    var pending = Array(reached)
    while let next = pending.popLast() {
      for inherited in conformances[next] ?? [] where reached.insert(inherited).inserted { pending.append(inherited) }
    }
    return reached
  }

  private static let libraryRequirements: [String: Set<String>] = [
    "CustomStringConvertible": ["description"],
    "CustomDebugStringConvertible": ["debugDescription"],
    "Error": [],
    "LocalizedError": ["errorDescription"],
    "Equatable": ["=="],
    "Hashable": ["==", "hash"],
    "Comparable": ["==", "<", ">", "<=", ">="],
    "Identifiable": ["id"],
    "RawRepresentable": ["rawValue", "rawValue:"],
    "OptionSet": ["rawValue", "rawValue:"],
    "Encodable": ["encode"],
    "Decodable": ["from:"],
    "Codable": ["encode", "from:"],
    "Sequence": ["makeIterator", "Iterator", "Element", "underestimatedCount"],
    "IteratorProtocol": ["next", "Element"],
    "AsyncSequence": ["makeAsyncIterator", "AsyncIterator", "Element", "Failure"],
    "AsyncIteratorProtocol": ["next", "Element"],
    "Collection": ["startIndex", "endIndex", "index", "subscript", "Index", "Element", "count", "isEmpty"],
    "RandomAccessCollection": ["startIndex", "endIndex", "index", "subscript", "Index", "Element", "count", "isEmpty"],
    "RandomNumberGenerator": ["next"],
    "ExpressibleByStringLiteral": ["stringLiteral:", "stringLiteral"],
    "ExpressibleByIntegerLiteral": ["integerLiteral:", "integerLiteral"],
    "ExpressibleByArrayLiteral": ["arrayLiteral:", "arrayLiteral"],
    "Executor": ["enqueue"],
    "SerialExecutor": ["enqueue", "asUnownedSerialExecutor"],
    "TaskExecutor": ["enqueue"],
    "TestTrait": ["isRecursive", "prepare"],
    "SuiteTrait": ["isRecursive"],
    "ChannelHandler": ["handlerAdded", "handlerRemoved"],
    "ChannelInboundHandler": [
      "InboundIn", "InboundOut", "OutboundOut", "channelRead", "channelReadComplete", "channelActive", "channelInactive",
      "channelWritabilityChanged", "userInboundEventTriggered", "errorCaught", "handlerAdded", "handlerRemoved",
    ],
    "ByteToMessageDecoder": ["InboundOut", "decode", "decodeLast"],
  ]
}
