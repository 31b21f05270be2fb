/// How to read what one schema wrote as values of another: made once, used for any number of data, from any thread.
///
/// Making it is O(pairs of types that meet); decoding looks at neither schema again. A plan for one schema alone reads what it wrote.
public struct AvroPlan: Sendable {
  let storage: PlanStorage
  /// The schema the data was written with.
  public let writer: AvroSchema
  /// The schema of the values that decoding gives.
  public let reader: AvroSchema
  /// The bounds decoding keeps.
  public let limits: AvroLimits
  /// What becomes of text that is not UTF-8.
  public let text: AvroText

  /// Holds two schemas against each other.
  /// - Throws: ``AvroResolutionError`` where no datum of the writer can be read. What fails only for some branches of a union or some
  ///   symbols of an enum is left to decoding.
  public init(
    writer: AvroSchema, reader: AvroSchema? = nil, limits: AvroLimits = .default, text: AvroText = .strict
  ) throws(AvroResolutionError) {
    let reader = reader ?? writer
    self.writer = writer
    // Equal schemas are one: the plan is then the writer's own.
    self.reader = reader
    self.limits = limits
    self.text = text
    var compiler = PlanCompiler(writer: writer, reader: reader == writer ? writer : reader)
    storage = try compiler.compile()
  }

  /// The fewest bytes a datum has.
  var minimumSize: Int { Int(storage.tables.ops[storage.root].minimumSize) }
}

/// What decoding does at most for one datum, whatever the bytes say.
public struct AvroLimits: Sendable, Hashable {
  /// How deep values may nest.
  public var maxDepth = 256
  /// How many items an array or map may have.
  public var maxCollectionItems = 16 << 20
  /// How many bytes of memory one datum may take.
  public var maxAllocation = 64 << 20
  /// How long a block of a container file may be, compressed or not.
  public var maxBlockSize = 64 << 20

  /// Depth 256, 16 Mi items, 64 MiB per datum and per block.
  public static let `default` = AvroLimits()

  /// The defaults, to be changed.
  public init() {}
}

/// What becomes of a string whose bytes are not UTF-8.
public enum AvroText: Sendable, Hashable {
  /// It is an error.
  case strict
  /// What is wrong becomes U+FFFD.
  case lossy
}

/// Why no datum of one schema can be read as another.
public struct AvroResolutionError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Where in the writer's data, as a path of field names, `items`, `values` and branches.
  public var path: String
  /// What does not fit.
  public var reason: String

  public var description: String { "the schemas do not fit\(path.isEmpty ? "" : " at \(path)"): \(reason)" }
}
