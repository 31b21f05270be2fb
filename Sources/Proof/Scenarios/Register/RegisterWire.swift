import StrataBytes
import StrataNodes
import StrataSimulation

/// How replicas of the register speak on the wire: a byte for the kind, then the fields, little-endian, keys in ascending order.
enum RegisterWire {
  static var wire: SimulatedWire<RegisterNode.Message> {
    SimulatedWire { message in
      var writer = ByteWriter()
      encode(message, &writer)
      return writer.finish()
    } decode: { bytes, _ in
      var reader = ByteReader(bytes)
      let message = try decode(&reader)
      try reader.expectEnd(of: "message")
      return message
    }
  }

  /// A replica holds so many keys at most.
  private static let keyLimit = 100_000

  private static func encode(_ message: RegisterNode.Message, _ writer: inout ByteWriter) {
    switch message {
    case .query(let operation, let key):
      writer.writeUInt8(1)
      encode(operation, &writer)
      writer.writeZigzag64(Int64(key))
    case .state(let operation, let cell):
      writer.writeUInt8(2)
      encode(operation, &writer)
      encode(cell, &writer)
    case .store(let operation, let key, let cell):
      writer.writeUInt8(3)
      encode(operation, &writer)
      writer.writeZigzag64(Int64(key))
      encode(cell, &writer)
    case .stored(let operation):
      writer.writeUInt8(4)
      encode(operation, &writer)
    case .everything(let nonce):
      writer.writeUInt8(5)
      writer.writeUInt64(nonce)
    case .contents(let nonce, let cells):
      writer.writeUInt8(6)
      writer.writeUInt64(nonce)
      writer.writeVarint64(UInt64(cells.count))
      for (key, cell) in cells.sorted(by: { $0.key < $1.key }) {
        writer.writeZigzag64(Int64(key))
        encode(cell, &writer)
      }
    }
  }

  private static func encode(_ name: RegisterNode.OperationName, _ writer: inout ByteWriter) {
    writer.writeUInt64(name.nonce)
    writer.writeVarint64(name.serial)
  }

  private static func encode(_ cell: RegisterNode.Cell, _ writer: inout ByteWriter) {
    writer.writeVarint64(cell.version.count)
    writer.writeVarint64(cell.version.node.rawValue)
    writer.writeUInt64(cell.version.nonce)
    writer.writeVarint64(cell.version.serial)
    writer.writeUInt8(cell.value == nil ? 0 : 1)
    if let value = cell.value { writer.writeZigzag64(Int64(value)) }
  }

  private static func decode(_ reader: inout ByteReader) throws(DecodeError) -> RegisterNode.Message {
    let at = reader.offset
    switch try reader.readUInt8() {
    case 1: return .query(operation: try name(&reader), key: Int(try reader.readZigzag64()))
    case 2: return .state(operation: try name(&reader), try cell(&reader))
    case 3: return .store(operation: try name(&reader), key: Int(try reader.readZigzag64()), try cell(&reader))
    case 4: return .stored(operation: try name(&reader))
    case 5: return .everything(nonce: try reader.readUInt64())
    case 6:
      let nonce = try reader.readUInt64()
      var cells: [Int: RegisterNode.Cell] = [:]
      for _ in 0..<(try reader.readCount(limit: keyLimit, field: "keys")) {
        let key = Int(try reader.readZigzag64())
        cells[key] = try cell(&reader)
      }
      return .contents(nonce: nonce, cells)
    default: throw .malformed(at: at, field: "kind of message")
    }
  }

  private static func name(_ reader: inout ByteReader) throws(DecodeError) -> RegisterNode.OperationName {
    RegisterNode.OperationName(nonce: try reader.readUInt64(), serial: try reader.readVarint64())
  }

  private static func cell(_ reader: inout ByteReader) throws(DecodeError) -> RegisterNode.Cell {
    var cell = RegisterNode.Cell()
    cell.version.count = try reader.readVarint64()
    cell.version.node = NodeID(try reader.readVarint64())
    cell.version.nonce = try reader.readUInt64()
    cell.version.serial = try reader.readVarint64()
    if try reader.readUInt8() != 0 { cell.value = Int(try reader.readZigzag64()) }
    return cell
  }
}
