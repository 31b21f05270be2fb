import NIOCore

/// Appends replies in the client's protocol version to one buffer, and remembers which sequence they wait for.
///
/// A reply that shows the effect of a write may not leave before that write is acknowledged; as replies leave in order, everything behind it
/// waits too. `gates` holds, for ascending positions, the sequence that everything from there on needs.
struct ReplyWriter {
  /// From `start` (a position of `buffer`, counted from its reader index at the time) on, `sequence` must be acknowledged.
  struct Gate {
    var start: Int
    var sequence: UInt64
  }

  private(set) var buffer: ByteBuffer
  private var spare = ByteBuffer()
  private(set) var gates: [Gate] = []
  /// Whether the client asked for RESP3.
  var resp3 = false
  /// Set when a reply did not fit into `limit`; the connection is then closed.
  private(set) var overflowed = false
  private let limit: Int
  private var required: UInt64 = 0
  /// A buffer that a large reply has grown beyond this is given back.
  private static let keptCapacity = 1 << 20

  /// `limit` bounds the bytes held back here; it stays below the 4 GiB a buffer can address.
  init(buffer: ByteBuffer, limit: Int) {
    self.buffer = buffer
    self.limit = min(limit, 3 << 30)
  }

  var isEmpty: Bool { buffer.readableBytes == 0 }
  var count: Int { buffer.readableBytes }

  // MARK: durability

  /// Holds back everything from the start of the current reply, which begins at `start`, until `sequence` is acknowledged.
  @inline(__always)
  mutating func require(_ sequence: UInt64, from start: Int) {
    guard sequence > required else { return }
    required = sequence
    gates.append(Gate(start: start, sequence: sequence))
  }

  /// The lowest sequence something is waiting for.
  var nextGate: UInt64? { gates.first?.sequence }

  /// Takes the replies that may leave when `acknowledged` is reached.
  mutating func take(acknowledged: UInt64) -> ByteBuffer? {
    guard buffer.readableBytes > 0 else { return nil }
    guard let last = gates.last, last.sequence > acknowledged else {
      gates.removeAll(keepingCapacity: true)
      // Two buffers take turns: by the time one is filled again, its bytes have usually been written and its memory is free.
      swap(&buffer, &spare)
      if buffer.capacity > Self.keptCapacity { buffer = ByteBuffer() } else { buffer.clear() }
      defer { if spare.capacity > Self.keptCapacity { spare = ByteBuffer() } }
      return spare
    }
    guard let blocked = gates.firstIndex(where: { $0.sequence > acknowledged }) else { return nil }
    let ready = gates[blocked].start
    gates.removeFirst(blocked)
    guard ready > 0, let part = buffer.readSlice(length: ready) else { return nil }
    for index in gates.indices { gates[index].start -= ready }
    return part
  }

  /// Drops everything written from `position` on, because the command is run again or failed half way.
  mutating func rewind(to position: Int) {
    buffer.moveWriterIndex(to: buffer.readerIndex + position)
  }

  /// Appends what another writer produced, behind its own gate.
  mutating func append(_ other: inout ReplyWriter) {
    let start = count
    for gate in other.gates { require(gate.sequence, from: start + gate.start) }
    if other.overflowed { overflowed = true }
    if fits(other.count) { buffer.writeBuffer(&other.buffer) }
  }

  private mutating func fits(_ bytes: Int) -> Bool {
    if buffer.readableBytes + bytes <= limit { return true }
    overflowed = true
    return false
  }

  /// Appends replies that were put together elsewhere.
  mutating func append(replies: [UInt8]) {
    if fits(replies.count) { buffer.writeBytes(replies) }
  }

  // MARK: replies

  mutating func ok() { raw("+OK\r\n") }

  mutating func simple(_ text: StaticString) {
    raw("+")
    raw(text)
    raw("\r\n")
  }

  /// A simple string that is put together; it must not hold line breaks.
  mutating func status(_ text: String) {
    raw("+")
    buffer.writeString(text)
    raw("\r\n")
  }

  /// An error line; line breaks inside become spaces so that no text can break the protocol.
  mutating func error(_ text: String) {
    raw("-")
    for byte in text.utf8 { buffer.writeInteger(byte == 0x0D || byte == 0x0A ? 0x20 : byte) }
    raw("\r\n")
  }

  @inline(__always)
  mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
    guard fits(bytes.count + 32) else { return }
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count + 32) { target in
      var index = Self.header(UInt8(ascii: "$"), Int64(bytes.count), target)
      UnsafeMutableRawBufferPointer(rebasing: target[index...]).copyMemory(from: bytes)
      index += bytes.count
      target[index] = 0x0D
      target[index + 1] = 0x0A
      return index + 2
    }
  }

  mutating func bulk(_ bytes: RawSpan) { bytes.withUnsafeBytes { bulk($0) } }
  mutating func bulk(_ bytes: [UInt8]) { bytes.withUnsafeBytes { bulk($0) } }

  mutating func bulk(_ text: String) {
    var text = text
    text.withUTF8 { bulk(UnsafeRawBufferPointer($0)) }
  }

  @inline(__always)
  mutating func integer(_ value: Int64) { line(UInt8(ascii: ":"), value) }
  mutating func integer(_ value: Int) { line(UInt8(ascii: ":"), Int64(value)) }

  /// In RESP2 1 or 0.
  mutating func boolean(_ value: Bool) {
    if resp3 { value ? raw("#t\r\n") : raw("#f\r\n") } else { integer(value ? 1 : 0) }
  }

  mutating func null() { resp3 ? raw("_\r\n") : raw("$-1\r\n") }
  mutating func nullArray() { resp3 ? raw("_\r\n") : raw("*-1\r\n") }
  mutating func array(_ count: Int) { line(UInt8(ascii: "*"), Int64(count)) }
  mutating func set(_ count: Int) { line(resp3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), Int64(count)) }

  /// A map of `pairs` keys and values; in RESP2 a flat array.
  mutating func map(_ pairs: Int) {
    resp3 ? line(UInt8(ascii: "%"), Int64(pairs)) : line(UInt8(ascii: "*"), Int64(pairs) * 2)
  }

  /// Text for people: a verbatim string in RESP3.
  mutating func verbatim(_ text: String) {
    guard resp3 else { return bulk(text) }
    var text = text
    text.withUTF8 { utf8 in
      guard fits(utf8.count + 40) else { return }
      line(UInt8(ascii: "="), Int64(utf8.count + 4))
      raw("txt:")
      buffer.writeBytes(utf8)
      raw("\r\n")
    }
  }

  private mutating func raw(_ text: StaticString) {
    guard fits(text.utf8CodeUnitCount) else { return }
    buffer.writeStaticString(text)
  }

  @inline(__always)
  private mutating func line(_ type: UInt8, _ value: Int64) {
    guard fits(32) else { return }
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 32) { Self.header(type, value, $0) }
  }

  /// Writes `type`, the number and a line end; returns the length. `target` has at least 32 bytes.
  @inline(__always)
  private static func header(_ type: UInt8, _ value: Int64, _ target: UnsafeMutableRawBufferPointer) -> Int {
    target[0] = type
    if value >= 0, value < 10 {
      target[1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)
      target[2] = 0x0D
      target[3] = 0x0A
      return 4
    }
    return withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { scratch in
      let start = Decimal.write(value, scratch)
      let digits = scratch.count - start
      UnsafeMutableRawBufferPointer(rebasing: target[1...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: scratch[start...]))
      target[1 + digits] = 0x0D
      target[2 + digits] = 0x0A
      return digits + 3
    }
  }
}
