/// What a decoder does next, in terms of the bytes that are there. Resolution has happened: no schema is looked at any more.
struct PlanOp {
  enum Code: UInt8 {
    case null, boolean, int, long, float, double, bytes, string
    /// `a`: length.
    case fixed
    /// `a`: how many symbols the writer has; `b`: where in `indices` the reader's places begin, or -1 where they are the writer's.
    case enumeration
    /// `a`: first step, `b`: how many, `c`: the record's place in `records`.
    case record
    /// `a`: the items' op.
    case array
    /// `a`: the values' op.
    case map
    /// The writer's union. `a`: where in `indices` the branches' ops begin; `b`: how many.
    case union
    /// The reader's union around what is not a union, or a branch of the writer's. `a`: the reader's branch; `b`: its op.
    case wrap
    case intToLong, intToFloat, intToDouble, longToFloat, longToDouble, floatToDouble, stringToBytes, bytesToString
    /// Data that the reader has no place for. `a`: the reason's place in `failures`.
    case failure
  }

  var code: Code
  var a: Int32 = 0
  var b: Int32 = 0
  var c: Int32 = 0
  /// How many bytes every datum has, where all have the same; -1 otherwise.
  var fixedSize: Int32 = -1
  /// How many bytes a datum has at least.
  var minimumSize: Int32 = 0
}

/// One field as the writer laid it down: how to read it and where it goes.
@usableFromInline
struct PlanStep: BitwiseCopyable {
  @usableFromInline var op: Int32
  /// The field's place in the reader's record, -1 where the reader has no such field.
  @usableFromInline var target: Int32
}

/// What is known about a record besides its steps.
struct PlanRecord {
  /// How many fields the reader's record has.
  var fieldCount: Int32
  /// Whether the steps give the reader's fields all and in order.
  var isStraight: Bool
  /// Where in `defaults` the fields begin that the writer does not have, and how many.
  var firstDefault: Int32
  var defaultCount: Int32
}

/// A reader's field that the writer does not have.
struct PlanDefault {
  var target: Int32
  /// The reader's own op, which reads the bytes of the default.
  var op: Int32
  /// Its place in `defaultBytes` and `defaultValues`.
  var offset: Int32
  var length: Int32
  var value: Int32
}

/// The tables of a plan as pointers, so that decoding counts no references and checks no bounds that compilation has checked.
///
/// Every index in an op, step or default was made by ``PlanCompiler`` and lies within its table; none comes from data.
@usableFromInline
struct PlanTables {
  let ops: UnsafePointer<PlanOp>
  @usableFromInline let steps: UnsafePointer<PlanStep>
  let indices: UnsafePointer<Int32>
  let records: UnsafePointer<PlanRecord>
  let defaults: UnsafePointer<PlanDefault>
  let defaultBytes: UnsafePointer<UInt8>
}

/// Owns a plan's tables. They never change after `init`.
final class PlanStorage {
  let tables: PlanTables
  let root: Int
  let failures: [String]
  let defaultValues: [AvroValue]
  /// For each op the node of the schema that reads, and whether that is the writer's (what is only skipped) or the reader's.
  let origins: [PlanOrigin]
  let writer: SchemaStorage
  let reader: SchemaStorage

  init(_ parts: borrowing PlanParts, root: Int, writer: SchemaStorage, reader: SchemaStorage) {
    tables = PlanTables(
      ops: Self.copy(parts.ops), steps: Self.copy(parts.steps), indices: Self.copy(parts.indices), records: Self.copy(parts.records),
      defaults: Self.copy(parts.defaults), defaultBytes: Self.copy(parts.defaultBytes))
    self.root = root
    failures = parts.failures
    defaultValues = parts.defaultValues
    origins = parts.origins
    self.writer = writer
    self.reader = reader
  }

  deinit {
    tables.ops.deallocate()
    tables.steps.deallocate()
    tables.indices.deallocate()
    tables.records.deallocate()
    tables.defaults.deallocate()
    tables.defaultBytes.deallocate()
  }

  private static func copy<T: BitwiseCopyable>(_ items: [T]) -> UnsafePointer<T> {
    let memory = UnsafeMutablePointer<T>.allocate(capacity: max(items.count, 1))
    items.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { memory.initialize(from: base, count: source.count) }
    }
    return UnsafePointer(memory)
  }

  func node(of op: Int) -> SchemaNode {
    let origin = origins[op]
    return (origin.isWriter ? writer : reader).nodes[Int(origin.node)]
  }
}

// Nothing is written after init, so any number of threads may read.
extension PlanStorage: @unchecked Sendable {}

/// Which type an op reads.
struct PlanOrigin {
  var node: Int32
  var isWriter: Bool
}

/// A plan's tables while they are being made.
struct PlanParts {
  var ops: [PlanOp] = []
  var origins: [PlanOrigin] = []
  var steps: [PlanStep] = []
  var indices: [Int32] = []
  var records: [PlanRecord] = []
  var defaults: [PlanDefault] = []
  var defaultBytes: [UInt8] = []
  var defaultValues: [AvroValue] = []
  var failures: [String] = []
}
