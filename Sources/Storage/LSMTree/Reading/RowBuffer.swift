/// Bytes of one row in memory that is used again for the next.
struct RowBuffer: ~Copyable {
  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  private var count = 0

  static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

  init(_ bytes: [UInt8] = []) {
    capacity = max(64, bytes.count)
    memory = .allocate(byteCount: capacity, alignment: 8)
    bytes.withUnsafeBytes { store($0) }
  }

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  /// Replaces the content. `source` may be the present one.
  @inline(__always)
  mutating func store(_ source: UnsafeRawBufferPointer) {
    if source.count > capacity { grow(source.count) }
    if let first = source.baseAddress { memory.copyMemory(from: first, byteCount: source.count) }
    count = source.count
  }

  private mutating func grow(_ wanted: Int) {
    // Nothing of this buffer can be longer than it: what is stored lies elsewhere.
    memory.deallocate()
    capacity = max(wanted, capacity * 2)
    memory = .allocate(byteCount: capacity, alignment: 8)
  }
}
