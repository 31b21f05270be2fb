import StrataBytes

/// The properties of the block, the part of the index and the table that are being written, one of each per collector.
struct PropertyCollection: ~Copyable {
  private let collectors: [any BlockPropertyCollector]
  private var block: [[UInt8]]
  /// `nil` where a block has had none.
  private var part: [[UInt8]?]
  private var table: [[UInt8]?]

  init(_ collectors: [any BlockPropertyCollector]) {
    precondition(collectors.count <= TableLimits.properties, "a table has at most \(TableLimits.properties) properties")
    self.collectors = collectors
    block = collectors.map { _ in [] }
    part = collectors.map { _ in [] }
    table = part
  }

  @inline(__always)
  var isEmpty: Bool { collectors.isEmpty }

  mutating func add(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, _ value: UnsafeRawBufferPointer) {
    guard let kind = trailer.kind else { return }
    for index in collectors.indices {
      collectors[index].add(key: key.bytes, sequence: trailer.sequence, kind: kind, value: value.bytes, to: &block[index])
    }
  }

  /// Ends the block: its properties, encoded; empty where nobody collects.
  mutating func endBlock() -> [UInt8] {
    guard !isEmpty else { return [] }
    var writer = ByteWriter()
    for index in collectors.indices {
      let property = block[index]
      block[index] = []
      let isFit = property.count <= TableLimits.propertyBytes
      Self.write(isFit ? property : nil, &writer)
      Self.fold(isFit ? property : nil, collectors[index], into: &part[index])
      Self.fold(isFit ? property : nil, collectors[index], into: &table[index])
    }
    return writer.finish()
  }

  /// Ends the part of the index: its properties, encoded.
  mutating func endPart() -> [UInt8] {
    guard !isEmpty else { return [] }
    var writer = ByteWriter()
    for property in part { Self.write(property.flatMap { $0.count <= TableLimits.propertyBytes ? $0 : nil }, &writer) }
    part = collectors.map { _ in [] }
    return writer.finish()
  }

  /// The properties of the table.
  var whole: [TableProperty] {
    collectors.indices.map { index in
      TableProperty(name: collectors[index].name, value: table[index].flatMap { $0.count <= TableLimits.propertyBytes ? $0 : nil })
    }
  }

  private static func fold(_ property: [UInt8]?, _ collector: any BlockPropertyCollector, into sum: inout [UInt8]?) {
    guard let property, var total = sum else { return sum = nil }
    if total.isEmpty { total = property } else if !property.isEmpty { collector.add(property, to: &total) }
    sum = total
  }

  private static func write(_ property: [UInt8]?, _ writer: inout ByteWriter) {
    writer.writeVarint64(UInt64(property.map { $0.count + 1 } ?? 0))
    if let property { writer.writeBytes(property) }
  }
}
